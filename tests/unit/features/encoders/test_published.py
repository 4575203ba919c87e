"""Activation and preprocessing are those that weights were trained with, or the encoder is refused.

No published weights are needed: what open_clip lists is compared as it stands, and a tiny model of
two published "tags" is built for real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants as hub
from open_clip import pretrained as listed
from safetensors.torch import save_file

from pamela.core import errors
from pamela.core.errors import PamelaError
from pamela.features.encoders import published
from pamela.features.encoders.clip import ClipEncoder
from pamela.features.factory import get_encoder
from tests.helpers.encoder_kit import CONFIG, picture, write_open_clip

PAIRS = open_clip.list_pretrained()
QUICK_BY_NAME = ("roberta-ViT-B-32", "laion2b_s12b_b32k")  # its model says QuickGELU, its tag not
ARCHITECTURE = {key: v for key, v in CONFIG["model_cfg"].items() if key != "quick_gelu"}
SQUASHED = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear",
            "resize_mode": "squash"}  # fmt: skip


def encoder(name: str) -> ClipEncoder:
    found = get_encoder(name, device="cpu", batch_size=8, workers=0)
    assert isinstance(found, ClipEncoder)
    return found


# --- every published pair -------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_a_published_pair_is_built_as_open_clip_says_it_was_trained(pair: tuple[str, str]) -> None:
    said = open_clip.get_pretrained_cfg(*pair)
    found = published.of_pair(*pair)
    assert found.quick_gelu == (bool(said.get("quick_gelu")) or pair == QUICK_BY_NAME)
    for key in published.PREPROCESS:
        expected = said[key]
        assert found.preprocess[key] == (
            list(expected) if isinstance(expected, tuple) else expected
        )


def test_the_documented_first_encoder_has_the_activation_of_its_weights() -> None:
    assert published.of_pair("ViT-B-32", "openai").quick_gelu
    wrong = [
        pair for pair in PAIRS
        if published.of_pair(*pair).quick_gelu
        and not open_clip.get_model_config(pair[0]).get("quick_gelu")
    ]  # fmt: skip
    assert len(wrong) >= 27  # what open_clip builds otherwise when it is left to the model's name


# --- a tiny model with two published tags, built for real -----------------------------------------


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Publish ``tiny/quick`` and ``tiny/plain``: the same weights, said to be trained otherwise."""
    folder = tmp_path / "weights"
    write_open_clip(folder)
    weights = folder / "open_clip_model.safetensors"
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "tiny.json").write_text(json.dumps(ARCHITECTURE))
    (configs / "tiny-named.json").write_text(json.dumps(ARCHITECTURE | {"quick_gelu": True}))
    before = list(open_clip.factory._MODEL_CONFIG_PATHS)
    open_clip.add_model_config(configs)
    usual = {"mean": (0.4,) * 3, "std": (0.3,) * 3, "interpolation": "bicubic",
             "resize_mode": "shortest"}  # fmt: skip
    tags: dict[str, Any] = {
        "tiny": {
            "quick": {"file": str(weights), "quick_gelu": True, **usual},
            "plain": {"file": str(weights), **usual},
        },
        "tiny-named": {"plain": {"file": str(weights), **usual}},
    }
    for model, own in tags.items():
        monkeypatch.setitem(listed._PRETRAINED, model, own)
    yield weights
    open_clip.factory._MODEL_CONFIG_PATHS[:] = before
    for name in tags:
        open_clip.factory._MODEL_CONFIGS.pop(name)


def features_of(weights: Path, quick: bool) -> np.ndarray:
    """Return open_clip's own features of a picture with one activation or the other."""
    model, preprocess = open_clip.create_model_from_pretrained(
        "tiny", pretrained=str(weights), force_quick_gelu=quick,
        image_mean=(0.4,) * 3, image_std=(0.3,) * 3,
    )  # fmt: skip
    from PIL import Image

    with torch.inference_mode():
        batch = preprocess(Image.fromarray(picture(0)))[None]
        return model.eval().encode_image(batch, normalize=True).numpy()


@pytest.mark.parametrize(("tag", "quick"), [("quick", True), ("plain", False)])
def test_features_are_those_of_the_network_that_was_trained(
    tiny: Path, tag: str, quick: bool, recwarn: pytest.WarningsRecorder
) -> None:
    found = encoder(f"tiny/{tag}")
    rows = found.encode_images([picture(0)])
    np.testing.assert_allclose(rows, features_of(tiny, quick), atol=1e-5)
    assert np.abs(rows - features_of(tiny, not quick)).max() > 1e-4
    assert found.activation == ("QuickGELU" if quick else "GELU")
    assert not [w for w in recwarn if "QuickGELU" in str(w.message)]


