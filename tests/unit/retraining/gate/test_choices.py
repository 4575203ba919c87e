"""The gate on choices: datasets of choices alone are compared on what people chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.partitions import partition_name
from pamela.evaluation.choices.metrics import CHOICE_ACCURACY, CHOICE_LOG_LOSS
from pamela.params import Params, load_params
from pamela.retraining.gate import holdout
from pamela.retraining.gate import judgement as gate
from pamela.retraining.gate.holdout import NEWEST, load_holdout
from pamela.retraining.gate.judgement import Check, Judgement
from pamela.training.bundle import Bundle
from tests.helpers.gate_kit import (
    ITEMS,
    TASTE,
    Linear,
    bundle,
    make_fold,
    make_holdout,
    with_choices,
)
from tests.paths import ROOT

RATED = make_fold()
CHOSEN = with_choices(RATED)


def params() -> Params:
    whole = load_params(ROOT / "params.yaml")
    quick = whole.evaluate.model_copy(update={"bootstrap": 200})
    changed = whole.retrain.model_copy(update={"min_slice_users": 4})
    return whole.model_copy(update={"retrain": changed, "evaluate": quick})


def judge(
    champion: Bundle, challenger: Bundle, fold: Fold = CHOSEN, newest: Choices | None = None
) -> Judgement:
    return gate.judge(champion, challenger, make_holdout(fold, None, newest), params())


GOOD, BAD = bundle(CHOSEN, Linear(TASTE)), bundle(CHOSEN, Linear(TASTE, noise=3.0))


# --- what is decided --------------------------------------------------------------------------


def test_accuracy_is_the_mean_over_people_of_what_was_chosen_right() -> None:
    found = judge(BAD, GOOD)
    every = Choices.concat(CHOSEN.choices_of(s.TEST_SEEN), CHOSEN.choices_of(s.TEST_UNSEEN))
    asked = every.take(every.outcome != 0.5)
    for side, model in (("champion", BAD.model), ("challenger", GOOD.model)):
        score = [
            model.predict(CHOSEN.items, CHOSEN.people, Pairs(asked.user, item, asked.outcome)).mean
            for item in (asked.a, asked.b)
        ]
        right = (score[0] > score[1]) == (asked.outcome == 1)
        means = [right[asked.user == user].mean() for user in np.unique(asked.user)]
        row = found.overall[CHOICE_ACCURACY]
        assert getattr(row, side) == pytest.approx(np.mean(means))
    assert (row.rows, row.users) == (len(every), len(np.unique(asked.user)))
    assert set(found.overall) == {CHOICE_ACCURACY}
    assert {c.row.metric for c in found.checks} == {CHOICE_ACCURACY, CHOICE_LOG_LOSS}
    slices = {c.row.slice for c in found.checks if c.kind == "slice"}
    assert slices == {
        "seen people", "cold-start people", "type art", "type photo", "country here",
        "country there",
    }  # fmt: skip
    both = np.array(["art" if k % 2 else "photo" for k in range(ITEMS)])
    art = next(c.row for c in found.checks if c.row.slice == "type art")
    assert art.rows == ((both[every.a] == "art") & (both[every.b] == "art")).sum()


def test_better_is_promoted_worse_is_rejected_equal_is_held() -> None:
    up, down, same = judge(BAD, GOOD), judge(GOOD, BAD), judge(GOOD, GOOD)
    assert (up.outcome, down.outcome, same.outcome) == ("PROMOTE", "REJECT", "HOLD")
    assert "gain: frozen hold-out: choice accuracy +" in up.why
    assert " frozen hold-out choices of 24 people" in up.why
    assert "; worse: d: choice accuracy -" in down.why
    assert "no gain beyond chance" in same.why


def test_probabilities_that_are_worse_are_a_reason_to_reject() -> None:
    found = judge(GOOD, bundle(CHOSEN, Linear(TASTE, std=0.03)))  # as accurate, and far too sure
    assert found.outcome == "REJECT"
    assert {c.row.metric for c in found.checks if c.result == gate.FAILED} == {CHOICE_LOG_LOSS}
    assert "log loss of choices +" in found.why


def test_what_the_newest_choices_gain_pays_for_no_loss_on_the_frozen_ones() -> None:
    seen = CHOSEN.choices_of(s.TEST_SEEN)
    opposite = replace(seen, outcome=(1 - seen.outcome).astype(np.float32))
    found = judge(GOOD, bundle(CHOSEN, Linear(-TASTE)), newest=opposite)
    assert [c.result for c in found.checks if c.row.rows_of == NEWEST] == [gate.GAIN]
    assert found.outcome == "REJECT"


def test_ratings_and_choices_are_judged_beside_each_other() -> None:
    """A gain on the ratings of one dataset pays for no loss on the choices of another."""
    people = RATED.people.frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("d")).otherwise(pl.lit("e"))
        .alias(s.DATASET)
    )  # fmt: skip

    def of(rows: Any, dataset: int) -> Any:
        return rows.take(rows.user % 2 == dataset)

    fold = replace(
        RATED,
        people=replace(RATED.people, frame=people),
        parts={part: of(pairs, 0) for part, pairs in RATED.parts.items()},
        choices={part: of(choices, 1) for part, choices in CHOSEN.choices.items()},
    )
    good, bad = (bundle(fold, one.model) for one in (GOOD, BAD))
    up = judge(bad, good, fold)
    assert up.outcome == "PROMOTE"
    assert set(up.overall) == {"srocc", CHOICE_ACCURACY}
    held: list[Check] = [c for c in up.checks if c.kind == "hold-out"]
    assert {(c.row.dataset, c.row.metric) for c in held} == {("d", "srocc"), ("e", CHOICE_ACCURACY)}
    assert " frozen hold-out ratings of " in up.why
    assert " frozen hold-out choices of " in up.why

    class Askew(Linear):
        """Right about the people of `d`, wrong about those of `e`."""

        def predict(self, items: Any, people: Any, pairs: Any, *shown: Any) -> Any:
            found = super().predict(items, people, pairs)
            sign = np.where(pairs.user % 2 == 0, 1, -1)
            return replace(found, mean=(3 + sign * (found.mean - 3)).astype(np.float32))

    down = judge(bad, bundle(fold, Askew(TASTE)), fold)
    assert down.outcome == "REJECT"
    assert {c.row.dataset for c in down.checks if c.result == gate.FAILED} == {"e"}


def test_ties_alone_are_an_error_that_says_what_to_import() -> None:
    tied = {
        part: replace(one, outcome=np.full_like(one.outcome, 0.5))
        for part, one in CHOSEN.choices.items()
    }
    with pytest.raises(PamelaError, match=r"a choice that is no tie: .* more test choices"):
        judge(GOOD, GOOD, replace(CHOSEN, choices=tied))


def test_a_champion_that_learned_the_choices_held_out_now_is_an_error() -> None:
    trained = replace(GOOD, in_train_items=np.ones(ITEMS, bool))
    with pytest.raises(PamelaError, match="first d/i40: the splits changed"):
        judge(trained, GOOD)


def test_predictions_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(PamelaError, match=r"the challenger \(linear-0\): .* not finite"):
        judge(GOOD, bundle(CHOSEN, Linear(TASTE * np.nan)))


# --- what it is decided on --------------------------------------------------------------------


def write_rows(project: Project, batch: str, choices: Choices) -> None:
    path = project.validated / "choices.parquet" / partition_name("d", batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    words = {value: word for word, value in s.OUTCOMES.items()}
    images = CHOSEN.items.frame[s.IMAGE]
    pl.DataFrame(
        {
            s.DATASET: "d",
            s.USER: CHOSEN.people.frame[s.USER].gather(choices.user),
            s.IMAGE_A: images.gather(choices.a),
            s.IMAGE_B: images.gather(choices.b),
            s.CHOICE: [words[float(value)] for value in choices.outcome],
        }
    ).write_parquet(path)


def rows(choices: Choices) -> list[tuple[Any, ...]]:
    columns = (choices.user, choices.a, choices.b, choices.outcome)
    return sorted(zip(*(one.tolist() for one in columns), strict=True))


@pytest.mark.parametrize("rated", [False, True])
def test_no_choice_of_a_batch_is_frozen_and_a_share_of_the_newest_is_held_out(
    rated: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person may choose again what they chose before: as often as a batch says so is its own."""
    project = Project(tmp_path)
    train, test = CHOSEN.choices_of(s.TRAIN), CHOSEN.choices_of(s.TEST_SEEN)
    again = test.take(np.arange(10))  # the batch says these ten a second time
    turned = Choices(train.user, train.b, train.a, (1 - train.outcome).astype(np.float32))
    new = Choices.concat(train, turned)  # each pair once in either order
    fold = replace(
        CHOSEN,
        parts=RATED.parts if rated else {},
        choices={
            **CHOSEN.choices,
            s.TRAIN: new,
            s.TEST_SEEN: Choices.concat(again, test),
        },
    )
    monkeypatch.setattr(holdout, "load_fold", lambda _project, _number: fold)
    write_rows(project, "new", Choices.concat(again, new))
    found = load_holdout(project, ["d/new"], share=0.3, seed=0)
    if rated:  # compared on its ratings: all choices are learned
        assert len(found.choices) == len(found.newest_choices) == 0
        assert found.fold.choices_of(s.TRAIN) is new
        return
    assert rows(found.frozen_choices[s.TEST_SEEN]) == rows(test)
    assert rows(found.frozen_choices[s.TEST_UNSEEN]) == rows(CHOSEN.choices_of(s.TEST_UNSEEN))
    held = found.newest_choices
    assert 0.15 < len(held) / len(new) < 0.45
    assert rows(Choices.concat(held, found.fold.choices_of(s.TRAIN))) == rows(new)
    pairs = {(u, min(a, b), max(a, b)) for u, a, b, _ in rows(held)}
    left = {(u, min(a, b), max(a, b)) for u, a, b, _ in rows(found.fold.choices_of(s.TRAIN))}
    assert pairs.isdisjoint(left)
    assert len(load_holdout(project, [], share=0.3, seed=0).newest_choices) == 0
