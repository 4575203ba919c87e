"""What a study brings to the inbox, held to the rules of a real retrain."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from pamela.core.paths import Project
from pamela.data import formats, ingest
from pamela.params import load_params
from pamela.retraining.inbox import scan_inbox
from pamela.retraining.intake.check import KnownDataset, check
from pamela.study import delivery
from pamela.study.participant import Participant, Wait
from pamela.validation import validate
from tests.helpers.study_kit import choose_all, make_study, rate_all, wait_for
from tests.paths import ROOT

DATASET = "faces"


@pytest.fixture
def study(tmp_path):
    found = make_study(tmp_path, dataset=DATASET)
    yield found
    found.stop()


def through(study, session: str) -> Participant:
    person = study.join(session)
    rate_all(study, person)
    wait_for(lambda: not isinstance(person.step, Wait))
    choose_all(study, person, "right")
    return person


def contents(project: Project) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in project.inbox.rglob("*") if path.is_file()}


def test_batches_come_complete_and_once(study, tmp_path):
    person = study.join("ann")
    for number in range(2):
        study.rate(person, number, 4.0, 900)
    assert not (tmp_path / "data" / "inbox").exists()
    ann = through(study, "ann")
    project = Project(tmp_path)
    ready = scan_inbox(project, [DATASET]).ready
    assert [batch.name for batch in ready] == [
        f"pilot-{ann.id}-{w}" for w in ("choices", "ratings")
    ]
    assert ann.delivered == {batch.name for batch in ready}
    before = contents(project)
    again = make_study(tmp_path, dataset=DATASET)  # a restart
    again.stop()
    # killed between the batch and the line that says so: delivered again, the same bytes
    kept = ann.journal.path.read_text().splitlines(keepends=True)
    ann.journal.path.write_text("".join(one for one in kept if "delivered" not in one))
    make_study(tmp_path, dataset=DATASET).stop()
    assert {
        path: path.read_bytes() for path in project.inbox.rglob("*") if path.is_file()
    } == before
    events = [json.loads(line)["event"] for line in ann.journal.path.read_text().splitlines()]
    assert events.count("delivered") == 2


def test_choices_say_which_picture_was_taken(study):
    ann = through(study, "ann")
    folder = study.project.inbox / DATASET / delivery.batch_name(study.settings, ann, "choices")
    tables = formats.read_batch(folder, DATASET, study.project.root)
    rows, images = tables.choices.collect(), tables.images
    assert rows.height == len(ann.choices) == 12
    assert set(rows["choice"]) == {"b"}
    file = dict(images.select("image_id", "file").iter_rows())
    for row, pair in zip(rows.iter_rows(named=True), ann.asked, strict=True):
        for side, shown in (("image_a", pair.left), ("image_b", pair.right)):
            kept = study.store.path(shown.sha256).read_bytes()
            assert (study.project.root / file[row[side]]).read_bytes() == kept
    assert set(images["group"]) == {"g"}
    assert set(images["prompt_id"]) == {"a red barn", "a lighthouse"}


def test_a_retrain_takes_them(study):
    """The checks of a real retrain, on a dataset that has the pictures which were rated."""
    ann, project = through(study, "ann"), study.project
    source = project.raw / DATASET
    (source / "images").mkdir(parents=True)
    (source / "dataset.yaml").write_text(f"name: {DATASET}\nscale: [1, 5]\n")
    for name, path in study.to_rate.items():
        shutil.copyfile(path, source / "images" / f"{name}.png")
    names = list(study.to_rate)
    images = {"image_id": names, "file": [f"images/{n}.png" for n in names], "prompt": "p"}
    pl.DataFrame(images).write_csv(source / "images.csv")
    rating = {"user_id": ["u"], "image_id": names[:1], "rating": [3.0]}
    pl.DataFrame(rating).write_csv(source / "ratings.csv")
    (project.root / "expectations").symlink_to(ROOT / "expectations")
    params = load_params(ROOT / "params.yaml")
    base = ingest.read_base(project, DATASET)
    none = pl.DataFrame(schema={"sha256": pl.String, "decodes": pl.Boolean})
    suites = validate.load_suites(project)
    known = KnownDataset(DATASET, [base], [base.ratings], [base.choices], none, suites)
    found = [
        check(project, params, project.inbox / DATASET / f"pilot-{ann.id}-{what}", known)
        for what in ("ratings", "choices")
    ]
    assert [(one.ratings.height, one.choices.height) for one in found] == [(3, 0), (0, 12)]
