from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet, write_json
from pamela.core.paths import Project
from pamela.features.encoders.clip import ClipEncoder
from tests.helpers.encoder_kit import (
    CONFIG,
    DIM,
    make_project,
    params_with,
    write_images,
    write_open_clip,
)
from tests.helpers.stages import run_stage


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_open_clip(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """Record what the real encoder is asked to encode."""
    seen: dict[str, list] = {"images": [], "prompts": []}
    images, prompts = ClipEncoder.encode_images, ClipEncoder.encode_prompts

    def count_images(self, batch, label=None):
        seen["images"] += [path.name for path in batch]
        return images(self, batch, label)

    def count_prompts(self, batch):
        seen["prompts"] += batch
        return prompts(self, batch)

    monkeypatch.setattr(ClipEncoder, "encode_images", count_images)
    monkeypatch.setattr(ClipEncoder, "encode_prompts", count_prompts)
    return seen


def arrays(project: Project) -> tuple[np.ndarray, np.ndarray]:
    return np.load(project.features / "image.npy"), np.load(project.features / "prompt.npy")


def test_writes_features_in_the_order_of_validated_images(tmp_path: Path, encoder: str) -> None:
    prompts = ["a red tree", None, "a red tree"]
    project, params = make_project(tmp_path, [5, 3, 4], encoder, prompts)
    run_stage("embed", project, params)
    image, prompt = arrays(project)
    index = read_parquet(project.features / "index.parquet")
    assert index.columns == [s.DATASET, s.IMAGE, s.SHA256]
    assert index[s.IMAGE].to_list() == ["i5", "i3", "i4"]
    assert image.dtype == prompt.dtype == np.float32
    assert image.shape == prompt.shape == (3, DIM)
    np.testing.assert_allclose(np.linalg.norm(image, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(prompt[1], 0)
    np.testing.assert_array_equal(prompt[0], prompt[2])
    meta = read_json(project.features / "features.json")
    assert meta["encoder"] == encoder
    assert (meta["image_dim"], meta["prompt_dim"]) == (DIM, DIM)
    assert len(meta["fingerprint"]) == 64
    # Rows belong to their pictures: one alone has the same features.
    other, _ = make_project(tmp_path / "alone", [3], encoder)
    run_stage("embed", other, params)
    np.testing.assert_allclose(arrays(other)[0][0], image[1], atol=1e-5)


def test_which_network_and_preprocessing_are_used_is_recorded_and_told(
    tmp_path: Path, encoder: str, capfd: pytest.CaptureFixture[str]
) -> None:
    project, params = make_project(tmp_path, [1], encoder)
    run_stage("embed", project, params)
    meta = read_json(project.features / "features.json")
    kept = {key: meta["preprocess"][key] for key in ("mean", "std", "interpolation", "resize_mode")}
    assert kept == {key: CONFIG["preprocess_cfg"][key] for key in kept}
    assert (meta["activation"], meta["known_from"]) == ("GELU", "its open_clip_config.json")
    line = capfd.readouterr().out.splitlines()[0]
    assert "GELU; pictures 32x32, shortest, bicubic, mean 0.48 0.46 0.41, std 0.27" in line


@pytest.mark.parametrize(("name", "reads"), [("open_clip", 77), ("embedded", 52)])
def test_prompts_that_are_cut_are_counted_and_told(
    name: str, reads: int, tmp_path: Path, encoder: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, cut = "tree " * (reads - 2), "tree " * (reads - 1)  # beside start and end
    longest = cut + "and another"
    project, params = make_project(
        tmp_path, [1, 2, 3, 4, 5], encoder if name == "open_clip" else name,
        [whole, cut, None, longest, cut],
    )  # fmt: skip
    run_stage("embed", project, params)
    read = read_json(project.features / "features.json")["prompts"]
    assert (read["distinct"], read["cut"], read["context_length"]) == (3, 2, reads)
    assert (read["longest"], read["example"][s.IMAGE]) == (reads + 3, "i4")
    assert len(read["cut_keys"]) == 2
    told = capfd.readouterr().err
    assert f"2 of 3 prompts are longer than the {reads} tokens" in told
    assert "d/i4 ('tree tree" in told
    prompt = arrays(project)[1]  # and so it is: what is beyond changes nothing
    np.testing.assert_array_equal(prompt[[1, 3, 4]], prompt[[0, 0, 0]])
    run_stage("embed", project, params)  # nothing is encoded anew, and it is told again
    assert "2 of 3 prompts" in capfd.readouterr().err


def test_prompts_without_a_known_word_are_counted_and_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prompts = ["a red house", "Пейзаж, 12", "Утро"]
    project, params = make_project(tmp_path, [1, 2, 3], "embedded", prompts)
    run_stage("embed", project, params)
    assert read_json(project.features / "features.json")["prompts"]["unread"] == 2
    assert "2 of 3 prompts have no word that embedded knows" in capfd.readouterr().err


def test_prompts_that_are_read_whole_are_no_matter(
    tmp_path: Path, encoder: str, capfd: pytest.CaptureFixture[str]
) -> None:
    project, params = make_project(tmp_path, [1], encoder, ["tree " * 75])
    run_stage("embed", project, params)
    read = read_json(project.features / "features.json")["prompts"]
    assert read == {"distinct": 1, "cut": 0, "unread": 0, "context_length": 77, "longest": 77}
    assert "warning" not in capfd.readouterr().err


def test_encodes_only_what_is_new(tmp_path: Path, encoder: str, encoded: dict[str, list]) -> None:
    project, params = make_project(tmp_path, [1, 2], encoder)
    run_stage("embed", project, params)
    assert sorted(encoded["images"]) == ["1.png", "2.png"]
    before = arrays(project)[0]
    for seen in encoded.values():
        seen.clear()
    run_stage("embed", project, params)  # as when only ratings were added
    assert encoded == {"images": [], "prompts": []}
    make_project(tmp_path, [2, 7, 1], encoder)
    run_stage("embed", project, params)
    assert encoded == {"images": ["7.png"], "prompts": ["a picture of 7"]}
    np.testing.assert_array_equal(arrays(project)[0][[2, 0]], before)


def test_a_picture_under_two_ids_is_encoded_once(
    tmp_path: Path, encoder: str, encoded: dict[str, list]
) -> None:
    project, params = make_project(tmp_path, [1], encoder)
    frame = read_parquet(project.validated / "images.parquet")
    twice = pl.concat([frame, frame.with_columns(pl.lit("again").alias(s.IMAGE))])
    write_images(project, twice.select(s.DATASET, s.IMAGE, s.FILE, s.SHA256, s.PROMPT))
    run_stage("embed", project, params)
    assert encoded["images"] == ["1.png"]
    np.testing.assert_array_equal(*arrays(project)[0])


def test_a_vanished_picture_leaves_the_index_and_stays_in_the_cache(
    tmp_path: Path, encoder: str, encoded: dict[str, list]
) -> None:
    project, params = make_project(tmp_path, [1, 2], encoder)
    run_stage("embed", project, params)
    make_project(tmp_path, [2], encoder)
    run_stage("embed", project, params)
    assert read_parquet(project.features / "index.parquet")[s.IMAGE].to_list() == ["i2"]
    assert arrays(project)[0].shape == (1, DIM)
    encoded["images"].clear()
    make_project(tmp_path, [1, 2], encoder)
    run_stage("embed", project, params)
    assert encoded["images"] == []


def test_other_weights_do_not_reuse_the_cache(tmp_path: Path, encoded: dict[str, list]) -> None:
    folder = tmp_path / "encoder"
    project, params = make_project(tmp_path, [1], write_open_clip(folder))
    run_stage("embed", project, params)
    first = arrays(project)[0]
    write_open_clip(folder, seed=1)  # under the same name
    run_stage("embed", project, params)
    assert encoded["images"] == ["1.png", "1.png"]
    assert not np.allclose(first, arrays(project)[0], atol=1e-3)


def test_hash_is_computed_where_the_table_has_none(tmp_path: Path, encoder: str) -> None:
    project, params = make_project(tmp_path, [1, 2], encoder)
    run_stage("embed", project, params)
    expected = arrays(project)[0]
    frame = read_parquet(project.validated / "images.parquet")
    write_images(project, frame.select(s.DATASET, s.IMAGE, s.FILE, s.PROMPT))
    run_stage("embed", project, params)
    np.testing.assert_array_equal(arrays(project)[0], expected)


def test_a_dataset_without_pictures_needs_precomputed(tmp_path: Path, encoder: str) -> None:
    project, params = make_project(tmp_path, [1], encoder)
    frame = read_parquet(project.validated / "images.parquet")
    write_images(project, frame.with_columns(pl.lit(None, pl.String).alias(s.FILE)))
    with pytest.raises(PamelaError, match=r"dataset d: no picture .* i1; .*precomputed"):
        run_stage("embed", project, params)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_an_undecodable_picture_is_named(tmp_path: Path, encoder: str, content: bytes) -> None:
    project, params = make_project(tmp_path, [1, 2, 3], encoder)
    (tmp_path / "data/raw/d/2.png").write_bytes(content)
    with pytest.raises(PamelaError, match=r"data/raw/d/2\.png: does not decode"):
        run_stage("embed", project, params)
    assert not (project.features / "features.json").exists()


def test_a_missing_picture_is_named(tmp_path: Path, encoder: str) -> None:
    project, params = make_project(tmp_path, [1, 2], encoder)
    (tmp_path / "data/raw/d/2.png").unlink()
    with pytest.raises(PamelaError, match=r"2\.png: no such image file"):
        run_stage("embed", project, params)


# --- precomputed ----------------------------------------------------------------------------------


def precomputed_project(
    root: Path, ids: list[str], values: np.ndarray, images: dict[str, list[str]] | None = None
) -> Project:
    """Write a project whose datasets share one features file (dataset `e` has its own copy)."""
    project = Project(root)
    rows = [(d, i) for d, own in (images or {"d": ["a", "b"]}).items() for i in own]
    frame = pl.DataFrame(rows, schema=[s.DATASET, s.IMAGE], orient="row")
    write_images(project, frame.with_columns(pl.lit(None, pl.String).alias(s.FILE)))
    path = root / "data" / "raw" / "d" / "features.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, image_id=np.array(ids), features=values)
    meta = read_json(project.tables / "datasets.json")
    for own in meta.values():
        own["batch_features"] = []
    meta["d"]["features"] = "data/raw/d/features.npz"
    write_json(project.tables / "datasets.json", meta)
    return project


def test_a_batch_brings_features_of_its_own_pictures(tmp_path: Path) -> None:
    project = precomputed_project(tmp_path, ["a"], np.array([[1.0, 2.0]]))
    np.savez(tmp_path / "more.npz", image_id=np.array(["b", "a"]), features=np.full((2, 2), 9.0))
    meta = read_json(project.tables / "datasets.json")
    meta["d"]["batch_features"] = ["more.npz"]
    write_json(project.tables / "datasets.json", meta)
    run_stage("embed", project, params_with("precomputed"))
    assert np.load(project.features / "image.npy").tolist() == [[1, 2], [9, 9]]


def test_precomputed_features_are_aligned_by_id(tmp_path: Path) -> None:
    values = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float64)
    project = precomputed_project(tmp_path, ["c", "b", "a"], values)
    run_stage("embed", project, params_with("precomputed"))
    image, prompt = arrays(project)
    np.testing.assert_array_equal(image, [[7, 8, 9], [4, 5, 6]])
    assert image.dtype == np.float32
    assert prompt.shape == (2, 0)
    assert read_json(project.features / "features.json") == {
        "encoder": "precomputed",
        "fingerprint": read_json(project.features / "features.json")["fingerprint"],
        "precision": "fp32",
        "image_dim": 3,
        "prompt_dim": 0,
    }


def two_widths(root: Path) -> Project:
    project = precomputed_project(root, ["a"], np.zeros((1, 3)), {"d": ["a"], "e": ["z"]})
    np.savez(root / "e.npz", image_id=np.array(["z"]), features=np.zeros((1, 4)))
    meta = read_json(project.tables / "datasets.json")
    meta["e"]["features"] = "e.npz"
    write_json(project.tables / "datasets.json", meta)
    return project


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda root: precomputed_project(root, ["a"], np.zeros((1, 3))),
            r"d/features\.npz: no features for 1 images, first b",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.array([[1.0], [np.nan]])),
            r"d/features\.npz: NaN .* first b",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b", "b"], np.zeros((3, 2))),
            r"1 image_ids occur twice",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.zeros(2)),
            r"features of shape \(2,\)",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.zeros((2, 0))),
            r"features of shape \(2, 0\); expected \(n, d\), d at least 1",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.full((2, 3), 0.5)),
            r"d/features\.npz: the same features for all 2 images",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.array([["1", "2"], ["3", "4"]])),
            r"d/features\.npz: features of <U1; save them as float32",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.array([[1j], [2j]])),
            r"features of complex128; save them as float32",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.array([[True], [False]])),
            r"features of bool; save them as float32",
        ),
        (
            lambda root: precomputed_project(root, ["a", "b"], np.array([[1e300], [1.0]])),
            r"NaN or infinite .* first a",
        ),
        (
            lambda root: precomputed_project(
                root, ["a"], np.zeros((1, 2)), {"d": ["a"], "e": ["z"]}
            ),
            r"dataset e has no features file",
        ),
        (two_widths, r"features of e have 4 dimensions, those of d 3"),
    ],
)
def test_faulty_precomputed_features_are_named(tmp_path: Path, build, message: str) -> None:
    with pytest.raises(PamelaError, match=message):
        run_stage("embed", build(tmp_path), params_with("precomputed"))


