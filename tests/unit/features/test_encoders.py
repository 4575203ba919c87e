from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pamela.core.errors import PamelaError
from pamela.core.images import open_rgb
from pamela.features.encoders.base import CONFIG_FILE, resolve_device
from pamela.features.encoders.clip import padded_size
from pamela.features.encoders.preprocessing import to_square
from pamela.features.factory import Encoder, get_encoder
from tests.helpers.encoder_kit import CONFIG, DIM, picture, write_open_clip

TOLERANCE = 2e-5  # relative to features of unit scale; batch shapes round differently


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny batches gain nothing from threads and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_open_clip(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module", params=["open_clip", "embedded"])
def name(request: pytest.FixtureRequest, local: str) -> str:
    return local if request.param == "open_clip" else "embedded"


def encoder(name: str, batch_size: int = 8, workers: int = 2) -> Encoder:
    return get_encoder(name, device="cpu", batch_size=batch_size, workers=workers)


# --- every encoder --------------------------------------------------------------------------------


def test_features_have_the_declared_shape_and_kind(name: str) -> None:
    found = encoder(name)
    assert isinstance(found, Encoder)
    assert found.name == name
    assert len(found.fingerprint) == 64
    images = found.encode_images([picture(i) for i in range(5)])
    prompts = found.encode_prompts(["a red house", None, "a warm portrait"])
    assert images.shape == (5, found.image_dim)
    assert prompts.shape == (3, found.prompt_dim)
    assert images.dtype == prompts.dtype == np.float32
    np.testing.assert_array_equal(prompts[1], 0)
    np.testing.assert_allclose(np.linalg.norm(prompts[[0, 2]], axis=1), 1, rtol=1e-5)
    assert found.encode_images([]).shape == (0, found.image_dim)
    assert np.abs(images[0] - images[1]).max() > 1e-3


def test_batch_size_and_neighbours_do_not_matter(name: str) -> None:
    images = [picture(i) for i in range(21)]
    prompts = [f"a picture of {i} trees" for i in range(21)]
    whole = encoder(name, batch_size=64)
    expected, texts = whole.encode_images(images), whole.encode_prompts(prompts)
    scale = np.abs(expected).max()
    for batch_size, workers in [(1, 0), (4, 1), (10, 3)]:
        other = encoder(name, batch_size, workers)
        assert other.fingerprint == whole.fingerprint
        np.testing.assert_allclose(other.encode_images(images), expected, atol=TOLERANCE * scale)
        np.testing.assert_allclose(other.encode_prompts(prompts), texts, atol=TOLERANCE)
    np.testing.assert_allclose(
        whole.encode_images(images[::-1])[::-1], expected, atol=TOLERANCE * scale
    )
    np.testing.assert_array_equal(whole.encode_images(images), expected)


def test_path_pil_and_array_are_the_same_picture(name: str, tmp_path: Path) -> None:
    Image.fromarray(picture(3)).save(tmp_path / "p.png")
    found = encoder(name)
    rows = found.encode_images(
        [tmp_path / "p.png", Image.open(tmp_path / "p.png"), picture(3)], label="encode"
    )
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


def test_an_undecodable_picture_among_good_ones_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    for workers in (0, 2):
        with pytest.raises(PamelaError, match=r"bad\.jpg: does not decode"):
            encoder(name, workers=workers).encode_images([picture(0), tmp_path / "bad.jpg"] * 20)


# --- open_clip ------------------------------------------------------------------------------------


def test_open_clip_features_are_the_models_own(local: str) -> None:
    model, preprocess = open_clip.create_model_from_pretrained(local)
    model.eval()
    image = Image.fromarray(picture(0))
    prompt = "a photo of a cat"
    with torch.inference_mode():
        expected = model.encode_image(preprocess(image)[None], normalize=True).numpy()
        text = model.encode_text(open_clip.get_tokenizer(local)([prompt]), normalize=True).numpy()
    found = encoder(local)
    assert (found.image_dim, found.prompt_dim) == (DIM, DIM)
    np.testing.assert_allclose(found.encode_images([image]), expected, atol=1e-5)
    np.testing.assert_allclose(found.encode_prompts([prompt]), text, atol=1e-5)


def test_fingerprint_follows_weights_and_configuration(local: str, tmp_path: Path) -> None:
    first = encoder(local).fingerprint
    assert encoder(write_open_clip(tmp_path / "same")).fingerprint == first
    assert encoder(write_open_clip(tmp_path / "other", seed=1)).fingerprint != first
    changed = write_open_clip(tmp_path / "changed")
    preprocess = {**CONFIG["preprocess_cfg"], "interpolation": "bilinear"}
    config = json.dumps({**CONFIG, "preprocess_cfg": preprocess})
    (tmp_path / "changed" / CONFIG_FILE).write_text(config)
    assert encoder(changed).fingerprint != first


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("ViT-B-23/openai", r"no open_clip model 'ViT-B-23'; did you mean ViT-B-32"),
        ("ViT-B-32", r"no pretrained weights ''; it has openai"),
        ("ViT-B-32/nobody", r"no pretrained weights 'nobody'; it has openai"),
        ("precomputed", r"no encoder for new pictures"),
        ("local-dir:/nowhere", r"/nowhere/open_clip_config\.json: no such file"),
    ],
)
def test_an_unknown_encoder_is_one_clear_line(wrong: str, message: str) -> None:
    with pytest.raises(PamelaError, match=message) as caught:
        encoder(wrong)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_here_say_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PamelaError, match=r"not on this machine .* local-dir:<path>"):
        encoder("ViT-B-32/laion2b_s34b_b79k")
    assert hub.HF_HUB_OFFLINE is True


