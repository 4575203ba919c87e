"""Ratings by source: a file each, and what comes out is the same however they are read."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from benchmarks import scale
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.data.partitions import partition_name, partitions_of
from pamela.validation import division
from tests.helpers.bad_data import run as run_all
from tests.helpers.folders import make_project, write_release

ROWS = 3_000
OUTPUTS = ("tables", "validated", "quarantine", "splits")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path / "p")


def make(folder: Path, rows: int = ROWS, suffix: str = ".csv") -> Project:
    """Make a project with one dataset of the benchmark's kind, some rows faulty or repeated."""
    project = make_project(
        folder,
        ingest={"datasets": [scale.DATASET]},
        validate={"max_quarantined_share": 0.1},
        split={"folds": 2},
    )
    scale.make_dataset(project.raw / scale.DATASET, rows, suffix)
    return project


def add_batch(project: Project, name: str, rows: int = 60) -> None:
    """Add a batch; its last row contradicts what was accepted."""
    folder = project.batches / scale.DATASET / name
    scale.make_batch(folder, rows, ROWS)
    base = pl.read_parquet(project.validated / "ratings.parquet").row(0, named=True)
    path = folder / "ratings.csv"
    frame = pl.read_csv(path, infer_schema=False)
    again = frame.head(1).with_columns(
        user_id=pl.lit(base["user_id"]),
        image_id=pl.lit(base["image_id"]),
        rating=pl.lit(str(1 + base["rating"] % 5)),
    )
    pl.concat([frame, again]).write_csv(path)


def run(project: Project) -> dict[str, bytes]:
    """Run the three stages; return every output file's bytes."""
    for stage in scale.STAGES:
        scale.WORK[stage](project)
    return {
        str(path.relative_to(project.root)): path.read_bytes()
        for name in OUTPUTS
        for path in sorted((project.root / "data" / name).rglob("*"))
        if path.is_file()
    }


def test_the_same_rows_give_the_same_bytes_and_a_batch_is_a_file_more(project: Project) -> None:
    before = run(project)
    assert run(project) == before
    add_batch(project, "b1")
    add_batch(project, "b1-late")
    after = run(project)
    for stage in ("tables", "validated"):
        folder = f"data/{stage}/ratings.parquet"
        own = f"{folder}/{scale.DATASET}.parquet"
        assert after[own] == before[own]  # the dataset's own rows stay as they are
        files = partitions_of(project.root / folder, scale.DATASET)
        assert [path.stem for path in files] == ["big", "big@b1", "big@b1-late"]
        table = pl.read_parquet(project.root / folder)
        assert table.schema == s.RATINGS_SCHEMA
        assert table.height == sum(pl.read_parquet(path).height for path in files)
    shutil.rmtree(project.batches)
    assert run(project) == before


def test_a_dataset_with_the_start_of_anothers_name_is_another(tmp_path: Path) -> None:
    for dataset, batch in (("a", None), ("a", "x"), ("a", "x.1"), ("ab", None), ("a-b", "x")):
        (tmp_path / partition_name(dataset, batch)).touch()
    found = [path.name for path in partitions_of(tmp_path, "a")]
    assert found == ["a.parquet", "a@x.parquet", "a@x.1.parquet"]


def test_pieces_of_any_size_give_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    add_batch(project, "b1")
    whole = run(project)
    monkeypatch.setattr(division, "ROW_GROUP", 700)
    assert run(project) == whole


def test_csv_and_parquet_bring_the_same_rows(tmp_path: Path) -> None:
    found = {}
    for suffix in (".csv", ".parquet"):
        project = make(tmp_path / suffix, suffix=suffix)
        run(project)
        rows = pl.read_parquet(project.validated / "ratings.parquet")
        found[suffix] = rows.drop("source_file")
    assert found[".csv"].equals(found[".parquet"])
    assert found[".csv"]["rated_at"].null_count() == 0


def test_a_picture_that_comes_or_goes_changes_what_its_ratings_are_worth(tmp_path: Path) -> None:
    project = make_project(
        tmp_path, ingest={"datasets": ["r"]}, validate={"max_quarantined_share": 1.0}
    )
    write_release(project.raw / "r")

    def faulty() -> int:
        run_all(project)
        return int(
            read_json(project.reports / "validation.json")["datasets"]["r"]["rows_quarantined"]
        )

    assert faulty() == 0
    picture = project.raw / "r/PAMELA/images/0.jpg"
    content = picture.read_bytes()
    picture.unlink()
    assert faulty() == 2  # a and b rated it
    picture.write_bytes(content)
    assert faulty() == 0


def test_an_expectation_about_all_rows_is_refused_for_ratings(project: Project) -> None:
    path = project.expectations / "ratings.json"
    path.write_text(
        path.read_text().replace(
            '"expect_column_values_to_not_be_null"', '"expect_column_values_to_be_unique"'
        )
    )
    scale.do_ingest(project)
    with pytest.raises(PamelaError, match="looks at all rows together"):
        scale.do_validate(project)
