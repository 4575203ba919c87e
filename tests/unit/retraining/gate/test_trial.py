"""What a trial leads to: the decision is written down first, then carried out, whatever dies."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pamela.core.dataset import Pairs
from pamela.core.paths import Project
from pamela.models.base import model_hash
from pamela.registry.tracking.publish import client_of
from pamela.retraining import promotion, records
from pamela.retraining.gate import judgement as gate
from pamela.retraining.gate import reference, trial
from pamela.retraining.gate.challenger import challenger_bundle
from pamela.retraining.gate.decision import Data, Decision, Side, last_decision
from pamela.retraining.gate.judgement import Check, Judgement
from pamela.retraining.gate.table_rows import FROZEN, Row
from tests.helpers.gate_kit import TASTE, Linear, bundle, make_fold, make_holdout
from tests.helpers.kill_points import Killed
from tests.helpers.made_up import params_of, write_bundle
from tests.helpers.small_registry import aliases, tags

ROW = Row(FROZEN, "synthetic", "", "srocc", 0.4, 0.5, 0.1, 0.05, 0.15, 0.06, 20, 100)
HELD_OUT = Check("hold-out", ROW, "at least -0.005", gate.MET)
OVERALL = Check("gain", replace(ROW, dataset=""), "above 0", gate.GAIN)
BATCHES = {"synthetic/a": "1", "synthetic/b": "2"}
HOLDOUT = make_holdout(make_fold(), Pairs.empty())


def judgement(outcome: gate.Outcome, *more: Check) -> Judgement:
    return Judgement(outcome, "so it says", (OVERALL, HELD_OUT, *more))


@pytest.fixture
def project(registry: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three versions, a challenger, two batches; what the models hold is made up."""
    challenger = challenger_bundle(registry)
    challenger.parent.mkdir()
    shutil.move(write_bundle(registry, "user_mean"), challenger)
    for label in BATCHES:
        folder = registry.batches / label
        folder.mkdir(parents=True)
        folder.with_name(f"{folder.name}.dvc").write_text(
            f"outs:\n- md5: 0.dir\n  path: {folder.name}\n"
        )
    loaded = SimpleNamespace(encoder={"fingerprint": "f"})

    def side(version: str, folder: Path) -> tuple[Side, Any]:
        found = Side(
            version=version, model="paper", model_hash=model_hash(folder), evaluated_hash="e"
        )
        return found, loaded

    monkeypatch.setattr(trial, "_side", side)
    monkeypatch.setattr(reference, "load_evaluated", lambda folder: loaded)
    return registry


def decide(
    project: Project, monkeypatch: pytest.MonkeyPatch, found: Judgement, *group: str
) -> tuple[Decision, dict[str, Any]]:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(trial, "judge", lambda *_, **how: (asked.update(how), found)[1])
    decision = trial.decide(
        project, params_of(project), HOLDOUT, Data(batches=BATCHES), group=group, reason="new"
    )
    return decision, asked


def test_a_promotion_moves_the_aliases_and_is_recorded_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision, asked = decide(project, monkeypatch, judgement("PROMOTE"), "synthetic/a")
    assert asked == {"best": None, "below": {}, "gain_wanted": True}
    assert aliases(project)["champion"] == "3"  # nothing is done yet
    promotion.carry_out(project, params_of(project), decision)
    promotion.carry_out(project, params_of(project), decision)
    assert aliases(project) == {"champion": "4", "previous": "3", "best": "4"}
    assert tags(project, "4")["gate_outcome"] == "PROMOTE"
    assert tags(project, "4")["promoted_because"] == "so it says"
    (record,) = [r for r in records.read(project) if r.decision == decision.id]
    assert (record.action, record.version, record.previous) == ("promote", "4", "3")
    assert (project.batches / "synthetic/a").is_dir()


