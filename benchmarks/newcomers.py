"""Cold-start users: ``python -m benchmarks.newcomers``, part of `make bench`.

A finished run of the embedded world has a few dozen unseen people; here 2,000 are drawn for the
benchmark from the same prior (`pamela.synthetic.raters.new_users`). Each rates a random set of
training pictures, of which the first k are shown, and the same held-out pictures are asked about at
every k. Models and observers are given the very same rows. Reported at each number of shots:
pairwise accuracy at margin 0, the mean over users, and of the two gains over knowing nobody the
share (hierarchical - population) / (observer - ideal_population), with `ideal_observer` and with
`feature_observer`; intervals over users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import polars as pl

from benchmarks.entries import Entry, entry
from benchmarks.timing import fitted, fold_of, run_alone
from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.evaluation.metrics.bootstrap import Draws, Estimate, make_draws, mean_estimates
from pamela.evaluation.metrics.definitions import pairwise_accuracy
from pamela.evaluation.metrics.grouping import group_predictions
from pamela.evaluation.metrics.normalised_gain import Ideal, share_estimates
from pamela.evaluation.metrics.schema import POPULATION, WORLD
from pamela.evaluation.observers import (
    FEATURE_OBSERVER,
    IDEAL_OBSERVER,
    IDEAL_POPULATION,
    create_observers,
)
from pamela.models.base import Prediction
from pamela.params import load_params
from pamela.synthetic.raters.new_users import CONTEXT, QUERY, Newcomers, draw_newcomers
from pamela.synthetic.raters.world import World

PEOPLE: Final = 2000
SHOTS: Final = (0, 5, 10, 20, 50)
ASKED: Final = 40  # held-out pictures a person is asked about
SEED: Final = 2026
MODEL: Final = "hierarchical"
COMPARED: Final = "paper"
OBSERVERS: Final = (IDEAL_OBSERVER, FEATURE_OBSERVER)
GOALS: Final = {IDEAL_OBSERVER: 0.65, FEATURE_OBSERVER: 0.85}  # shares, at these shots:
JUDGED_SHOTS: Final = (20, 50)


class Predictor(Protocol):
    """A reward model or an observer."""

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`."""


@dataclass(frozen=True)
class ColdStartUsers:
    """New people, what they are asked and what they may have rated before.

    Attributes
    ----------
    query, context : pairs of rows of `people` and of the fold's pictures.
    place : int64 array (len(context),), each one's place in its person's order.
    again : array (len(context),), the impression of each picture another time, not rounded.
    """

    people: People
    query: Pairs
    context: Pairs
    place: Ints
    again: Floats

    def shown(self, k: int) -> Pairs | None:
        """Return everybody's first `k` ratings."""
        return self.context.take(self.place < k) if k else None


