"""Encoding by workers, here threads; on real clusters: tests/pipeline/test_cluster.py."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.features import embed, workers
from pamela.features.workers import LARGEST, Workers, chunk_size
from pamela.params import Params
from tests.helpers.encoder_kit import make_project, params_with, write_images, write_open_clip
from tests.helpers.pool_engine import ThreadEngine, threads
from tests.helpers.stages import run_stage

SEEDS = range(12)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_open_clip(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ThreadEngine]]:
    """Let the embed stage encode on threads as on a cluster; yield what was started."""
    started: list[ThreadEngine] = []

    @contextmanager
    def on_threads(params: Params, encoder) -> Iterator[Workers]:
        runner, engine = threads()
        started.append(engine)
        yield Workers(runner, params.embed, encoder)
        runner.close()

    monkeypatch.setattr(embed, "open_workers", on_threads)
    workers._opened.cache_clear()
    yield started
    workers._opened.cache_clear()


def arrays(project: Project) -> tuple[np.ndarray, np.ndarray]:
    return np.load(project.features / "image.npy"), np.load(project.features / "prompt.npy")


def keys_of(project: Project, kind: str) -> list[str]:
    parts = (project.features / "cache").glob(f"*/{kind}/*.parquet")
    return pl.concat([read_parquet(part) for part in parts])["key"].to_list()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, encoder: str) -> Project:
    """The same pictures, encoded in this process."""
    project, _ = make_project(tmp_path_factory.mktemp("local"), SEEDS, encoder)
    run_stage("embed", project, params_with(encoder, batch_size=2))
    return project


def test_workers_write_what_this_process_would(
    tmp_path: Path, encoder: str, local: Project, engines: list[ThreadEngine]
):
    project, _ = make_project(tmp_path, SEEDS, encoder)
    params = params_with(encoder, batch_size=2)
    run_stage("embed", project, params)
    for found, expected in zip(arrays(project), arrays(local), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert engines[0].submitted == 1 + 6 + 6  # the encoder, chunks of pictures, of prompts
    for kind in ("image", "prompt"):
        assert sorted(keys_of(project, kind)) == sorted(keys_of(local, kind))
    assert read_json(project.features / "features.json") == read_json(
        local.features / "features.json"
    )
    run_stage("embed", project, params)  # nothing is new: no cluster starts
    assert engines[1].submitted == 0


def test_chunks_that_are_done_stay(tmp_path: Path, encoder: str, engines: list[ThreadEngine]):
    project, _ = make_project(tmp_path, SEEDS, encoder)
    params = params_with(encoder, batch_size=2)
    broken = tmp_path / "data/raw/d/11.png"
    whole = broken.read_bytes()
    broken.write_bytes(b"not a picture")
    with pytest.raises(PamelaError, match=r"^pictures 11 to 12: on .*11\.png: not the picture"):
        run_stage("embed", project, params)
    done = keys_of(project, "image")
    assert 2 <= len(done) <= 10
    broken.write_bytes(whole)
    run_stage("embed", project, params)
    assert engines[1].submitted == 1 + (12 - len(done)) // 2 + 6
    assert len(keys_of(project, "image")) == len(set(keys_of(project, "image"))) == 12


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda root: (root / "data/raw/d/1.png").unlink(), r"1\.png: no such .* under this path"),
        (lambda root: write_open_clip(root / "encoder", seed=1), "other weights"),
    ],
)
def test_workers_that_see_other_files_are_refused(
    change: Callable[[Path], object],
    match: str,
    tmp_path: Path,
    engines: list[ThreadEngine],
    monkeypatch: pytest.MonkeyPatch,
):
    project, params = make_project(tmp_path, [1, 2], write_open_clip(tmp_path / "encoder"))
    opened = embed.open_encoder

    def open_then_change(*args):
        encoder = opened(*args)
        change(tmp_path)
        return encoder

    monkeypatch.setattr("flows.embed.open_encoder", open_then_change)
    with pytest.raises(PamelaError, match=match):
        run_stage("embed", project, params)


def test_features_are_kept_by_what_the_workers_compute_in(
    tmp_path: Path, encoder: str, engines: list[ThreadEngine], monkeypatch: pytest.MonkeyPatch
):
    """As where workers have GPUs and the machine of the command has none."""
    project, params = make_project(tmp_path, [1, 2], encoder)
    opened = workers.get_encoder

    def on_gpu(*args, **kwargs):
        found = copy.copy(opened(*args, **kwargs))
        found.precision = "bf16"
        return found

    monkeypatch.setattr(workers, "get_encoder", on_gpu)
    run_stage("embed", project, params)
    assert read_json(project.features / "features.json")["precision"] == "bf16"
    (folder,) = (project.features / "cache").iterdir()
    assert folder.name.endswith("-bf16")


def test_workers_of_two_kinds_are_refused(encoder: str):
    params = params_with(encoder).embed
    found = embed.open_encoder(params)
    wanted = workers.Wanted(params, found.fingerprint, "bf16")
    with pytest.raises(PamelaError, match="encodes in fp32, another worker in bf16"):
        workers.encode_prompts(workers.Chunk(wanted, "prompts", 0, ["k"], ["a tree"]))


def test_hashes_are_computed_where_the_table_has_none(
    tmp_path: Path, encoder: str, local: Project, engines: list[ThreadEngine]
):
    project, _ = make_project(tmp_path, SEEDS, encoder)
    frame = read_parquet(project.validated / "images.parquet")
    write_images(project, frame.select(s.DATASET, s.IMAGE, s.FILE, s.PROMPT))
    run_stage("embed", project, params_with(encoder, batch_size=2))
    np.testing.assert_array_equal(arrays(project)[0], arrays(local)[0])


def test_an_encoder_in_a_folder_is_named_from_the_root(
    tmp_path: Path, encoder: str, monkeypatch: pytest.MonkeyPatch
):
    folder = Path(encoder.removeprefix("local-dir:"))
    monkeypatch.chdir(folder.parent)
    assert workers._absolute(f"local-dir:{folder.name}") == encoder
    assert workers._absolute("ViT-B-32/openai") == "ViT-B-32/openai"
    assert workers._absolute("embedded") == "embedded"


@given(st.integers(1, 10**7), st.integers(1, 512), st.integers(1, 2048))
def test_chunks_are_whole_batches_for_every_worker(rows: int, slots: int, batch: int):
    size = chunk_size(rows, slots, batch)
    assert size % batch == 0
    assert size <= max(LARGEST, batch)
    if rows >= 16 * slots * batch and size < LARGEST - batch:
        assert rows / size >= slots * 4
