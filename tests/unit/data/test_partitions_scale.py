"""Large tables: pieces, caches and batches change how long it takes, never what comes out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from benchmarks import scale
from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.data import partitions
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
    """Add a batch; its first row contradicts what stands."""
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


def test_cold_warm_and_incremental_runs_write_the_same_bytes(project: Project) -> None:
    cold = run(project)
    assert run(project) == cold
    add_batch(project, "b1")
    add_batch(project, "b2")
    incremental = run(project)
    assert incremental != cold
    shutil.rmtree(project.part_cache)
    assert run(project) == incremental
    shutil.rmtree(project.batches / scale.DATASET / "b2")
    shutil.rmtree(project.batches / scale.DATASET / "b1")
    assert run(project) == cold


def test_an_unchanged_source_is_not_read_judged_or_split_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    add_batch(project, "b1")
    built: list[str] = []
    build = partitions.ChunkWriter.close

    def note(self: partitions.ChunkWriter) -> None:
        built.append(f"{self.rows}")
        build(self)

    monkeypatch.setattr(partitions.ChunkWriter, "close", note)
    run(project)
    assert built
    assert max(map(int, built)) <= 61  # the batch's rows, not the dataset's


def test_pieces_of_any_size_give_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    add_batch(project, "b1")
    whole = run(project)
    shutil.rmtree(project.part_cache)
    monkeypatch.setattr(partitions, "CHUNK", 700)
    pieces = run(project)
    assert pieces.keys() == whole.keys()
    for name in whole:
        if name.endswith("ratings.parquet"):  # other row groups, the same rows
            path = project.root / name
            path.with_name("whole").write_bytes(whole[name])
            assert pl.read_parquet(path).equals(pl.read_parquet(path.with_name("whole"))), name
        elif not name.endswith("parts.json"):
            assert pieces[name] == whole[name], name


def test_csv_and_parquet_bring_the_same_rows(tmp_path: Path) -> None:
    found = {}
    for suffix in (".csv", ".parquet"):
        project = make(tmp_path / suffix, suffix=suffix)
        run(project)
        rows = pl.read_parquet(project.validated / "ratings.parquet")
        found[suffix] = rows.drop("source_file")
    assert found[".csv"].equals(found[".parquet"])
    assert found[".csv"]["rated_at"].null_count() == 0


def test_a_changed_file_is_read_again_whatever_its_time(project: Project) -> None:
    run(project)
    path = project.raw / scale.DATASET / "ratings.csv"
    state = path.stat()
    text = path.read_text()
    path.write_text(text[:-40] + text[-40:].replace("2", "3"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    run(project)
    rows = pl.read_parquet(project.tables / "ratings.parquet")
    fresh = pl.read_csv(path, try_parse_dates=True)
    assert rows["rated_at"].equals(fresh["rated_at"].cast(pl.Datetime("us")))


def test_a_changed_suite_judges_again(project: Project) -> None:
    run(project)
    path = project.expectations / "ratings.json"
    text = path.read_text()
    path.write_text(text.replace('{"$PARAMETER": "scale_high"}', "4"))
    with pytest.raises(PamelaError, match="mostly rating_off_scale"):
        scale.do_validate(project)  # a fifth of the ratings is 5


def test_a_picture_that_comes_or_goes_judges_its_ratings_again(tmp_path: Path) -> None:
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
