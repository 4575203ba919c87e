"""The generator `diffusers:` with the real library and pipelines of random weights."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants as hub

from pamela.core.errors import PamelaError, PromptWarning
from pamela.params import load_params
from pamela.steer.generators.factory import get_generator
from tests.helpers import tiny_models
from tests.helpers.extras import needs
from tests.paths import ROOT

pytestmark = [needs("steer"), pytest.mark.filterwarnings("ignore::FutureWarning")]

KINDS = {"sd": tiny_models.save_stable_diffusion, "klein": tiny_models.save_flux2_klein}
SMALL = {"width": tiny_models.SIZE, "height": tiny_models.SIZE, "steps": 2, "batch_size": 2}
PROMPTS = ["a red barn", "a cat", "a dog at sea"]


@pytest.fixture(scope="module", params=KINDS)
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp("pipelines") / request.param)


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_stable_diffusion(tmp_path_factory.mktemp("pipelines") / "stable")


@pytest.fixture
def copy(stable: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "copy"
    shutil.copytree(stable, folder)
    return folder


def generator(name: object, **settings: Any) -> Any:
    params = load_params(ROOT / "params.yaml")
    asked = params.steer.diffusers.model_copy(update=SMALL | settings)
    named = {"generator": f"diffusers:{name}", "diffusers": asked}
    return get_generator(params.model_copy(update={"steer": params.steer.model_copy(update=named)}))


def draw(name: object, **settings: Any) -> list[np.ndarray]:
    with generator(name, **settings) as drawing:
        return drawing.generate(PROMPTS, [1, 2, 3])


def test_a_picture_depends_on_prompt_and_seed_and_not_on_its_batch(pipeline: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        with generator(pipeline) as drawing:
            three = drawing.generate(PROMPTS, [1, 2, 3])
            (alone,) = drawing.generate(PROMPTS[1:2], [2])
            (other_seed,) = drawing.generate(PROMPTS[1:2], [3])
            (other_prompt,) = drawing.generate(PROMPTS[:1], [2])
    assert {one.shape for one in three} == {(SMALL["height"], SMALL["width"], 3)}
    assert {one.dtype for one in three} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(alone, three[1])
    assert (alone != other_seed).any()
    assert (alone != other_prompt).any()


def test_a_prompt_that_is_not_read_whole_is_told(pipeline: Path) -> None:
    long = "barn " * 600
    with generator(pipeline) as drawing, pytest.warns(PromptWarning) as told:
        drawing.generate([*PROMPTS, long], [1, 2, 3, 4])
    (text,) = [str(one.message) for one in told if one.category is PromptWarning]
    limit = 512 if pipeline.name == "klein" else 77
    assert text.startswith(f"1 of 4 prompts are longer than the {limit} tokens that ")


def test_its_fingerprint_follows_weights_and_settings(stable: Path, copy: Path) -> None:
    base = generator(stable).fingerprint
    assert base == generator(copy).fingerprint
    for settings in ({"steps": 3}, {"guidance": 2.0}, {"width": 64}, {"dtype": "bfloat16"}):
        assert generator(stable, **settings).fingerprint != base
    assert generator(stable, batch_size=1).fingerprint == base
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert generator(copy).fingerprint != base


def test_pictures_that_the_safety_checker_blackened_are_an_error(tmp_path: Path) -> None:
    folder = tiny_models.save_stable_diffusion(tmp_path / "x", **tiny_models.blackening_parts())
    with pytest.raises(PamelaError, match=r"safety checker blackened 2 of 2 pictures.*a red barn"):
        draw(folder)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"width": 40, "height": 36}, r"refuses the settings.*divisible by 8"),
        ({"offload": "model"}, r"steer\.diffusers\.offload: 'model' moves weights to a GPU"),
        ({"device": "gpu"}, r"no CUDA device here"),
    ],
)
def test_settings_that_do_not_go_are_one_line(
    settings: dict[str, Any], line: str, stable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(PamelaError, match=line):
        draw(stable, **settings)


def test_what_is_no_number_and_another_size_are_told(stable: Path) -> None:
    drawing = generator(stable, width=24)
    for images, line in (
        (np.full((1, 32, 24, 3), np.nan), r"NaN in float32.*dtype to bfloat16"),
        (np.zeros((1, 32, 16, 3)), r"draws 16 x 32, not the 24 x 32"),
    ):
        with pytest.raises(PamelaError, match=line):
            drawing._pixels(images)


def test_what_draws_from_pictures_is_refused(stable: Path, tmp_path: Path) -> None:
    import diffusers

    components = diffusers.DiffusionPipeline.from_pretrained(stable).components
    folder = tmp_path / "img2img"
    diffusers.StableDiffusionImg2ImgPipeline(
        **components, requires_safety_checker=False
    ).save_pretrained(folder)
    with pytest.raises(
        PamelaError, match=r"a StableDiffusionImg2ImgPipeline, which takes no width"
    ):
        draw(folder)


def test_a_folder_that_is_no_pipeline_is_one_line(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (copy / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, line in (
        (copy, "does not load as a diffusers pipeline"),
        (empty, "does not load as a diffusers pipeline"),
        (tmp_path / "absent", "no such folder"),
        ("somebody/nothing", "no folder here, and no model that can be downloaded"),
    ):
        with pytest.raises(PamelaError, match=line) as caught:
            draw(name)
        assert "\n" not in str(caught.value)
