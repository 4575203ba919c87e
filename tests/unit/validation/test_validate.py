"""Validate: exactly the faulty rows are set apart, with rule and source row; nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data import image_files, ingest
from pamela.params import load_params
from pamela.validation import validate
from pamela.validation.expectations import load_suite, run_suite
from tests.helpers.folders import ROOT, make_project, ratings_of, write_picture, write_tables

ALL = 1.0  # a bound that no share exceeds


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "p", ingest={"datasets": ["d"]})
    write_tables(project.raw / "d")
    return project


def run(project: Project, max_share: float = ALL) -> dict[str, validate.TableResults]:
    """Do what the flows of ingest and validate do."""
    names = load_params(project.params_file).ingest.datasets
    datasets = [ingest.read_dataset(project, name) for name in names]
    ingest.write_tables(project, datasets, ingest.hash_pictures(project, datasets))
    suites, decoded = validate.load_suites(project), validate.decode_pictures(project)
    results = {n: validate.check_dataset(project, n, decoded, suites) for n in names}
    validate.write_quarantine(project, results)
    validate.write_validation_report(project, results, max_share)
    validate.write_validated(project, results, max_share)
    return results


def report(project: Project) -> dict[str, object]:
    """Read what was reported of dataset ``d``."""
    read: dict[str, object] = json.loads((project.reports / "validation.json").read_text())
    return read["datasets"]["d"]  # type: ignore[index,return-value]


def with_rows(project: Project, *rows: tuple[str, str, str]) -> None:
    """Append rating rows to dataset ``d``."""
    with (project.raw / "d/ratings.csv").open("a") as stream:
        stream.writelines(",".join(row) + "\n" for row in rows)


def test_sound_data_passes_whole(project: Project) -> None:
    run(project, max_share=0.0)
    for table in ("ratings", "users", "images"):
        before = pl.read_parquet(project.tables / f"{table}.parquet")
        assert pl.read_parquet(project.validated / f"{table}.parquet").equals(before)
    found = report(project)
    assert (found["rows_in"], found["rows_kept"], found["rows_quarantined"]) == (24, 24, 0)
    assert all(e["success"] for e in found["expectations"])  # type: ignore[attr-defined]
    assert pl.read_parquet(project.quarantine / "d/ratings.parquet").height == 0


def test_every_row_fault_is_set_apart_with_rule_and_source_row(project: Project) -> None:
    (project.raw / "d/images/i4.png").unlink()
    (project.raw / "d/images/i5.png").write_bytes(b"no picture")
    with_rows(
        project,
        ("u0", "i0", ""),
        ("u0", "i0", "nan"),
        ("u0", "i0", "5.01"),
        ("u0", "i0", "0"),
        ("u0", "nowhere", "3"),
        ("", "i0", "3"),
        ("u0", "", "99"),
        ("new", "i0", "5"),
    )
    run(project)
    bad = pl.read_parquet(project.quarantine / "d/ratings.parquet")
    assert bad.columns[:4] == ["rule", "rules", "source_file", "source_row"]
    assert set(bad.columns[4:]) == set(s.RATINGS_SCHEMA.names()) - {"source_file", "source_row"}
    by_row = dict(zip(bad["source_row"], bad["rule"], strict=True))
    pictures_of = dict.fromkeys((5, 11, 17, 23), "image_missing")
    pictures_of |= dict.fromkeys((6, 12, 18, 24), "image_undecodable")
    assert by_row == pictures_of | {
        25: "rating_missing",
        26: "rating_missing",
        27: "rating_off_scale",
        28: "rating_off_scale",
        29: "unknown_image",
        30: "user_missing",
        31: "rating_off_scale",
    }
    assert bad.filter(source_row=31)["rules"].to_list() == [["rating_off_scale", "unknown_image"]]
    assert set(bad["source_file"]) == {"data/raw/d/ratings.csv"}
    images = pl.read_parquet(project.quarantine / "d/images.parquet")
    assert images.select("rule", "source_file", "source_row", "image_id").rows() == [
        ("image_missing", "data/raw/d/images.csv", 5, "i4"),
        ("image_undecodable", "data/raw/d/images.csv", 6, "i5"),
    ]
    found = report(project)
    assert (found["rows_in"], found["rows_kept"], found["rows_quarantined"]) == (32, 17, 15)
    assert found["quarantined"] == {
        "image_missing": 4,
        "image_undecodable": 4,
        "rating_off_scale": 3,
        "rating_missing": 2,
        "unknown_image": 1,
        "user_missing": 1,
    }
    kept = pl.read_parquet(project.validated / "ratings.parquet")
    assert kept.height == 17
    assert not set(kept["source_row"]) & set(by_row)
    assert pl.read_parquet(project.validated / "images.parquet").height == 4


@settings(max_examples=15, deadline=None)
@given(
    cells=st.lists(
        st.sampled_from(["1", "5", "3.5", "", "nan", "inf", "x", "6", "0.99", "-1"]), min_size=1
    )
)
def test_rows_in_are_rows_kept_and_rows_quarantined(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    project = make_project(tmp_path_factory.mktemp("p"), ingest={"datasets": ["d"]})
    rows = ratings_of(len(cells), 1).with_columns(rating=pl.Series(cells))
    last = ratings_of(1, 1).with_columns(user_id=pl.lit("last"))
    write_tables(project.raw / "d", pl.concat([rows, last]))
    result = run(project)["d"]["ratings"]
    faulty = [row for row, cell in enumerate(cells, 1) if cell not in ("1", "5", "3.5")]
    assert result.quarantined["source_row"].to_list() == faulty
    assert result.rows_in == len(cells) + 1


@pytest.mark.parametrize(("table", "rows_in"), [("ratings", 24), ("users", 4), ("images", 6)])
def test_a_lost_row_stops_before_anything_is_passed_on(
    project: Project, table: str, rows_in: int
) -> None:
    results = run(project)
    whole = results["d"][table]
    short = tuple(rows.head(rows_in - 1) for rows in whole.kept)
    results["d"][table] = replace(whole, kept=short)
    with pytest.raises(PamelaError) as error:
        validate.write_validated(project, results, ALL)
    assert str(error.value) == (
        f"d {table}: {rows_in} rows in are not {rows_in - 1} kept + 0 quarantined; "
        "run `dvc repro` again"
    )
    assert not project.validated.exists()


def test_each_dataset_is_held_to_its_own_scale(tmp_path: Path) -> None:
    project = make_project(tmp_path, ingest={"datasets": ["d", "wide"]})
    six = ratings_of(1, 6).with_columns(rating=pl.lit("6"))
    write_tables(project.raw / "d", six)
    write_tables(project.raw / "wide", six, header="name: w\nscale: [1, 7]\n")
    with pytest.raises(PamelaError, match="d: 6 of 6 ratings"):
        run(project, max_share=0.5)
    assert pl.read_parquet(project.quarantine / "d/ratings.parquet").height == 6
    assert pl.read_parquet(project.quarantine / "wide/ratings.parquet").height == 0


def test_too_many_faults_fail_in_one_line_and_leave_no_validated_tables(project: Project) -> None:
    run(project)
    assert project.validated.is_dir()
    with_rows(project, ("u0", "i0", "9"), ("u0", "i1", "9"), ("u0", "i1", ""))
    with pytest.raises(PamelaError) as error:
        run(project, max_share=0.1)
    assert str(error.value) == (
        "d: 3 of 27 ratings (11.1%) break a rule, more than validate.max_quarantined_share 0.1; "
        "mostly rating_off_scale (2), first at data/raw/d/ratings.csv row 25; see "
        "data/quarantine/d/ratings.parquet"
    )
    assert not project.validated.exists()
    assert json.loads((project.reports / "validation.json").read_text())["passed"] is False
    run(project, max_share=3 / 27)  # a share at the bound passes


def test_a_batch_is_judged_with_its_own_source(project: Project) -> None:
    folder = project.batches / "d" / "b"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text("name: d\nscale: [1, 5]\n")
    (folder / "ratings.csv").write_text("user_id,image_id,rating\nnew,i0,2\nnew,i0,7\n")
    bad = run(project)["d"]["ratings"].quarantined
    assert bad.select("source_file", "source_row").rows() == [("data/batches/d/b/ratings.csv", 2)]


def test_without_pictures_none_is_looked_for(tmp_path: Path) -> None:
    project = make_project(tmp_path, ingest={"datasets": ["d"]})
    header = "name: d\nscale: [1, 5]\nfeatures: f.npz\n"
    folder = write_tables(project.raw / "d", header=header, pictures=False)
    np.savez(folder / "f.npz", image_id=np.array([f"i{i}" for i in range(6)]), features=np.eye(6))
    run(project, max_share=0.0)
    assert pl.read_parquet(project.validated / "images.parquet").height == 6
    write_picture(folder / "images/i0.png")  # now pictures are shipped, and five are absent
    with pytest.raises(PamelaError, match="mostly image_missing"):
        run(project, max_share=0.5)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_decodes(tmp_path: Path) -> None:
    good, truncated = tmp_path / "good.jpg", tmp_path / "truncated.jpg"
    Image.effect_noise((64, 64), 80).save(good)
    whole = good.read_bytes()
    truncated.write_bytes(whole[: len(whole) // 2])
    assert Image.open(truncated).size == (64, 64)  # its header is sound, its pixels are not
    animation = tmp_path / "disguised.png"
    Image.new("RGB", (8, 8)).save(animation, format="GIF")
    bomb = tmp_path / "bomb.png"
    Image.new("1", (10_000, 10_000)).save(bomb)
    (tmp_path / "empty.png").write_bytes(b"")
    assert image_files.decodes(good)
    for name in ("truncated.jpg", "disguised.png", "bomb.png", "empty.png", "absent.png"):
        assert not image_files.decodes(tmp_path / name), name
    for mode in ("L", "P", "CMYK", "I;16"):
        path = tmp_path / f"mode.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (8, 8)).save(path)
        assert image_files.decodes(path), mode


# --- the suites -----------------------------------------------------------------------------------
def test_the_suites_are_read_strictly(tmp_path: Path) -> None:
    for table in validate.TABLES:
        assert load_suite(ROOT / "expectations", table).name == table
    (tmp_path / "ratings.json").write_text('{"name": "r", "expectations": [{"type": "t"}]}')
    with pytest.raises(PamelaError, match=r"expectations/ratings.json: missing key"):
        load_suite(tmp_path, "ratings")
    with pytest.raises(PamelaError, match="no such file"):
        load_suite(tmp_path, "users")


def test_an_expectation_that_cannot_be_evaluated_is_an_error(tmp_path: Path) -> None:
    line = {
        "type": "expect_column_values_to_match_regex",
        "kwargs": {"column": "a", "regex": "("},
        "meta": {"rule": "odd", "severity": "row", "says": "x"},
    }
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"name": "t", "expectations": [line]}))
    with pytest.raises(PamelaError, match="rule odd"):
        run_suite(load_suite(tmp_path, "t"), pl.DataFrame({"a": ["x"]}), {})


def test_a_structural_expectation_stops(project: Project) -> None:
    run(project)
    images = pl.read_parquet(project.tables / "images.parquet")
    sources = pl.read_parquet(project.tables / "sources.parquet")
    pl.concat([images, images.head(1)]).write_parquet(project.tables / "images.parquet")
    sources.unique().write_parquet(project.tables / "sources.parquet")
    suites, decoded = validate.load_suites(project), validate.decode_pictures(project)
    with pytest.raises(PamelaError, match="d: an image_id is repeated"):
        validate.check_dataset(project, "d", decoded, suites)
