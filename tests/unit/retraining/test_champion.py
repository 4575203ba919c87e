"""What serves is told by its tags alone; rollback and promotion move it and are recorded."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from pamela.cli.app import app
from pamela.core.errors import PamelaError
from pamela.registry import registration
from pamela.retraining import champion, records
from pamela.retraining.gate.decision import record_file
from tests.helpers.made_up import params_of, write_bundle
from tests.helpers.small_registry import aliases, copy_of, damage, tags


def say(*words: str) -> str:
    """Run the command line and return its output."""
    done = CliRunner().invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def told() -> dict[str, object]:
    found: dict[str, object] = json.loads(say("champion", "--json"))
    return found


def last(project) -> dict[str, object]:
    return records.read(project)[-1].model_dump()


def test_the_champion_says_what_it_is(registry):
    facts = told()
    assert facts["version"] == "3"
    assert facts["why"] == "group_mean is better"
    assert facts["by"] == "gate"
    assert facts["replaced"] == "2"
    since = datetime.strptime(str(facts["since"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - since).total_seconds()) < 3600
    assert set(facts["datasets"]) == {"synthetic"}
    assert facts["figures"]["seen_srocc"] == 0.27
    assert facts["commit"] == "none"
    page = say("champion")
    assert "serves since" in page
    assert str(facts["since"]) in page
    assert "seen_srocc 0.27" in page


def test_what_the_champion_says_depends_on_it_alone(registry):
    before = told(), say("champion")
    write_bundle(registry, "user_mean")
    registration.register_challenger(registry, params_of(registry))
    record = {"at": "2026-11-29T03:00:00Z", "action": "reject", "by": "gate", "why": "worse"}
    records.append(registry, record)
    assert (told(), say("champion")) == before


def test_rollback_and_back_again(registry):
    line = say("rollback", "--why", "it likes\nnobody")
    assert line.startswith("version 2 is champion; version 3 is previous; why: it likes")
    assert aliases(registry) == {"champion": "2", "previous": "3"}
    assert told()["why"] == "it likes\nnobody"
    entry = last(registry)
    assert (entry["action"], entry["version"], entry["previous"]) == ("rollback", "2", "3")
    assert entry["why"] == "it likes\nnobody"
    say("rollback")
    assert aliases(registry) == {"champion": "3", "previous": "2"}
    assert [one.action for one in records.read(registry)] == ["rollback", "rollback"]


def test_the_page_of_retraining_tells_what_a_person_moved(registry):
    page = registry.reports / "retraining.html"
    say("rollback", "--why", "it likes nobody")
    assert "it likes nobody" in page.read_text()
    say("promote", "3", "--why", "people asked for it")
    assert "people asked for it" in page.read_text()
    record_file(registry).write_text("{}")
    with pytest.raises(PamelaError, match=r"the alias is moved, and reports/retraining.html could"):
        say("rollback", "--why", "hastily")
    assert aliases(registry)["champion"] == "2"


def test_a_person_knows_better(registry, monkeypatch):
    monkeypatch.setattr(champion, "person", lambda _: "ann")
    assert "version 1 is champion" in say("promote", "1", "--why", "people asked for it")
    assert aliases(registry) == {"champion": "1", "previous": "3"}
    entry = last(registry)
    assert (entry["action"], entry["by"], entry["why"]) == ("manual", "ann", "people asked for it")
    assert tags(registry, "1")["promoted_by"] == "ann"
    assert (told()["by"], told()["as"]) == ("ann", "manual")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["promote", "9", "--why", "x"], "no version '9'; there are versions 1, 2, 3"),
        (["promote", "3", "--why", "x"], "version 3 is the champion already"),
        (["promote", "1", "--why", " "], "--why: say why"),
        (["promote", "champion", "--why", "x"], "no version 'champion'"),
    ],
)
def test_a_promotion_that_means_nothing_moves_nothing(registry, words, says):
    with pytest.raises(PamelaError, match=says):
        say(*words)
    assert aliases(registry) == {"champion": "3", "previous": "2"}
    assert records.read(registry) == []


def test_a_version_whose_files_are_damaged_is_not_moved_to(registry):
    damage(copy_of(registry, "2") / "model.safetensors")
    for words in (["rollback"], ["promote", "2", "--why", "x"]):
        with pytest.raises(PamelaError, match=r"version 2 cannot serve: model.safetensors.*1, 3"):
            say(*words)
    assert aliases(registry) == {"champion": "3", "previous": "2"}


def test_what_learned_from_people_who_withdrew_serves_by_a_person_s_word_alone(registry):
    registry.withdrawn.write_text("dataset,user_id\nsynthetic,u02\nother,u00\n")
    say("rollback")  # u02 was not learned, the other is of another dataset
    registry.withdrawn.write_text("dataset,user_id\nsynthetic,u00\nsynthetic,u01\n")
    for words in (["rollback"], ["promote", "3", "--why", "x"]):
        with pytest.raises(PamelaError, match=r"version 3 was trained on 2 of .*--despite-withd"):
            say(*words)
    assert aliases(registry) == {"champion": "2", "previous": "3"}
    say("promote", "3", "--why", "they agreed", "--despite-withdrawn")
    assert aliases(registry) == {"champion": "3", "previous": "2"}
    assert last(registry)["why"] == "they agreed (despite 2 withdrawn people)"


def test_there_may_be_nothing_to_roll_back_to(registry):
    say("promote", "1", "--why", "x")
    from pamela.registry.tracking.publish import client_of

    client = client_of(registry, params_of(registry))
    client.delete_registered_model_alias("pamela", "previous")
    client.delete_model_version_tag("pamela", "1", "promoted_over")
    with pytest.raises(PamelaError, match="nothing to roll back to: no version was"):
        say("rollback")


def test_a_damaged_champion_is_told_with_what_to_do(registry):
    write_bundle(registry, "user_mean")
    damage(copy_of(registry, "3") / "model.json")
    done = CliRunner().invoke(app, ["champion"])
    assert "serves since" in done.output
    assert "version 3: model.json is damaged" in str(done.exception)
    assert "pamela rollback" in str(done.exception)
    assert "version 2 is champion" in say("rollback")


def test_a_decision_about_another_champion_moves_nothing(registry):
    say("rollback")
    late = registration.Promotion("late", over="3")
    with pytest.raises(PamelaError, match=r"replace version 3 as champion, but version 2 is"):
        registration.set_champion(registry, params_of(registry), "1", late)
    assert aliases(registry) == {"champion": "2", "previous": "3"}


def test_without_a_champion_it_is_said_what_to_do(registry):
    shutil.rmtree(registry.mlartifacts)
    (registry.root / "mlflow.db").unlink()
    with pytest.raises(PamelaError, match="no such registered model; run `make repro`"):
        say("champion")


def test_who_types_is_git_s_user_or_the_account(tmp_path, monkeypatch):
    from pamela.core.paths import Project

    for name, value in (("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOGNAME", "account")
    assert champion.person(Project(tmp_path)) == "account"
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Ann Example")
    assert champion.person(Project(tmp_path)) == "Ann Example"
