"""The embedded encoder: its files, words, labels, training rate, probes and model card."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pamela.core.errors import PamelaError
from pamela.features.encoders.base import CONFIG_FILE
from pamela.features.encoders.clip import state_fingerprint
from pamela.features.encoders.embedded_clip.architecture import register_trunk
from pamela.features.encoders.embedded_clip.encoder import (
    FOLDER,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
    embedded_encoder,
    normalise_pixels,
    open_clip_model,
)
from pamela.features.encoders.embedded_clip.labels import looks
from pamela.features.encoders.embedded_clip.lightning_module import rate_at
from pamela.features.encoders.embedded_clip.linear_probes import (
    attribute_r2,
    class_accuracy,
    colour_statistics,
    recall_at_1,
)
from pamela.features.encoders.embedded_clip.tokenizer import (
    PAD,
    START,
    UNKNOWN,
    WordTokenizer,
    build_vocabulary,
)
from pamela.features.encoders.preprocessing import to_square
from tests.helpers.encoder_kit import picture

# --- the embedded encoder -------------------------------------------------------------------------


def test_the_shipped_files_are_small_and_complete() -> None:
    assert (FOLDER / WEIGHTS_FILE).stat().st_size < 8e6
    found = embedded_encoder("cpu", 8, 0)
    assert sum(p.numel() for p in found.model.parameters()) <= 4_000_000
    assert (FOLDER / "CARD.md").read_text().count(found.fingerprint[:16]) == 1


def test_embedded_preprocessing_is_that_of_its_open_clip_configuration() -> None:
    found = embedded_encoder("cpu", 8, 0)
    register_trunk()
    _, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{FOLDER}")
    image = Image.fromarray(picture(1, (130, 110)))
    with torch.inference_mode():
        expected = found.model.visual.trunk(preprocess(image)[None]).numpy()
    np.testing.assert_allclose(found.encode_images([image]), expected, atol=1e-3)


def test_projected_features_are_open_clips_image_embedding() -> None:
    found = embedded_encoder("cpu", 8, 0)
    register_trunk()
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{FOLDER}")
    image = Image.fromarray(picture(1, (96, 96)))
    with torch.inference_mode():
        expected = model.eval().encode_image(preprocess(image)[None], normalize=True).numpy()
    projected = found.project(found.encode_images([image]))
    np.testing.assert_allclose(projected, expected, atol=1e-4)


def test_the_trunk_alone_is_that_of_the_whole_model() -> None:
    """Pictures are encoded without open_clip: as it would, and under the same fingerprint."""
    found = embedded_encoder("cpu", 8, 0)
    model = open_clip_model(FOLDER, require_pretrained=True).eval()
    config = json.loads((FOLDER / CONFIG_FILE).read_text())
    words = (FOLDER / VOCABULARY_FILE).read_text().split()
    assert found.fingerprint == state_fingerprint(model.state_dict(), config, tuple(words))
    mean, std = (255 * torch.tensor(config["preprocess_cfg"][key]) for key in ("mean", "std"))
    batch = torch.from_numpy(to_square(Image.fromarray(picture(1)), 96)).expand(8, -1, -1, -1)
    with torch.inference_mode():
        expected = model.visual.trunk(normalise_pixels(batch, mean, std)).numpy()
    np.testing.assert_array_equal(found.encode_prepared(batch), expected)


def test_the_text_tower_is_that_of_the_whole_model() -> None:
    encoder = embedded_encoder("cpu", 8, 0)
    prompts = ["a red barn at dusk", "x", "", "an old sailor, warm light, " * 30]
    with torch.inference_mode():
        whole = encoder.model.encode_text(torch.as_tensor(encoder.tokenizer(prompts)))
        whole = torch.nn.functional.normalize(whole, dim=-1).numpy()
    np.testing.assert_allclose(encoder.encode_prompts(prompts), whole, atol=1e-6)


def test_a_vocabulary_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    for file in (CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE):
        shutil.copy(FOLDER / file, tmp_path)
    with (tmp_path / VOCABULARY_FILE).open("a") as stream:
        stream.write("unheardof\n")
    with pytest.raises(PamelaError, match=r"vocabulary\.txt: \d+ ids, the weights have"):
        embedded_encoder("cpu", 8, 0, tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(PamelaError, match="make encoder"):
        embedded_encoder("cpu", 8, 0, tmp_path)


def test_answers_are_those_of_the_labels() -> None:
    from pamela.features.encoders.embedded_clip import labels
    from pamela.features.encoders.embedded_clip.architecture import ANSWERS, CODE

    assert ANSWERS == labels.ANSWERS
    assert embedded_encoder("cpu", 8, 0).image_dim == CODE + ANSWERS
    last = list(labels.answer_slices().values())[-1]
    assert last.stop == ANSWERS
    assert labels.codes("style", np.array(["Baroque", "Photorealism"])).tolist() == [4, 26]


def test_looks_are_sentences_without_a_subject() -> None:
    assert looks([]) == "a picture"
    assert looks(["in warm tones"]) == "a picture, in warm tones"
    assert looks(["in warm tones", "very dark"]) == "a very dark picture, in warm tones"
    assert looks(["uncluttered"]) == "an uncluttered picture"


def test_the_learning_rate_follows_pairs_or_time_whichever_ends_first() -> None:
    assert rate_at(0.0) < 0.1
    assert rate_at(0.05) == pytest.approx(1.0)
    assert rate_at(0.5) > rate_at(0.8) > rate_at(1.0) == 0.0
    assert rate_at(1.2) == 0.0


@pytest.mark.slow
def test_the_shipped_weights_hold_what_the_card_says() -> None:
    """Drawn anew from another seed: the card's figures, within the luck of fewer pictures."""
    from pamela.features.encoders.embedded_clip.card import MEAN_R2, probe_encoders
    from pamela.features.encoders.embedded_clip.train import SIDE, untrained_encoder
    from pamela.features.encoders.embedded_clip.training_data import render_pool

    pool = render_pool(3000, SIDE, seed=271_828)  # a seed of neither the training nor the card
    figures = probe_encoders(embedded_encoder("auto", 64, 2), untrained_encoder(FOLDER, pool), pool)
    told = card_figures((FOLDER / "CARD.md").read_text(encoding="utf-8"))
    for name, value in figures.probes["trained"].items():
        assert value == pytest.approx(told[name], abs=0.07), name
        if name != "accuracy subject":
            assert value > figures.probes["colour statistics"][name], name
    assert figures.probes["trained"][MEAN_R2] > figures.probes["untrained"][MEAN_R2] + 0.15
    assert min(figures.recall) > 10 * max(figures.recall_untrained)
    # what the world's design asks of its encoder
    least = {MEAN_R2: 0.6, "accuracy type and group": 0.9, "accuracy style": 0.85,
             "accuracy lighting": 0.85}  # fmt: skip
    assert all(figures.probes["trained"][name] > goal for name, goal in least.items())
    assert figures.probes["trained + prompt"][MEAN_R2] > 0.8
    assert min(figures.recall) > 0.75
    for name, value in figures.zero_shot.items():
        assert value == pytest.approx(told[name], abs=0.07), name


