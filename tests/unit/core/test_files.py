"""Files that machines and people compare: the same figures give the same bytes."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from pamela.core import timeline
from pamela.core.errors import DiskFullError
from pamela.core.files import (
    atomic_folder,
    sink_parquet,
    write_csv,
    write_json,
    write_metrics,
    write_parquet,
)

NUMBERS = pl.DataFrame({"a": np.random.default_rng(0).random(20_000)})


def write_folder(path, _):
    with atomic_folder(path) as folder:
        (folder / "x").write_bytes(bytes(200_000))


def write_timeline(path, _):
    timeline.record("step", name="x" * 200_000)


@pytest.mark.parametrize(
    "write",
    [
        write_json,
        lambda path, _: write_csv(path, NUMBERS),
        lambda path, _: write_parquet(path, NUMBERS),
        lambda path, _: sink_parquet(path, NUMBERS.lazy()),
        write_folder,
        write_timeline,
    ],
    ids=["json", "csv", "parquet", "sink", "folder", "timeline"],
)
def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path, monkeypatch, small_disk, write):
    folder = tmp_path / "quarantine"
    small_disk(folder, 64)
    monkeypatch.setenv(timeline.FILE_ENV, str(folder / "stage.jsonl"))
    with pytest.raises(DiskFullError, match=f"^{folder}: no space is left there; make room"):
        write(folder / "x.json", list(range(20_000)))
    assert [path.name for path in folder.iterdir()] in ([], ["stage.jsonl"])


def test_figures_that_differ_beyond_the_third_digit_are_the_same_file(tmp_path):
    for name, noise in (("one", 0.0), ("two", 3e-9)):
        write_metrics(tmp_path / name, {"srocc": 0.59269393 + noise, "n": 864, "skipped": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert json.loads((tmp_path / "one").read_text()) == {"srocc": 0.593, "n": 864, "skipped": 1}


def test_csv_holds_numbers_as_people_write_them(tmp_path):
    write_csv(tmp_path / "curve.csv", pl.DataFrame({"shots": [0, 5], "srocc": [0.5, None]}))
    assert (tmp_path / "curve.csv").read_text() == "shots,srocc\n0,0.500000\n5,\n"
