"""`pamela import` of releases of choices: in the tables format, with their pictures and remarks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.data.importing.dataset import import_dataset, preview
from pamela.data.importing.options import TableOptions, parse_columns
from pamela.data.ingest import read_base
from pamela.data.remarks import remarks
from tests.helpers import choice_releases as made
from tests.helpers.folders import make_project
from tests.helpers.stages import run_stages
from tests.unit.data.importing.preferences.test_releases import RELEASES


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_comes_in_with_its_pictures_and_what_is_odd(
    name: str, project: Project, tmp_path: Path
) -> None:
    kind, write = RELEASES[name]
    told = write(tmp_path / "src")
    summary = import_dataset(project, kind, str(tmp_path / "src"), "mine")
    tables = read_base(project, "mine")
    rows = tables.choices.collect().select(s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE).rows()
    assert sorted(rows) == sorted(told)
    assert (summary.choices, summary.ratings, summary.faults) == (len(told), 0, {})
    assert summary.ties == pytest.approx(sum(c == s.TIE for *_, c in told) / len(told))
    assert summary.users == len({user for user, *_ in told})
    assert summary.rated == summary.images == summary.pictures
    assert all((project.root / file).is_file() for file in tables.images[s.FILE])
    record = read_json(project.raw / "mine" / "import.json")
    assert (record["kind"], record["options"]) == ("tables", {"from": kind})
    assert tables.notes  # and so they stand in the data docs
    assert [line for line in remarks([tables]) if line in tables.notes] == list(tables.notes)
    assert "none, so that scores will be on a standardised scale" in str(summary)


def test_what_came_in_goes_through_ingest_validate_and_split(tmp_path: Path) -> None:
    names = {kind: kind.replace("-", "_") for kind in ("pick-a-pic", "hpd")}
    project = make_project(
        tmp_path / "p", ingest={"datasets": [*names.values()]}, split={"folds": 2}
    )
    told = []
    for kind, name in names.items():
        write = made.pick_a_pic if kind == "pick-a-pic" else made.hpd_v2
        told += [(name, *choice) for choice in write(tmp_path / kind)]
        import_dataset(project, kind, str(tmp_path / kind), name)
    run_stages(project.root, "ingest", "validate", "split")
    kept = pl.read_parquet(project.validated / "choices.parquet")
    ids = [s.DATASET, s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE]
    assert sorted(kept.select(ids).rows()) == sorted(told)
    text = (project.reports / "data.html").read_text()
    assert "do not say who chose" in text
    assert "Choices in figures" in text or "circular triads" in text


def test_pictures_may_lie_elsewhere_or_be_named_where_none_is(
    project: Project, tmp_path: Path
) -> None:
    made.hpd_v2(tmp_path / "src")
    for part in ("train", "test"):
        shutil.move(tmp_path / "src" / part, tmp_path / "away" / part)
    said = r"src: none of the 18 pictures that train.json names is there, first \S+; unpack them"
    with pytest.raises(PamelaError, match=said):
        import_dataset(project, "hpd", str(tmp_path / "src"), "mine")
    assert not (project.raw / "mine").exists()
    options = TableOptions(pictures=tmp_path / "away")
    summary = import_dataset(project, "hpd", str(tmp_path / "src"), "mine", "link", options)
    assert (summary.pictures, summary.missing_pictures) == (18, 0)
    (tmp_path / "away" / "test" / "00000.jpg").unlink()
    summary = import_dataset(project, "hpd", str(tmp_path / "src"), "less", options=options)
    assert summary.faults == {"on an absent picture": 9}  # three people, three pairs each
    options = TableOptions(pictures=tmp_path / "nowhere")
    with pytest.raises(PamelaError, match=r"^--pictures \S+nowhere: no such folder"):
        import_dataset(project, "hpd", str(tmp_path / "src"), "none", options=options)


def test_a_dry_run_writes_nothing(project: Project, tmp_path: Path) -> None:
    made.pick_a_pic(tmp_path / "src")
    with preview(project, "pick-a-pic", str(tmp_path / "src"), "mine") as loaded:
        assert "12 between two images" in str(loaded.summary("data/raw/mine"))
    assert not project.raw.exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"how": "move"}, "--move is for folders that come in as they are"),
        ({"options": TableOptions(columns=parse_columns(["rating=x"]))}, "has columns of its own"),
        ({"src": "nowhere"}, "no such folder or file"),
        ({"src": "release.zip"}, "comes as a folder; unpack it first"),
    ],
)
def test_what_such_a_release_does_not_take(
    project: Project, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    made.pick_a_pic(tmp_path / "src")
    src = tmp_path / given.pop("src", "src")
    with pytest.raises(PamelaError, match=said):
        import_dataset(project, "pick-a-pic", str(src), "mine", **given)
    assert not (project.raw / "mine").exists()
