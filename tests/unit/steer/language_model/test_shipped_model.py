"""The shipped language model: its folder, words and answers, and how it is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamela.core.files import folder_sha256
from pamela.params import load_params
from pamela.steer.rewriters.base import RewriteRequest, Trial
from pamela.steer.rewriters.factory import SHIPPED_FOLDER, get_rewriter
from pamela.steer.rewriters.subjects import keeps_world_subject
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import sample_spec, write_prompt
from tests.helpers.extras import needs
from tests.paths import ROOT

pytestmark = needs("steer")
CARD = SHIPPED_FOLDER.parent / "CARD.md"
SHIPPED = (
    "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
    "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def rewriter() -> Iterator[Any]:
    params = load_params(ROOT / "params.yaml")
    steer = params.steer.model_copy(update={"rewriter": "embedded"})
    with get_rewriter(params.model_copy(update={"steer": steer})) as found:
        yield found


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(SHIPPED_FOLDER)


def test_the_shipped_files_are_small_and_complete() -> None:
    from transformers import AutoModelForCausalLM

    assert sorted(file.name for file in SHIPPED_FOLDER.iterdir()) == sorted(SHIPPED)
    assert (SHIPPED_FOLDER / "model.safetensors").stat().st_size < 8e6
    model = AutoModelForCausalLM.from_pretrained(SHIPPED_FOLDER, dtype="auto")
    assert sum(p.numel() for p in model.parameters()) <= 3_000_000
    assert str(model.dtype) == "torch.float32"
    assert model.generation_config.do_sample  # what a server draws by
    assert CARD.read_text().count(folder_sha256(SHIPPED_FOLDER)[:16]) == 1


def test_any_text_is_read_and_written_and_every_phrase_is_a_token(tokenizer: Any) -> None:
    for text in ("a rEd  barn, “at” dusk\n{}", 'Ünïcode 東京 "quoted", very dark', "4.31: 7"):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    phrases = [text for levels in v.WORDS.values() for ps in levels.values() for text in ps]
    for text in [f", {phrase}" for phrase in phrases] + [f" {name}" for name in v.SUBJECTS]:
        assert len(tokenizer(text)["input_ids"]) == 1, text


def test_variants_keep_the_subject_and_equal_seeds_give_equal_ones(rewriter: Any) -> None:
    requests = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        original = write_prompt(sample_spec(rng), rng)
        history = (Trial(f"{original}, very dark", 3.4), Trial(original, 3.1)) if seed else ()
        requests.append(RewriteRequest(original, history, 6, (seed,)))
    found = rewriter.rewrite(requests)
    assert found == rewriter.rewrite(requests)
    for request, variants in zip(requests, found, strict=True):
        assert len(set(variants)) == 6
        assert all(keeps_world_subject(request.prompt, one) for one in variants)
        assert not {request.prompt, *(trial.prompt for trial in request.history)} & set(variants)
    (other,) = rewriter.rewrite([RewriteRequest(requests[0].prompt, (), 6, (99,))])
    assert other != found[0]


@pytest.mark.slow
def test_answers_are_as_good_as_the_card_says() -> None:
    """Other searches than the card's: its shares, within the luck of fewer answers."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    from pamela.steer.language_model import measure

    told = dict(re.findall(r"^\| (\w[\w ,]+) \| ([\d.]+) \|$", CARD.read_text(), re.MULTILINE))
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED_FOLDER)
    model = LlamaForCausalLM.from_pretrained(SHIPPED_FOLDER, dtype="auto").eval()
    found = measure.answer_figures(model, tokenizer, measure.held_out_searches(140)[100:])
    measured = (
        found.parsed, found.counted, found.keep_subject,
        found.differ_from_each_other, found.differ_from_context,
    )  # fmt: skip
    assert len(told) == len(measured)
    for (name, value), share in zip(told.items(), measured, strict=True):
        assert share == pytest.approx(float(value), abs=0.12), name


def test_training_takes_steps_and_gives_equal_weights_for_equal_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pamela.steer.language_model import lightning_module, measure, train

    monkeypatch.setattr(measure, "PERPLEXITY_EXAMPLES", 16)
    monkeypatch.setattr(train, "TOKENIZER_EXAMPLES", 40)
    for name, value in {"POOL": 16, "WARM_UP": 1, "AVERAGED": 0.5}.items():
        monkeypatch.setattr(lightning_module, name, value)
    recipe = lightning_module.Recipe(
        seed=1, steps=8, batch_size=4, learning_rate=1e-2, weight_decay=0.0, hidden=32, layers=1,
        heads=2,
    )  # fmt: skip
    tokenizer = train.world_tokenizer(recipe.seed)
    before = measure.perplexity(lightning_module.new_model(tokenizer, recipe), tokenizer)
    for name in ("one", "two"):
        model = lightning_module.new_model(tokenizer, recipe)
        train.fit_model(model, tokenizer, recipe)
        assert measure.perplexity(model, tokenizer) < 0.9 * before
        train.save_model(model, tokenizer, tmp_path / name)
    assert folder_sha256(tmp_path / "one") == folder_sha256(tmp_path / "two")
    assert not set(SHIPPED) - {file.name for file in (tmp_path / "one").iterdir()}
