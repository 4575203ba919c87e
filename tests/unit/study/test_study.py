"""A study by plain calls: what counts, who sees what, what is on the disk, what is delivered."""

from __future__ import annotations

import contextlib
import json

import pytest

from pamela.core.errors import DiskFullError, PamelaError
from pamela.study.participant import Choose, Comment, Finished, Participant, Wait
from pamela.study.study import load_people
from tests.helpers.disks import fill
from tests.helpers.study_kit import choose_all, make_study, rate_all, settings, wait_for


@pytest.fixture
def study(tmp_path):
    found = make_study(tmp_path)
    yield found
    found.stop()


def ready(study, session: str) -> Participant:
    """Return somebody who has rated and whose pictures are there."""
    person = study.join(session)
    rate_all(study, person)
    wait_for(lambda: not isinstance(study.look(person), Wait))
    return person


def test_from_consent_to_thanks(study):
    assert study.who("ann") is None
    person = study.join("ann")
    assert study.join("ann") is person  # a second click on the button
    assert sorted(person.pictures) == ["i0", "i1", "i2"]
    ready(study, "ann")
    assert person.step.number == 0
    choose_all(study, person)
    assert isinstance(person.step, Comment)
    study.say(person, "  nice  ")
    study.say(person, "again")
    assert (person.comment, person.step) == ("nice", Finished())


def test_an_answer_counts_once_and_in_its_turn_alone(study):
    person = study.join("ann")
    assert study.rate(person, 0, 4.0, 500)
    assert not study.rate(person, 0, 1.0, 500)  # an impatient second click, or another tab
    assert not study.rate(person, 2, 1.0, 500)
    assert [one["rating"] for one in person.ratings] == [4.0]
    rate_all(study, person)
    wait_for(lambda: isinstance(person.step, Choose))
    assert study.choose(person, 0, "left", 500)
    assert not study.choose(person, 0, "right", 500)
    assert not study.choose(person, 1, "both", 500)
    assert len(person.choices) == 1


def test_a_picture_is_its_own_persons_and_of_this_moment(study):
    ann, bob = ready(study, "ann"), ready(study, "bob")
    step = ann.step
    tokens = [study.token(ann, step, side) for side in ("left", "right")]
    for token, shown in zip(tokens, (step.pair.left, step.pair.right), strict=True):
        content, kind = study.picture("ann", token)
        assert content == study.store.path(shown.sha256).read_bytes()
        assert kind == "image/png"
        assert b"tEXt" not in content
        for session in ("bob", "nobody", ""):
            assert study.picture(session, token) is None
    study.choose(ann, step.number, "tie", 500)
    assert study.picture("ann", tokens[0]) is None  # it is before them no longer
    known = {study.token(one, one.step, side) for one in (ann, bob) for side in ("left", "right")}
    assert len(known) == 4
    assert study.picture("ann", ann.step.pair.left.sha256) is None
    assert study.picture("ann", "é") is None


def test_a_killed_server_goes_on_where_it_was(study, tmp_path):
    ann, bob = ready(study, "ann"), study.join("bob")
    study.choose(ann, 0, "left", 500)
    study.rate(bob, 0, 2.0, 500)
    step, code = ann.step, study.code(ann)
    with bob.journal.path.open("ab") as file:
        file.write(b'{"event": "rating", "at": "2')  # it died while it wrote
    again = make_study(tmp_path)
    try:
        assert again.who("ann").step == step
        assert again.who("bob").step.number == 1
        assert again.resume("ann's phone", f" {code.upper()} ") is again.who("ann's phone")
        assert again.who("ann's phone").id == ann.id
        assert again.resume("somebody", "aaaa-bbbb-cccc") is None
        assert again.who("somebody") is None
        assert again.rate(again.who("bob"), 1, 3.0, 500)  # half a line does not spoil the next one
        assert [one["rating"] for one in Participant.load(bob.journal).ratings] == [2.0, 3.0]
    finally:
        again.stop()


def test_a_session_cannot_be_taken_from_the_files(study):
    person = study.join("ann's cookie")
    assert "ann's cookie" not in person.journal.path.read_text()
    assert study.code(person) not in person.journal.path.read_text()


def test_somebody_else_steers_the_other_arm_as_soon_as_there_is_somebody(study):
    ann, bob = ready(study, "ann"), ready(study, "bob")
    assert (ann.other, bob.other) == ("synthetic/p001", ann.id)
    assert study.drawer.others == ["synthetic/p001", ann.id]


def test_a_drawing_that_fails_is_said_and_tried_again(study, capsys):
    study.drawer.fault = PamelaError("the images server is down")
    ann = study.join("ann")
    rate_all(study, ann)
    wait_for(lambda: study.progress(ann) is not None and study.progress(ann).fault is not None)
    assert study.progress(ann).fault == "the images server is down"
    assert isinstance(ann.step, Wait)
    study.drawer.fault = None
    study.look(ann)  # the page is loaded again
    wait_for(lambda: isinstance(ann.step, Choose))
    assert study.progress(ann) is None


def test_a_full_disk_loses_nothing_and_goes_on_with_room(tmp_path, small_disk):
    small_disk(tmp_path / "data", 300)
    study = make_study(tmp_path)
    try:
        ann = study.join("ann")
        assert study.rate(ann, 0, 4.0, 500)
        fill(tmp_path / "data")
        with contextlib.suppress(OSError):
            while True:  # until the file's last block is full, too
                ann.record("comment", text="")
        before = ann.journal.path.read_bytes()
        with pytest.raises(DiskFullError, match="no space is left"):
            study.rate(ann, 1, 1.0, 500)
        assert ann.journal.path.read_bytes() == before
        assert ann.step.number == 1
        (tmp_path / "data" / "filler").unlink()
        assert study.rate(ann, 1, 5.0, 500)
        assert [one["rating"] for one in Participant.load(ann.journal).ratings] == [4.0, 5.0]
    finally:
        study.stop()


def test_what_is_no_journal_is_named(study):
    person = study.join("ann")
    path = person.journal.path
    good = path.read_text()
    path.write_text(good + "{}\n")
    with pytest.raises(PamelaError, match=rf"{path.name} line 3: no event"):
        load_people(study.folder)
    path.write_text(good + json.dumps({"event": "dance", "at": ""}) + "\n")
    with pytest.raises(PamelaError, match=rf"{path.name}: not a journal"):
        load_people(study.folder)


def test_a_study_goes_on_only_as_it_was_begun(study, tmp_path):
    with pytest.raises(PamelaError, match="begun with another ratings \\(3, now 20\\)"):
        make_study(tmp_path, ratings=20)
    with pytest.raises(PamelaError, match="begun with another model_version"):
        make_study(tmp_path, model_version="hierarchical-87654321")
    assert settings().model_dump() == study.settings.model_dump()


def test_nothing_is_asked_of_pictures_that_are_alike(study):
    ann = ready(study, "ann")
    assert len(ann.pairs) == 2 * 6 + 2
    assert len(ann.asked) == 12  # `none` and `other` are one picture, for both prompts
    assert isinstance(ann.step, Choose)
    assert ann.step.of == 12