def card_figures(text: str) -> dict[str, float]:
    """Return the first column of figures of the card's tables, by row."""
    rows = re.findall(r"^\| ([\w ]+?) \| ([\d.]+) \|", text, re.MULTILINE)
    assert len(rows) > 20
    return {name: float(value) for name, value in rows}


# --- the tokenizer --------------------------------------------------------------------------------

WORDS = ("a", "house", "red", "warm")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.integers(3, 24))
def test_any_text_becomes_one_padded_row(text: str, context: int) -> None:
    tokenizer = WordTokenizer(WORDS, context)
    row = tokenizer(text)[0]
    assert row.shape == (context,)
    ids = row.tolist()
    assert ids[0] == START
    end = ids.index(tokenizer.end)
    assert int(row.argmax()) == end == min(len(tokenizer.encode(text)), context - 2) + 1
    assert all(i != PAD for i in ids[:end])
    assert all(i == PAD for i in ids[end + 1 :])
    assert max(ids) < tokenizer.vocab_size


def test_words_have_their_own_ids_and_cold_start_users_share_one(tmp_path: Path) -> None:
    tokenizer = WordTokenizer(WORDS, 8)
    assert tokenizer.encode("A red HOUSE") == [3, 5, 4]
    assert tokenizer.encode("quark gluon") == [UNKNOWN, UNKNOWN]
    tokenizer.save(tmp_path / "v.txt")
    assert WordTokenizer.load(tmp_path / "v.txt", 8).words == WORDS


def test_vocabulary_holds_what_occurs_often_enough() -> None:
    assert build_vocabulary(["a red house", "a blue house, big"]) == ["a", "house"]


# --- probes ---------------------------------------------------------------------------------------


def test_probes_find_what_is_linear_and_nothing_in_noise() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 12)).astype(np.float32)
    held = features @ rng.normal(size=12)
    noise = rng.normal(size=600)
    held[::7] = np.nan
    targets = np.stack([held, noise], 1).astype(np.float32)
    r2 = attribute_r2(features, targets, ["held", "noise"], 400)
    assert r2["held"] > 0.95
    assert r2["noise"] < 0.1
    labels = np.where(features[:, 0] > 0, "right", "left")
    assert class_accuracy(features, labels, 400) > 0.9
    assert class_accuracy(features, rng.permutation(labels), 400) < 0.65


def test_recall_is_one_for_equals_and_chance_for_cold_start_users() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 640, 32)).astype(np.float32)
    assert recall_at_1(a, a) == (1.0, 1.0)
    assert max(recall_at_1(a, b)) < 0.06


def test_colour_statistics_see_colour_and_contrast() -> None:
    flat = np.full((1, 16, 16, 3), 100, np.uint8)
    split = flat.copy()
    split[:, :8] = 160
    a, b = colour_statistics(np.concatenate([flat, split]))
    assert a.shape == b.shape
    assert not np.allclose(a, b)
    np.testing.assert_allclose(a[5:10], 0, atol=1e-5)  # deviations of a flat picture
