from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pamela.core.errors import PamelaError
from pamela.core.images import open_rgb
from pamela.features.encoders.base import resolve_device
from pamela.features.encoders.clip import CONFIG_FILE, padded_size, state_fingerprint
from pamela.features.encoders.embedded_clip.architecture import register_trunk
from pamela.features.encoders.embedded_clip.encoder import (
    FOLDER,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
    embedded_encoder,
    normalise_pixels,
    open_clip_model,
)
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
from pamela.features.encoders.embedded_clip.training_data import looks
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
    with pytest.raises(PamelaError, match="could not be loaded"):
        encoder(f"local-dir:{tmp_path / 'm'}")


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a GPU where there is one")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    assert resolve_device("auto") == "cpu"
    with pytest.raises(PamelaError, match="no CUDA device"):
        resolve_device("gpu")


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
    from pamela.features.encoders.embedded_clip.card import MEAN_R2, measure
    from pamela.features.encoders.embedded_clip.train import SIDE, untrained_encoder
    from pamela.features.encoders.embedded_clip.training_data import render_pool

    pool = render_pool(3000, SIDE, seed=271_828)  # a seed of neither the training nor the card
    figures = measure(embedded_encoder("auto", 64, 2), untrained_encoder(FOLDER, pool), pool)
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
    assert int(row.argmax()) == end == tokenizer.encode(text).index(tokenizer.end)
    assert all(i != PAD for i in ids[:end])
    assert all(i == PAD for i in ids[end + 1 :])
    assert max(ids) < tokenizer.vocab_size


def test_words_have_their_own_ids_and_strangers_share_one(tmp_path: Path) -> None:
    tokenizer = WordTokenizer(WORDS, 8)
    assert tokenizer.encode("A red HOUSE") == [START, 3, 5, 4, tokenizer.end]
    assert tokenizer.encode("quark gluon")[1:-1] == [UNKNOWN, UNKNOWN]
    tokenizer.save(tmp_path / "v.txt")
    assert WordTokenizer.load(tmp_path / "v.txt", 8).words == WORDS


def test_vocabulary_holds_what_occurs_often_enough() -> None:
    assert build_vocabulary(["a red house", "a blue house, big"]) == ["a", "house"]


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


def test_recall_is_one_for_equals_and_chance_for_strangers() -> None:
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


def test_openmp_threads_do_not_spin_while_pictures_are_decoded() -> None:
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