def test_the_activation_enters_the_fingerprint(tiny: Path) -> None:
    quick, plain = encoder("tiny/quick"), encoder("tiny/plain")
    assert quick.fingerprint != plain.fingerprint


def test_what_open_clip_warns_of_is_passed_on(tiny: Path) -> None:
    with pytest.warns(UserWarning, match="QuickGELU mismatch"):
        found = encoder("tiny-named/plain")
    assert found.activation == "QuickGELU"  # as its model is named; the tag says nothing


def test_weights_in_a_file_are_refused_where_the_published_ones_differ(tiny: Path) -> None:
    with pytest.raises(PamelaError, match=r"weights of tiny differ in quick_gelu.*local-dir:"):
        encoder(f"tiny/{tiny}")


def test_weights_in_a_file_are_run_as_all_published_ones(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(listed._PRETRAINED, "tiny", {"one": {"file": "", **SQUASHED}})
    found = encoder(f"tiny/{tiny}")
    kept = {key: found.preprocess[key] for key in published.PREPROCESS}
    assert kept == {**SQUASHED, "mean": [0.5] * 3, "std": [0.5] * 3}
    assert (found.activation, found.known_from) == ("GELU", "all published weights of tiny")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("ViT-B-32", r"differ in quick_gelu.*ViT-B-32-quickgelu/<file>"),
        ("ViT-L-14", r"differ in quick_gelu, mean, std"),
        ("ViT-H-14-quickgelu", r"differ in resize_mode"),
        ("ViT-S-32", r"nothing is published for ViT-S-32"),
    ],
)
def test_a_file_of_a_model_with_many_trainings_is_refused(model: str, says: str) -> None:
    with pytest.raises(PamelaError, match=says):
        published.of_file(f"{model}/w.pt", model)


@pytest.mark.parametrize(
    ("model", "mean", "mode"),
    [("ViT-B-16-SigLIP", 0.5, "squash"), ("MobileCLIP-S1", 0.0, "shortest")],
)
def test_a_file_of_a_model_with_one_training_has_its_preprocessing(
    model: str, mean: float, mode: str
) -> None:
    found = published.of_file(f"{model}/w.pt", model)
    assert (found.preprocess["mean"], found.preprocess["resize_mode"]) == ([mean] * 3, mode)


# --- configurations -------------------------------------------------------------------------------


def changed(model: dict[str, Any] | None = None, **preprocess: Any) -> dict[str, Any]:
    config = deepcopy(CONFIG)
    config["model_cfg"] |= model or {}
    config["preprocess_cfg"] |= preprocess
    return config


def without(*keys: str) -> dict[str, Any]:
    config = deepcopy(CONFIG)
    for key in keys:
        config["model_cfg"].pop(key, None)
        config["preprocess_cfg"].pop(key, None)
    return config


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (without("quick_gelu"), r'does not say quick_gelu.*"quick_gelu": true or false to model_c'),
        (changed({"quick_gelu": None}), r"does not say quick_gelu"),
        (without("mean", "std"), r"does not say mean, std.*add mean, std to preprocess_cfg"),
        ({"model_cfg": CONFIG["model_cfg"]}, "say mean, std, interpolation, resize_mode"),
        ({"model_cfg": ARCHITECTURE}, "say quick_gelu, mean, std, interpolation, resize_mode"),
        (changed({"quick_gelu": "yes"}), r"model_cfg\.quick_gelu.*boolean"),
        (changed(mean=[0.5]), r"preprocess_cfg\.mean"),
        (changed(std=[0.2, 0.2, 0.0]), r"preprocess_cfg\.std"),
        (changed(resize_mode="crop"), r"preprocess_cfg\.resize_mode.*'squash'"),
        (changed(interpolation="random"), r"preprocess_cfg\.interpolation"),
        (changed(mode="L"), r"preprocess_cfg\.mode"),
        (changed(resize_mode="longest", fill_color="white"), r"preprocess_cfg\.fill_color"),
        (changed(mean=[0.5, 0.5, float("nan")]), r"preprocess_cfg\.mean"),
        ({"vision_cfg": {}}, "missing key model_cfg"),
        ([1], r"open_clip_config\.json"),
    ],
)
def test_a_folder_that_does_not_say_how_it_was_trained_is_refused(
    config: Any, says: str, tmp_path: Path
) -> None:
    name = write_open_clip(tmp_path)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(PamelaError, match=says) as caught:
        encoder(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_folder_is_built_as_it_says(tmp_path: Path) -> None:
    plain = encoder(write_open_clip(tmp_path))
    config = changed({"quick_gelu": True}, mean=0.5, resize_mode="squash")
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    found = encoder(f"local-dir:{tmp_path}")
    assert found.activation == "QuickGELU"
    assert found.preprocess["mean"] == [0.5] * 3
    assert found.preprocess["resize_mode"] == "squash"
    assert found.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("model", "quick", "mean", "mode"),
    [
        ("ViT-B-16-SigLIP", False, [0.5] * 3, "squash"),  # as its only published weights
        ("ViT-L-14-336", True, None, "shortest"),
    ],
)
def test_a_folder_of_a_known_architecture_is_run_as_its_published_weights(
    model: str, quick: bool, mean: list[float] | None, mode: str
) -> None:
    architecture = open_clip.get_model_config(model)
    architecture.pop("quick_gelu", None)
    found = published.of_config("local-dir:x", {"model_cfg": architecture})
    assert found.quick_gelu == quick
    assert found.preprocess["resize_mode"] == mode
    assert mean is None or found.preprocess["mean"] == mean
    assert "published weights of this architecture" in found.known_from


