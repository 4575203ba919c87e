"""The rewriter `transformers:` with the real library and a model that is taught on the spot."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pamela.core.errors import PamelaError
from pamela.params import load_params
from pamela.steer.rewriters.base import Trial
from pamela.steer.rewriters.factory import get_rewriter
from tests.helpers import tiny_models
from tests.helpers.extras import needs
from tests.helpers.tiny_models import SUBJECT, request
from tests.paths import ROOT

pytestmark = needs("steer")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_language_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def rewriter(folder: object, **settings: Any) -> Any:
    params = load_params(ROOT / "params.yaml")
    asked = params.steer.language_model.model_copy(update={"max_tokens": 200} | settings)
    named = {
        "rewriter": f"transformers:{folder}", "generator": "diffusers:x", "language_model": asked,
    }  # fmt: skip
    return get_rewriter(params.model_copy(update={"steer": params.steer.model_copy(update=named)}))


def test_variants_are_those_of_the_request_whatever_its_batch(folder: Path) -> None:
    requests = [request(4, seed) for seed in (1, 2, 3)]
    with rewriter(folder, batch_size=3, dtype="float32") as model:
        three = model.rewrite(requests)
        (alone,) = model.rewrite(requests[1:2])
    assert alone == three[1]
    assert len(set(map(tuple, three))) == 3
    for variants in three:
        assert len(set(variants)) == 4
        assert all(one.startswith(f"{SUBJECT}, ") for one in variants)


def test_its_fingerprint_follows_weights_and_settings(folder: Path, copy: Path) -> None:
    base = rewriter(folder).fingerprint
    assert base == rewriter(copy, attempts=2, batch_size=1).fingerprint
    assert base != rewriter(folder, temperature=0.5).fingerprint
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert base != rewriter(copy).fingerprint


def test_a_model_that_never_follows_the_protocol_is_one_line(tmp_path: Path) -> None:
    folder = tiny_models.save_language_model(tmp_path, steps=0)
    with (
        rewriter(folder, attempts=2, max_tokens=40) as model,
        pytest.raises(PamelaError, match=r"4 of 4 variants .* missing, asked 2 times: an answer"),
    ):
        model.rewrite([request()])


def test_a_request_that_fills_the_context_is_one_line(folder: Path) -> None:
    history = tuple(Trial(f"{SUBJECT}, {i} " + "trees " * 40, 1.0) for i in range(40))
    with (
        rewriter(folder, context_trials=40) as model,
        pytest.raises(
            PamelaError, match=r"no room for an answer in a context of 1024: lower .*_tri"
        ),
    ):
        model.rewrite([replace(request(), history=history)])


def test_a_template_without_system_messages_gets_it_with_the_users(folder: Path) -> None:
    from transformers import AutoTokenizer

    from pamela.steer.rewriters.transformers_model import chat_text

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.content }}]{% endfor %}"
    )
    conversation = [{"role": "system", "content": "be"}, {"role": "user", "content": "go"}]
    assert chat_text(tokenizer, conversation) == "[be\n\ngo]"


def test_what_is_no_model_for_this_is_one_line(copy: Path, tmp_path: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, line in (
        (copy, r"has no chat template"),
        (empty, r"does not load as a language model"),
        (tmp_path / "absent", r"no such folder"),
    ):
        with rewriter(name) as model, pytest.raises(PamelaError, match=line):
            model.rewrite([request()])