def test_a_features_file_that_is_none_is_named(tmp_path: Path) -> None:
    project = precomputed_project(tmp_path, ["a", "b"], np.zeros((2, 2)))
    (tmp_path / "data/raw/d/features.npz").write_bytes(b"nothing of the kind")
    with pytest.raises(PamelaError, match=r"features\.npz: not readable"):
        run_stage("embed", project, params_with("precomputed"))
    (tmp_path / "data/raw/d/features.npz").unlink()
    with pytest.raises(PamelaError, match=r"features\.npz: no such features file"):
        run_stage("embed", project, params_with("precomputed"))


def test_pictures_of_any_kind_become_rgb(tmp_path: Path, encoder: str) -> None:
    project, params = make_project(tmp_path, [1, 2, 3, 4], encoder)
    folder = tmp_path / "data/raw/d"
    base = Image.open(folder / "1.png").convert("RGB")
    base.quantize(64).save(folder / "2.png")
    base.convert("CMYK").save(folder / "3.png", format="JPEG", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned by 90 degrees
    base.transpose(Image.Transpose.ROTATE_90).save(folder / "4.png", exif=turned)
    frame = read_parquet(project.validated / "images.parquet")
    write_images(project, frame.select(s.DATASET, s.IMAGE, s.FILE, s.PROMPT))
    run_stage("embed", project, params)
    image = arrays(project)[0]
    assert (image @ image[0]).min() > 0.95  # palette and CMYK round the colours
    np.testing.assert_allclose(image[3], image[0], atol=1e-4)