def test_an_architecture_with_many_trainings_is_refused() -> None:
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32")}
    with pytest.raises(PamelaError, match="does not say quick_gelu"):
        published.of_config("local-dir:x", config)


def test_a_repository_of_the_hub_is_the_pair_that_it_holds() -> None:
    squashed = {"model_cfg": open_clip.get_model_config("ViT-H-14-quickgelu")}
    found = published.of_config("hf-hub:apple/DFN5B-CLIP-ViT-H-14", squashed)
    assert (found.quick_gelu, found.preprocess["resize_mode"]) == (True, "squash")
    assert "dfn5b" in found.known_from
    # roberta's own configuration says it, the pair does not
    roberta = {"model_cfg": open_clip.get_model_config(QUICK_BY_NAME[0])}
    name = "hf-hub:laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"
    assert published.of_config(name, roberta).quick_gelu


def test_another_repository_is_built_as_its_publisher_says() -> None:
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"),
              "preprocess_cfg": CONFIG["preprocess_cfg"]}  # fmt: skip
    assert not published.of_config("hf-hub:somebody/clip", config).quick_gelu
    half = {"model_cfg": open_clip.get_model_config("ViT-H-14"),
            "preprocess_cfg": {"mean": 0.5, "std": 0.5}}  # fmt: skip
    with pytest.raises(PamelaError, match=r"does not say resize_mode.*download it"):
        published.of_config("hf-hub:somebody/clip", half)


# --- tokenizers of transformers -------------------------------------------------------------------


def test_a_tokenizer_of_transformers_is_asked_for_by_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    texts = {model: open_clip.get_model_config(model)["text_cfg"] for model, _ in PAIRS}
    names = {"hf_tokenizer_name", "hf_model_name"}
    needing = [pair for pair in PAIRS if names & set(texts[pair[0]])]
    assert len(needing) >= 47
    for model, tag in needing[::6]:
        with pytest.raises(PamelaError, match=r"tokenizer needs.*'pamela\[transformers\]'"):
            encoder(f"{model}/{tag}")


SENTENCE = "a red barn at dusk"


@pytest.fixture
def siglip(tmp_path: Path) -> str:
    """A SigLIP-like model, random but real: its own tokenizer, pictures squashed, mean .5."""
    transformers = pytest.importorskip("transformers", reason="needs the extra `transformers`")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "</s>", "<unk>", *SENTENCE.split(), "snow"]
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    numbers = {word: i for i, word in enumerate(words)}
    words_of = Tokenizer(models.WordLevel(numbers, unk_token=special["unk_token"]))
    words_of.pre_tokenizer = pre_tokenizers.Whitespace()
    words_of.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words_of, **special)
    config = changed(
        {"custom_text": True, "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 32,
         "heads": 2, "layers": 1, "no_causal_mask": True, "pool_type": "last",
         "proj_type": "linear", "hf_tokenizer_name": "somebody/siglip",
         "tokenizer_kwargs": {"clean": "canonicalize"}}},
        mean=[0.5] * 3, std=[0.5] * 3, resize_mode="squash",
    )  # fmt: skip
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    fast.save_pretrained(tmp_path)
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{tmp_path}", load_weights=False)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    return f"local-dir:{tmp_path}"


def test_a_siglip_like_model_works_with_its_own_tokenizer(siglip: str, tmp_path: Path) -> None:
    found = encoder(siglip)
    rows = found.encode_prompts([SENTENCE, "a red barn", "A red, barn!"])
    assert np.abs(rows[0] - rows[1]).max() > 1e-3
    np.testing.assert_array_equal(rows[1], rows[2])  # canonical: no case, no punctuation
    assert found.prompt_lengths([SENTENCE, "a " * 7, "a " * 8]) == [6, 8, 9]
    before = found.fingerprint
    text = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text.replace('"snow"', '"rain"'))
    assert encoder(siglip).fingerprint != before  # other words, other features
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(PamelaError, match=r"its tokenizer could not be loaded.*tokenizer\.json"):
        encoder(siglip)
