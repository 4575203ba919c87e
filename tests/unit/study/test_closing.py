"""The end of a study: what people gave who stopped before theirs is delivered, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pamela.cli.app import app
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data import formats
from pamela.retraining.inbox import scan_inbox
from pamela.study.closing import close_study
from pamela.study.participant import Participant, Wait
from tests.helpers.study_kit import choose_all, make_study, rate_all, wait_for

DATASET = "faces"


@pytest.fixture
def people(tmp_path) -> dict[str, Participant]:
    """Take five in: one is through, three stop on the way, one has withdrawn since."""
    study = make_study(tmp_path, dataset=DATASET)
    found = {name: study.join(name) for name in ("through", "rating", "choosing", "new", "gone")}
    for name in ("through", "choosing"):
        rate_all(study, found[name])
        wait_for(lambda name=name: not isinstance(found[name].step, Wait))
    choose_all(study, found["through"])
    for number in range(2):
        study.choose(found["choosing"], number, "left", 500)
        study.rate(found["rating"], number, 2.0 + number, 500)
    study.rate(found["gone"], 0, 1.0, 500)
    study.stop()
    Project(tmp_path).withdrawn.write_text(
        f"dataset,user_id\n{DATASET},pilot-{found['gone'].id}\nother,pilot-{found['rating'].id}\n"
    )
    return found


def batches(project: Project) -> set[str]:
    return {batch.name for batch in scan_inbox(project, [DATASET]).ready}


def contents(project: Project) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in project.inbox.rglob("*") if path.is_file()}


def names(people: dict[str, Participant], *wanted: tuple[str, str]) -> set[str]:
    return {f"pilot-{people[who].id}-{what}" for who, what in wanted}


def test_whoever_stopped_on_the_way_is_delivered_at_the_end(people, tmp_path, monkeypatch):
    project = Project(tmp_path)
    project.params_file.touch()
    monkeypatch.chdir(tmp_path)
    served = names(people, ("through", "ratings"), ("through", "choices"), ("choosing", "ratings"))
    assert batches(project) == served
    done = CliRunner().invoke(app, ["study", "close", "--name", "pilot"])
    new = names(people, ("rating", "ratings"), ("choosing", "choices"))
    assert done.output.splitlines()[-1] == (
        "study pilot is closed: 2 delivered; withdrawn and left out: 1"
    )
    assert {Path(line).name for line in done.output.splitlines()[:-1]} == new
    assert batches(project) == served | new
    (folder,) = project.inbox.glob(f"*/pilot-{people['rating'].id}-ratings")
    rows = formats.read_batch(folder, DATASET, tmp_path).ratings.collect()
    assert rows.select("image_id", "rating").rows() == [
        (image, 2.0 + number) for number, image in enumerate(people["rating"].pictures[:2])
    ]
    (folder,) = project.inbox.glob(f"*/pilot-{people['choosing'].id}-choices")
    assert formats.read_batch(folder, DATASET, tmp_path).choices.collect()["choice"].to_list() == [
        "a", "a",
    ]  # fmt: skip
    before = contents(project)
    assert close_study(project, "pilot").batches == []
    assert contents(project) == before


def test_a_close_that_is_killed_delivers_the_rest_the_next_time(people, tmp_path, monkeypatch):
    project, record = Project(tmp_path), Participant.record

    def killed(person: Participant, kind: str, **facts: object) -> None:
        raise KeyboardInterrupt  # between a batch's name and the line that says so

    monkeypatch.setattr(Participant, "record", killed)
    with pytest.raises(KeyboardInterrupt):
        close_study(project, "pilot")
    left = contents(project)
    assert len(batches(project)) == 4
    monkeypatch.setattr(Participant, "record", record)
    both = names(people, ("rating", "ratings"), ("choosing", "choices"))
    assert set(close_study(project, "pilot").batches) == both
    assert both < batches(project)
    assert len(batches(project)) == 5
    assert left.items() <= contents(project).items()


def test_a_broken_list_of_withdrawn_people_closes_nothing(people, tmp_path):
    project = Project(tmp_path)
    project.withdrawn.write_text("user\nx\n")
    before = contents(project)
    with pytest.raises(PamelaError, match="wanted: dataset,user_id"):
        close_study(project, "pilot")
    assert contents(project) == before
    assert not (project.studies / "pilot" / "closed.json").exists()
