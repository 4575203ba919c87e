"""Who has withdrawn is in no table."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.data import ingest
from pamela.data.withdrawn import read_withdrawn
from pamela.retraining.withdrawal import forget_withdrawn
from tests.helpers.folders import choices_of, make_project, ratings_of, write_tables


def withdraw(project: Project, *rows: str) -> None:
    project.withdrawn.parent.mkdir(parents=True, exist_ok=True)
    project.withdrawn.write_text("\n".join(["dataset,user_id", *rows]) + "\n")


def test_what_they_said_and_their_row_are_left_out_of_dataset_and_batches(tmp_path: Path) -> None:
    project = make_project(tmp_path, ingest={"datasets": ["faces"]})
    header = "name: faces\nscale: [1, 5]\n"
    write_tables(project.raw / "faces", header=header)
    batch = project.batches / "faces" / "b1"
    batch.mkdir(parents=True)
    (batch / "dataset.yaml").write_text(header)
    ratings_of(4, 6, seed=1).write_csv(batch / "ratings.csv")
    choices_of(4, 6).write_csv(batch / "choices.csv")
    before = ingest.read_dataset(project, "faces")
    gone, *stay = before.tables.users[s.USER].to_list()
    withdraw(project, f"faces,{gone}", f"other,{stay[0]}")
    found = ingest.read_dataset(project, "faces")
    assert found.tables.users[s.USER].to_list() == stay
    for table in ("ratings", "choices"):
        every, was = (
            pl.concat([getattr(source, table) for source in one.sources]).collect()
            for one in (found, before)
        )
        assert every.equals(was.filter(pl.col(s.USER) != gone))
        assert getattr(found, f"n_{table}") == every.height < was.height


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("user,dataset\na,b\n", "columns user, dataset; wanted: dataset,user_id"),
        ("dataset,user_id\nfaces,u1\nfaces,\n", r"withdrawn\.csv row 2: an empty cell"),
        ("dataset,user_id\nfaces,u1,u2\n", "not readable as CSV"),
        ("", "not readable as CSV"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, says: str) -> None:
    project = Project(tmp_path)
    project.withdrawn.parent.mkdir(parents=True)
    project.withdrawn.write_text(text)
    with pytest.raises(PamelaError, match=says):
        read_withdrawn(project)


def test_what_was_adapted_to_them_is_deleted(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.people.mkdir(parents=True)
    for name, dataset in (("ann", "faces"), ("bob", "faces"), ("007", "other")):
        write_json(project.people / f"{name}.json", {"dataset": dataset})
    assert forget_withdrawn(project) == []
    withdraw(project, "faces,ann", "faces,007")
    assert forget_withdrawn(project) == ["ann"]
    assert sorted(path.stem for path in project.people.glob("*.json")) == ["007", "bob"]