def test_a_rejected_group_is_set_aside_and_cut_in_halves(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision, _ = decide(project, monkeypatch, judgement("REJECT"), *BATCHES)
    assert decision.to_try == [["synthetic/a"], ["synthetic/b"]]
    assert decision.data.batches == {}
    promotion.carry_out(project, params_of(project), decision)
    assert aliases(project) == {"champion": "3", "previous": "2", "challenger": "4"}
    for label in BATCHES:
        assert not (project.batches / label).exists()
        assert (project.set_aside / f"{label}.dvc").is_file()
        assert "so it says" in (project.set_aside / f"{label}.json").read_text()


UNSURE = Check("hold-out", HELD_OUT.row, "at least -0.005", gate.UNSURE)


@pytest.mark.parametrize(
    ("outcome", "unsure", "group", "on_trial", "apart", "expected"),
    [
        ("HOLD", True, "a", "", False, "HOLD"),  # once
        ("HOLD", True, "ab", "a", False, "REJECT"),  # not again
        ("HOLD", True, "a", "a", False, "REJECT"),
        ("HOLD", False, "ab", "a", False, "REJECT"),  # b may gain what a loses
        ("HOLD", False, "a", "a", False, "HOLD"),  # no loss now
        ("HOLD", False, "ab", "", False, "HOLD"),
        ("HOLD", True, "a", "", True, "REJECT"),
        ("HOLD", False, "a", "", True, "HOLD"),
        ("PROMOTE", False, "ab", "a", False, "PROMOTE"),
    ],
)
def test_a_loss_that_may_be_chance_is_held_once(
    outcome: gate.Outcome, unsure: bool, group: str, on_trial: str, apart: bool, expected: str
) -> None:
    """Else a poisoned batch that was held would hold back every honest one after it."""
    found = judgement(outcome, *([UNSURE] if unsure else []))
    judged = trial.held_once(found, list(group), list(on_trial), apart=apart)
    assert judged.outcome == expected
    assert (judged == found) == (expected == outcome)
    left = trial.still_on_trial(judged, list(on_trial), list(group))
    assert left == (["a"] if (expected, unsure) == ("HOLD", True) else [])


def test_batches_held_before_are_tried_apart_from_the_next(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = judgement("HOLD", UNSURE)
    monkeypatch.setattr(trial, "judge", lambda *_, **__: held)
    data = Data(batches=BATCHES, on_trial=["synthetic/b"])
    again = trial.decide(
        project, params_of(project), HOLDOUT, data, group=list(BATCHES), reason="new"
    )
    assert (again.outcome, again.data.on_trial) == ("REJECT", [])
    assert again.to_try == [["synthetic/b"], ["synthetic/a"]]  # first what was held
    assert again.why.endswith("held before for a loss that may be chance")
    data = Data(batches={"synthetic/b": "2"})
    apart = trial.decide(
        project, params_of(project), HOLDOUT, data,
        group=["synthetic/b"], to_try=again.to_try[1:], reason="apart",
    )  # fmt: skip
    assert (apart.outcome, apart.set_aside) == ("REJECT", ["synthetic/b"])
    assert apart.to_try == [["synthetic/a"]]


def test_a_promotion_that_lost_a_little_leaves_the_best_where_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = replace(HELD_OUT, row=replace(ROW, difference=-0.001))
    found = Judgement("PROMOTE", "so it says", (OVERALL, little))
    decision, _ = decide(project, monkeypatch, found, "synthetic/a")
    promotion.carry_out(project, params_of(project), decision)
    assert aliases(project) == {"champion": "4", "previous": "3", "best": "3"}
    next_challenger(project, "global_mean")
    _, asked = decide(project, monkeypatch, judgement("HOLD"), "synthetic/b")
    assert asked["best"] is not None  # the next is held to version 3 as well


def test_a_champion_that_knows_who_withdrew_is_replaced_without_a_gain(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdraw(project, "u02")  # whom it does not know
    assert decide(project, monkeypatch, judgement("HOLD"))[1]["gain_wanted"]
    withdraw(project, "u01")
    assert not decide(project, monkeypatch, judgement("HOLD"))[1]["gain_wanted"]


# --- the best champion so far, and people who withdraw ------------------------------------------


def withdraw(project: Project, *users: str) -> None:
    rows = "".join(f"synthetic,{user}\n" for user in users)
    project.withdrawn.write_text(f"dataset,user_id\n{rows}")


def lost(kind: str, difference: float) -> Check:
    """Return a check of the challenger against the champion, or against the best so far."""
    return replace(HELD_OUT, kind=kind, row=replace(ROW, difference=difference))


def best(project: Project) -> tuple[str, dict[str, float]]:
    number = aliases(project)["best"]
    return number, json.loads(tags(project, number)["below_best"])


def next_challenger(project: Project, model: str) -> None:
    shutil.rmtree(challenger_bundle(project))
    shutil.move(write_bundle(project, model), challenger_bundle(project))


def test_no_withdrawal_gives_away_what_may_be_lost_in_all(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best so far knew who withdrew: another takes its place, and owes what it lost."""
    withdraw(project, "u01")
    found = Judgement("PROMOTE", "so it says", (OVERALL, lost("hold-out", -0.004)))
    decision, asked = decide(project, monkeypatch, found)
    assert asked["best"] is None  # it is the champion itself
    promotion.carry_out(project, params_of(project), decision)
    assert best(project) == ("4", {"synthetic": 0.004})

    next_challenger(project, "global_mean")
    withdraw(project)
    found = Judgement("PROMOTE", "so it says", (OVERALL, lost("best so far", 0.003)))
    decision, asked = decide(project, monkeypatch, found)
    assert asked["best"] is not None  # held to itself, with what it owes
    assert asked["below"] == {"synthetic": 0.004}
    promotion.carry_out(project, params_of(project), decision)
    assert best(project) == ("5", {"synthetic": 0.001})  # a gain pays back


def test_a_best_that_knew_who_withdrew_is_no_reference_any_more(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the champion did not know them: it takes the place, whatever is decided."""
    monkeypatch.setattr(trial, "withdrawn_in", lambda *_: 0)
    client_of(project, params_of(project)).set_registered_model_alias("pamela", "best", "2")
    fold = HOLDOUT.fold
    better, worse = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=0.5))
    side = trial._side
    monkeypatch.setattr(trial, "_side", lambda *about: (side(*about)[0], worse))
    monkeypatch.setattr(reference, "load_evaluated", lambda _: better)
    withdraw(project, "u02")
    decision, asked = decide(project, monkeypatch, judgement("HOLD"))
    assert (decision.best, asked["best"], asked["below"]) == ("", better, {})  # it did not know
    withdraw(project, "u01")
    decision, asked = decide(project, monkeypatch, judgement("HOLD"))
    assert asked["best"] is worse
    assert 0 < asked["below"]["d"] < 0.2
    promotion.carry_out(project, params_of(project), decision)
    assert best(project) == ("3", asked["below"])


def test_a_best_of_other_features_is_no_reference(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After another encoder no score compares them."""
    client_of(project, params_of(project)).set_registered_model_alias("pamela", "best", "2")
    assert decide(project, monkeypatch, judgement("HOLD"))[1]["best"] is not None
    monkeypatch.setattr(reference, "same_features", lambda *_: False)
    assert decide(project, monkeypatch, judgement("HOLD"))[1]["best"] is None


def test_the_same_model_again_is_no_trial(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(challenger_bundle(project))
    shutil.copytree(project.root / tags(project, "3")["path"], challenger_bundle(project))
    decision, asked = decide(project, monkeypatch, judgement("PROMOTE"), "synthetic/a")
    assert (decision.outcome, asked) == ("HOLD", {})
    assert "the model trained now is the same" in decision.why
    assert decision.data.batches == BATCHES  # they are judged


def test_where_a_person_moved_the_alias_meanwhile_theirs_stands(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pamela.retraining import champion

    decision, _ = decide(project, monkeypatch, judgement("PROMOTE"), "synthetic/a")
    champion.rollback(project, params_of(project), why="worse", by="ann")
    assert promotion.finish(project, params_of(project)) is not None
    assert aliases(project)["champion"] == "2"
    assert last_decision(project) == decision.model_copy(update={"state": "done"})


@pytest.mark.parametrize("outcome", ["PROMOTE", "REJECT"])
def test_a_crash_between_any_two_steps_is_completed_by_the_next_cycle(
    project: Project, monkeypatch: pytest.MonkeyPatch, outcome: gate.Outcome
) -> None:
    params = params_of(project)
    decision, _ = decide(project, monkeypatch, judgement(outcome), *BATCHES)
    for stop in range(len(promotion.STEPS)):
        taken = 0

        def step(one: Any, at: int = stop) -> Any:
            def call(*args: Any) -> None:
                nonlocal taken
                if taken == at:
                    raise Killed
                taken += 1
                one(*args)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(promotion, "STEPS", tuple(step(one) for one in promotion.STEPS))
            with pytest.raises(Killed):
                promotion.finish(project, params)
    assert promotion.finish(project, params) == decision
    assert promotion.finish(project, params) is None
    assert aliases(project)["champion"] == ("4" if outcome == "PROMOTE" else "3")
    assert [r.decision for r in records.read(project)].count(decision.id) == 1
    aside = sorted(path.name for path in project.set_aside.glob("*/*.dvc"))
    assert aside == ([] if outcome == "PROMOTE" else ["a.dvc", "b.dvc"])