def draw_cold_start_users(project: Project, fold: Fold, count: int) -> ColdStartUsers:
    """Draw `count` people, who rate pictures that the fold trains on and are asked about others."""
    if not (project.truth / "world.json").is_file():
        raise PamelaError("data/truth: no embedded world; name synthetic in ingest.datasets")
    truth = read_parquet(project.truth / "images.parquet")
    items = fold.items.frame.with_row_index("_item").filter(pl.col(s.DATASET) == WORLD)
    trained = np.unique(fold[s.TRAIN].item)
    asked = np.unique(np.concatenate([fold[s.TEST_SEEN].item, fold[s.TEST_UNSEEN].item]))

    def of(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pl.DataFrame:
        return truth.filter(pl.col(s.IMAGE).is_in(fold.items.frame[s.IMAGE].gather(rows).implode()))

    drawn = draw_newcomers(
        World.load(project.truth),
        count,
        context_images=of(trained),
        query_images=of(np.setdiff1d(asked, trained)),
        context_size=max(SHOTS),
        query_size=ASKED,
        seed=SEED,
    )
    return _laid_out(drawn, items, fold.people)


def _laid_out(drawn: Newcomers, items: pl.DataFrame, known: People) -> ColdStartUsers:
    """Return the drawn people as models want them."""
    numbered = drawn.people.with_row_index("_user")
    rows = (
        drawn.ratings.join(numbered.select(s.USER, "_user"), on=s.USER)
        .join(items.select(s.IMAGE, "_item"), on=s.IMAGE)
        .sort("_user", "place")
    )
    columns = [pl.lit(WORLD).alias(s.DATASET), pl.all()]
    people = drawn.people.select(columns).select(known.frame.columns)

    def pairs(part: str) -> Pairs:
        mine = rows.filter(pl.col(s.PART) == part)
        return Pairs(
            mine["_user"].to_numpy().astype(np.int64),
            mine["_item"].to_numpy().astype(np.int64),
            mine[s.RATING].to_numpy().astype(np.float32),
        )

    context = rows.filter(pl.col(s.PART) == CONTEXT)
    place = context["place"].to_numpy().astype(np.int64)
    again = context["again"].to_numpy()
    return ColdStartUsers(People(people), pairs(QUERY), pairs(CONTEXT), place, again)


def accuracies(
    models: dict[str, Predictor],
    fold: Fold,
    cold_start_users: ColdStartUsers,
    k: int,
    min_pairs: int,
) -> Floats:
    """Return each person's pairwise accuracy (people, models) at margin 0 after `k` ratings."""
    means: list[Floats32] = [
        one.predict(
            fold.items, cold_start_users.people, cold_start_users.query, cold_start_users.shown(k)
        ).mean
        for one in models.values()
    ]
    query = cold_start_users.query
    laid = group_predictions(query.user, query.item, query.rating, np.stack(means, axis=1))
    return pairwise_accuracy(laid, [0.0], min_pairs)[:, 0, :]


def share(values: Floats, names: list[str], observer: str, draws: Draws) -> Estimate:
    """Return hierarchical's share of what `observer` gains by telling people apart."""
    place = {name: column for column, name in enumerate(names)}
    ideal = Ideal(
        models=(place[MODEL],),
        population=place[POPULATION],
        observer=place[observer],
        ideal_population=place[IDEAL_POPULATION],
    )
    return share_estimates(values, ideal, draws)[0]


def bench_newcomers(project: Project) -> list[Entry]:
    """Ask models and observers about people who were never trained on."""
    params = load_params(project.params_file)
    fold = fold_of(project)
    cold_start_users = draw_cold_start_users(project, fold, PEOPLE)
    truth = read_parquet(project.truth / "images.parquet")
    observers = create_observers(fold, truth, World.load(project.truth).prior)
    models: dict[str, Predictor] = {
        **{name: fitted(project, name) for name in (MODEL, POPULATION, COMPARED)},
        **observers,
    }
    names = list(models)
    draws = make_draws(PEOPLE, params.evaluate.bootstrap, params.evaluate.seed)
    rows: list[Entry] = []
    for k in SHOTS:
        values = accuracies(models, fold, cold_start_users, k, params.evaluate.min_pairs)
        found = mean_estimates(values, draws)
        rows += [
            _row(f"newcomers, {k} shots, pairwise accuracy, {name}", one)
            for name, one in zip(names, found, strict=True)
        ]
        gain = (values[:, names.index(MODEL)] - values[:, names.index(COMPARED)])[:, None]
        name = f"newcomers, {k} shots, pairwise accuracy, {MODEL} - {COMPARED}"
        rows.append(_row(name, mean_estimates(gain, draws)[0]))
        rows += [
            _row(
                f"newcomers, {k} shots, share of {observer}",
                share(values, names, observer, draws),
                GOALS[observer] if k in JUDGED_SHOTS else None,
            )
            for observer in OBSERVERS
        ]
    return rows


def _row(name: str, estimate: Estimate, goal: float | None = None) -> Entry:
    """Return a row; a share is null where the observer gains nothing, as before any rating."""
    unit = "share" if "share" in name else "accuracy"
    value = estimate.value
    row = entry(name, 0.0 if value is None else value, unit, goal)
    if value is None:
        row |= {"value": None, "ratio": None}
    interval = {"ci_low": estimate.ci_low, "ci_high": estimate.ci_high}
    rounded = {key: None if end is None else round(end, 4) for key, end in interval.items()}
    return {**row, **rounded, "n": estimate.n}


if __name__ == "__main__":
    run_alone("newcomers", bench_newcomers)
