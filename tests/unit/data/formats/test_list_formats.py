"""The kinds of datasets: how a folder's is told, what the help says of each, planted counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import FORMATS, RECORD, eva, flickr_aes, lapis, para, read_folder
from pamela.validation.expectations import RULE
from tests.helpers.bad_data import run
from tests.helpers.folders import make_project, write_tables
from tests.helpers.miniatures import MINIATURES, Planted

SPOKEN = {
    "tables": ("dataset.yaml", s.USER, s.IMAGE, s.RATING, s.FILE, s.PROMPT, *s.RELEASE_PARTS),
    "pamela": ("participant_id", "image_path", "original_score", "user_demographics"),
    "lapis": (*lapis.LAYOUTS, "image_filename", "response", lapis.USER, *lapis.PEOPLE),
    "para": (para.RATINGS, para.USERS, para.SESSION, para.SCORE, *para.CATEGORIES),
    "flickr-aes": (flickr_aes.RATINGS[0], flickr_aes.PICTURE, flickr_aes.SCORE),
    "eva": (*eva.VOTES, eva.USERS, eva.CATEGORIES, eva.REGIONS, *eva.CODED.values(), eva.CATEGORY),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_help_names_files_and_columns_in_a_narrow_terminal(kind: str) -> None:
    columns = FORMATS[kind].columns
    assert max(len(line) for line in columns.splitlines()) <= 78
    for word in SPOKEN[kind]:
        assert word in columns


@pytest.mark.parametrize("layout", MINIATURES)
def test_every_layout_is_recognised_by_its_kind_alone(tmp_path: Path, layout: str) -> None:
    planted = MINIATURES[layout](tmp_path / "d", users=12, images=12)
    assert [kind for kind, form in FORMATS.items() if form.detect(planted.folder)] == [planted.kind]
    tables = read_folder(planted.folder, "d", tmp_path)
    assert tables.n_ratings == planted.ratings
    found = tables.ratings.collect()[s.SPLIT].drop_nulls().value_counts()
    assert dict(found.iter_rows()) == planted.splits


@pytest.mark.parametrize("make", MINIATURES.values())
def test_a_miniature_is_the_same_bytes_again(tmp_path: Path, make: Callable[..., Planted]) -> None:
    def content(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    first, again = (make(tmp_path / name, users=12, images=12).folder for name in "ab")
    assert content(first) == content(again)
    other = make(tmp_path / "c", users=12, images=12, seed=1).folder
    assert content(first) != content(other)


def test_the_record_of_an_import_says_the_kind(tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "d")
    (folder / RECORD).write_text(json.dumps({"kind": "para", "options": {}}))
    with pytest.raises(PamelaError, match=r"d: no PARA-Images\.csv"):
        read_folder(folder, "d", tmp_path)
    (folder / RECORD).write_text(json.dumps({"kind": "tables", "options": {}}))
    assert read_folder(folder, "d", tmp_path).n_ratings == 24
    assert read_folder(folder, "d", tmp_path, kind="tables").n_ratings == 24


BROKEN = ["", "{", "[]", "{}", '{"kind": "photos"}', '{"kind": []}', "[" * 100_000, "\ud800"]


@pytest.mark.parametrize("record", BROKEN, ids=lambda record: repr(record[:20]))
def test_a_broken_record_is_named(tmp_path: Path, record: str) -> None:
    folder = write_tables(tmp_path / "d")
    (folder / RECORD).write_bytes(record.encode(errors="surrogatepass"))
    with pytest.raises(PamelaError, match=r"d/import\.json: "):
        read_folder(folder, "d", tmp_path)


def test_a_folder_of_no_kind_is_told_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(PamelaError, match="no known dataset") as error:
        read_folder(tmp_path, "d", tmp_path)
    for kind in FORMATS:
        assert f"({kind})" in str(error.value)


@pytest.mark.parametrize("layout", MINIATURES)
@pytest.mark.parametrize("faults", [True, False])
def test_the_planted_faults_and_no_others_are_quarantined(
    tmp_path: Path, layout: str, faults: bool
) -> None:
    project = make_project(tmp_path / "project", ingest={"datasets": ["d"]})
    planted = MINIATURES[layout](project.raw / "d", faults=faults)
    results = run(project)["d"]
    for table, expected in (("ratings", planted.faulty), ("images", planted.faulty_images)):
        bad = pl.read_parquet(project.quarantine / "d" / f"{table}.parquet")
        assert dict(bad[RULE].value_counts().iter_rows()) == expected
        sources = bad[s.SOURCE_FILE].unique().to_list()
        assert all((project.root / file).is_file() for file in sources)
    kept = pl.read_parquet(project.validated / "ratings.parquet")
    assert kept.height == planted.kept == planted.ratings - sum(planted.faulty.values())
    assert results["ratings"].rows_in == planted.ratings
    users = pl.read_parquet(project.validated / "users.parquet")
    assert users.height == planted.users
    assert set(planted.demographics) == set(users.columns) - set(s.USERS_KEYS)
