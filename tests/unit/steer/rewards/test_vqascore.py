"""VQAScore by real models of transformers, tiny and random."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pamela.core.errors import PamelaError
from pamela.steer.rewards.vqascore import QUESTION, VqaScorer
from tests.helpers import tiny_vqa
from tests.helpers.encoder_kit import picture
from tests.helpers.extras import needs

pytestmark = needs("steer")
PROMPTS = ["a red barn", "a blue dog in the snow at dusk", "a red barn", "an image"]
IMAGES = [picture(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return tiny_vqa.save_llava(tmp_path_factory.mktemp("llava"))


def test_the_score_is_the_probability_of_yes_as_the_next_word(llava):
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    scores = VqaScorer(str(llava), "cpu").score_pictures(IMAGES, PROMPTS)
    processor = AutoProcessor.from_pretrained(llava)
    model = LlavaForConditionalGeneration.from_pretrained(llava)
    yes = processor.tokenizer.convert_tokens_to_ids(["Yes", "yes"])
    for image, prompt, score in zip(IMAGES, PROMPTS, scores, strict=True):
        text = f"<s><image>{QUESTION.format(prompt=prompt)} ASSISTANT :"
        inputs = processor(images=image, text=text, return_tensors="pt", add_special_tokens=False)
        with torch.inference_mode():
            chances = model(**inputs).logits[0, -1].softmax(-1)
        assert score == pytest.approx(chances[yes].sum().item(), abs=1e-5)
    assert len(set(np.round(scores, 5))) == 4


def test_a_score_does_not_depend_on_the_others_of_its_batch(llava):
    together = VqaScorer(str(llava), "cpu", batch_size=4).score_pictures(IMAGES, PROMPTS)
    alone = VqaScorer(str(llava), "cpu", batch_size=1).score_pictures(IMAGES, PROMPTS)
    assert together == pytest.approx(alone, abs=1e-5)


def test_what_stands_for_a_picture_is_words_in_a_prompt(llava):
    scores = VqaScorer(str(llava), "cpu").score_pictures(IMAGES[:2], ["a barn <image>", "a </s>"])
    assert ((scores > 0) & (scores < 1)).all()


def test_a_model_without_a_chat_template_is_asked_the_bare_question(tmp_path):
    scores = VqaScorer(str(tiny_vqa.save_blip(tmp_path)), "cpu").score_pictures(IMAGES, PROMPTS)
    assert ((scores > 0) & (scores < 1)).all()
    assert scores[0] != pytest.approx(scores[1])


def test_the_fingerprint_follows_the_weights(llava, tmp_path):
    other = tiny_vqa.save_llava(tmp_path, words=[*tiny_vqa.WORDS, "more"])
    first, second = (VqaScorer(str(folder)).fingerprint for folder in (llava, other))
    assert first != second
    assert first == VqaScorer(str(llava)).fingerprint


def test_what_cannot_answer_is_told_in_one_line(llava, tmp_path):
    unsure = [word for word in tiny_vqa.WORDS if word not in ("Yes", "yes")]
    silent = tiny_vqa.save_llava(tmp_path / "silent", words=unsure)
    with pytest.raises(PamelaError, match="no token for 'yes'"):
        VqaScorer(str(silent), "cpu").score_pictures(IMAGES, PROMPTS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(PamelaError, match="does not load as an image-text model"):
        VqaScorer(str(tmp_path / "empty"), "cpu").score_pictures(IMAGES, PROMPTS)
    with pytest.raises(PamelaError, match="no such folder"):
        VqaScorer(str(tmp_path / "not" / "there")).score_pictures(IMAGES, PROMPTS)
