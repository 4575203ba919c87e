"""What a new person's rating, choice and like are worth: ``python -m benchmarks.worth``.

New people of the embedded world (`benchmarks.newcomers`) tell the champion of a finished run k
times what they think of k training pictures: a rating of each; a choice between each and the next,
with noise of their own another time; whether they like each, a rating above the middle. The same
held-out pictures are asked about. A champion of ratings takes a like, or none, for what such a
rating is on average in training. Writes reports/worth.png and reports/bench_worth.json: within-user
SROCC, the mean over people, and of the gain of 20 ratings the share that 20 choices and likes have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from benchmarks.entries import Entry, entry
from benchmarks.newcomers import ColdStartUsers, draw_cold_start_users
from benchmarks.timing import fitted, fold_of, run_alone
from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Choices, Fold, Pairs
from pamela.core.paths import Project
from pamela.evaluation.metrics.bootstrap import make_draws, mean_estimates, ratio_estimates
from pamela.evaluation.metrics.definitions import srocc
from pamela.evaluation.metrics.grouping import group_predictions
from pamela.models.base import RewardModel
from pamela.params import load_params
from pamela.reporting.plots.worth import write_worth

PEOPLE: Final = 1000
SHOTS: Final = (0, 5, 10, 20, 50)
JUDGED: Final = 20
GOAL: Final = 0.5  # of the gain of ratings, for as many choices
MODEL: Final = "hierarchical"
LIKED: Final = 3.5  # a rating above is a like


@dataclass(frozen=True)
class Told:
    """What people say of their first k pictures."""

    ratings: Pairs | None = None
    choices: Choices | None = None


def kinds_of_telling(people: ColdStartUsers, fold: Fold, k: int) -> dict[str, Told]:
    """Return what everybody says of the same k pictures, by kind."""
    if not k:
        return dict.fromkeys(("ratings", "choices", "likes"), Told())
    rows = np.flatnonzero(people.place < k)
    first = people.context.take(rows)
    following = rows - people.place[rows] + (people.place[rows] + 1) % k  # the last meets the first
    chosen = (people.again[rows] > people.again[following]).astype(np.float32)
    choices = Choices(first.user, first.item, people.context.item[following], chosen)
    train = fold[s.TRAIN].rating
    means = [float(train[train <= LIKED].mean()), float(train[train > LIKED].mean())]
    likes = np.array(means, np.float32)[(first.rating > LIKED).astype(np.int64)]
    return {
        "ratings": Told(ratings=first),
        "choices": Told(choices=choices),
        "likes": Told(ratings=Pairs(first.user, first.item, likes)),
    }


def correlations(model: RewardModel, fold: Fold, people: ColdStartUsers, told: Told) -> Floats:
    """Return each person's SROCC (people,) on what they are asked."""
    query = people.query
    found = model.predict(fold.items, people.people, query, told.ratings, told.choices)
    laid = group_predictions(query.user, query.item, query.rating, found.mean[:, None])
    return srocc(laid)[:, 0]


def bench_worth(project: Project) -> list[Entry]:
    """Tell the champion k things of each kind, and ask it."""
    params, fold, model = load_params(project.params_file), fold_of(project), fitted(project, MODEL)
    people = draw_cold_start_users(project, fold, PEOPLE)
    draws = make_draws(PEOPLE, params.evaluate.bootstrap, params.evaluate.seed)
    values = {
        (kind, k): correlations(model, fold, people, told)
        for k in SHOTS
        for kind, told in kinds_of_telling(people, fold, k).items()
    }
    rows: list[Entry] = []
    curve = []
    for (kind, k), each in values.items():
        found = mean_estimates(each[:, None], draws)[0]
        rows.append(entry(f"{k} {kind} of a new person, SROCC", found.value or 0.0, "SROCC"))
        curve.append({"kind": kind, "shots": k, **found.to_row()})
    nothing = values["ratings", 0]
    gained = values["ratings", JUDGED] - nothing
    for kind, goal in (("choices", GOAL), ("likes", None)):
        gain = (values[kind, JUDGED] - nothing)[:, None]
        found = ratio_estimates(gain, gained[:, None], draws)[0]
        name = f"{JUDGED} {kind}, share of the gain of {JUDGED} ratings"
        rows.append(entry(name, found.value or 0.0, "share", goal))
    write_worth(pl.DataFrame(curve), project.reports / "worth.png")
    return rows


if __name__ == "__main__":
    run_alone("worth", bench_worth)