def test_a_folder_without_weights_is_an_error_not_a_random_model(
    local: str, tmp_path: Path
) -> None:
    shutil.copy(Path(local.removeprefix("local-dir:")) / CONFIG_FILE, tmp_path)
    with pytest.raises(PamelaError, match=r"could not be loaded .* safetensors weights"):
        encoder(f"local-dir:{tmp_path}")


def test_weights_of_another_size_are_an_error(local: str, tmp_path: Path) -> None:
    shutil.copytree(Path(local.removeprefix("local-dir:")), tmp_path / "m")
    config = json.loads((tmp_path / "m" / CONFIG_FILE).read_text())
    config["model_cfg"]["embed_dim"] = DIM + 8
    (tmp_path / "m" / CONFIG_FILE).write_text(json.dumps(config))
    said = (
        r"could not be loaded \(.*size mismatch.*weights must be there, whole, and of the network"
    )
    with pytest.raises(PamelaError, match=said):
        encoder(f"local-dir:{tmp_path / 'm'}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": [123.7, 116.3, 103.5]}, r"preprocess_cfg\.mean\.0: Input should be less than or"),
        (
            {"std": [58.4, 57.1, 57.4]},
            r"preprocess_cfg\.std\.0: Input should be less than or equal",
        ),
        ({"interpolaton": "bilinear"}, r"unknown key preprocess_cfg\.interpolaton"),
    ],
)
def test_preprocessing_that_open_clip_would_not_heed_is_refused(local, tmp_path, changes, said):
    shutil.copytree(Path(local.removeprefix("local-dir:")), tmp_path / "m")
    config = json.loads((tmp_path / "m" / CONFIG_FILE).read_text())
    config["preprocess_cfg"] |= changes
    (tmp_path / "m" / CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(PamelaError, match=said):
        encoder(f"local-dir:{tmp_path / 'm'}")


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is one")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    assert resolve_device("auto") == "cpu"
    with pytest.raises(PamelaError, match="no CUDA device"):
        resolve_device("gpu")


# --- pictures -------------------------------------------------------------------------------------


def test_transparency_lies_on_white_and_sixteen_bits_are_scaled() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert open_rgb(clear, "x").getpixel((0, 0)) == (255, 255, 255)
    grey = Image.fromarray(np.full((4, 4), 32768, np.uint16))
    assert open_rgb(grey, "x").getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros(3, np.uint8)]
)
def test_an_array_that_is_no_picture_is_named(array: np.ndarray) -> None:
    with pytest.raises(PamelaError, match="image 7: an array of"):
        open_rgb(array, "image 7")


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (Image.new("RGB", (0, 0)), "0 x 0 pixels: there is none"),
        (Image.new("RGB", (0, 5)), "0 x 5 pixels: there is none"),
        (Image.fromarray(np.full((4, 4), 200, np.int32)), "whole numbers of 32 bits; give one of"),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), "floats; give one of 8 bits"),
    ],
)
def test_an_image_without_pixels_or_white_is_named(image: Image.Image, says: str) -> None:
    with pytest.raises(PamelaError, match=f"image 7: does not decode as an image .*{says}"):
        open_rgb(image, "image 7")


def test_a_square_picture_of_the_right_size_is_left_alone() -> None:
    np.testing.assert_array_equal(
        to_square(Image.fromarray(picture(0, (8, 8))), 8), picture(0, (8, 8))
    )


@given(st.integers(1, 300), st.integers(1, 300))
def test_padding_never_cuts_and_knows_few_sizes(rows: int, batch_size: int) -> None:
    rows = min(rows, batch_size)
    size = padded_size(rows, batch_size)
    assert rows <= size <= max(batch_size, rows)
    assert size == batch_size or size in (8, 16, 32, 64, 128, 256)


def test_openmp_threads_do_not_spin_while_pictures_are_decoded() -> None:
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
