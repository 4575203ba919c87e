"""How many suggested ratings teach what 20 random ones do: ``python -m benchmarks.suggest``.

New people of the embedded world (`pamela.synthetic.raters.new_users`), whom no model has seen, rate
any training picture that is suggested, of the types that they rate. What the model then says of
their held-out pictures is compared with what it says after 20 random ratings of the same people.
The interval is a paired bootstrap over people.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from benchmarks.entries import Entry
from benchmarks.timing import timed
from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32, Ints
from pamela.core.dataset import Items, Pairs, People, load_fold
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.evaluation.metrics import definitions
from pamela.evaluation.metrics.bootstrap import interval, make_draws
from pamela.evaluation.metrics.grouping import group_predictions
from pamela.models.base import load_model
from pamela.models.linear_taste import LinearTaste
from pamela.models.random_effects.rating_design import choose_greedily
from pamela.synthetic.raters.new_users import CONTEXT, QUERY, Newcomers, draw_newcomers
from pamela.synthetic.raters.world import World

MODEL: Final = "hierarchical"
PEOPLE, RANDOM, MOST, GOAL = 400, 20, 20, 14
QUERY_SIZE, RANDOM_DRAWS, BOOTSTRAP, SEED = 60, 5, 1000, 3
PICTURES, PICKS = 4000, 10  # of the timing
METRICS: Final = (definitions.SROCC, definitions.PAIRWISE_ACCURACY)


@dataclass(frozen=True)
class Setting:
    """New people, what they would say of training pictures, and what they say of held-out ones.

    Attributes
    ----------
    columns : array (m, k), taste columns of the `items`.
    item, rating : arrays (people, candidates), rows of `items` in random order and their ratings.
    query : the held-out pairs.
    """

    model: Any
    items: Items
    columns: Floats
    people: People
    item: Ints
    rating: Floats32
    query: Pairs


def prepare(project: Project) -> Setting:
    """Draw people and lay out their ratings; every candidate of a person has one."""
    folder = project.models / MODEL / "fold_0"
    if not folder.is_dir() or not (project.truth / "world.json").is_file():
        raise PamelaError(f"benchmark: needs a run on `synthetic` with {MODEL} in train.models")
    model = load_model(folder)
    if not isinstance(model, LinearTaste):
        raise PamelaError(f"benchmark: {MODEL} suggests nothing")
    fold = load_fold(project, 0)
    truth = pl.read_parquet(project.truth / "images.parquet", glob=False)
    trained = fold.items.frame[np.unique(fold[s.TRAIN].item)][s.IMAGE]
    context = truth.filter(pl.col(s.IMAGE).is_in(trained.implode()))
    held_out = truth.filter(pl.col("side") == "test")
    drawn = draw_newcomers(
        World.load(project.truth),
        PEOPLE,
        context_images=context,
        query_images=held_out,
        context_size=min(context[s.TYPE].value_counts()["count"].to_list(), default=0),
        query_size=QUERY_SIZE,
        seed=SEED,
    )
    people = _people(drawn, fold.people)
    rows = _rows(drawn, fold.items)
    shown = rows.filter(pl.col(s.PART) == CONTEXT)
    asked = rows.filter(pl.col(s.PART) == QUERY)
    return Setting(
        model,
        fold.items,
        model.columns(fold.items)[2],
        people,
        shown["_item"].to_numpy().reshape(PEOPLE, -1),
        shown[s.RATING].to_numpy().astype(np.float32).reshape(PEOPLE, -1),
        Pairs(
            asked["_user"].to_numpy(),
            asked["_item"].to_numpy(),
            asked[s.RATING].to_numpy().astype(np.float32),
        ),
    )


def _people(drawn: Newcomers, known: People) -> People:
    frame = drawn.people.select(
        pl.lit(known.frame[s.DATASET][0]).alias(s.DATASET),
        s.USER,
        *(pl.col(c).cast(pl.String) for c in known.demographics),
    )
    return People(frame)


def _rows(drawn: Newcomers, items: Items) -> pl.DataFrame:
    """Return the ratings by row of person and picture, sorted by person, part and place."""
    place = items.frame.select(s.IMAGE, _item=pl.int_range(pl.len(), dtype=pl.Int64))
    person = drawn.people.select(s.USER, _user=pl.int_range(pl.len(), dtype=pl.Int64))
    joined = drawn.ratings.join(place, on=s.IMAGE).join(person, on=s.USER)
    return joined.sort("_user", s.PART, "place")


def designs(setting: Setting) -> Ints:
    """Return which candidates (people, MOST) are suggested to each person, best first."""
    prior = setting.model.prior
    noise = prior.rating_variance
    out = np.zeros((len(setting.people), MOST), np.int64)
    for person, rows in enumerate(setting.item):
        columns = setting.columns[rows]
        out[person] = choose_greedily(columns, columns, prior.covariance, noise, MOST).picks
    return out


def values(setting: Setting, picks: Ints) -> Floats:
    """Return each person's metrics (people, 2) after they rated the candidates `picks`.

    Parameters
    ----------
    picks : (people, k), places in each person's candidates.
    """
    people, k = picks.shape
    context = Pairs(
        np.repeat(np.arange(people), k),
        np.take_along_axis(setting.item, picks, 1).ravel(),
        np.take_along_axis(setting.rating, picks, 1).ravel(),
    )
    said = setting.model.predict(setting.items, setting.people, setting.query, context)
    grouped = group_predictions(
        setting.query.user, setting.query.item, setting.query.rating, said.mean
    )
    accuracy = definitions.pairwise_accuracy(grouped, [0.0], 5)[:, 0, 0]
    return np.stack([definitions.srocc(grouped)[:, 0], accuracy], axis=1)


def measure(setting: Setting) -> dict[str, Floats]:
    """Return ``curve`` (ratings 0..MOST, people, 2) as suggested, and ``random`` (people, 2)."""
    suggested = designs(setting)
    curve = np.stack([values(setting, suggested[:, :k]) for k in range(MOST + 1)])
    rng = np.random.default_rng(SEED)
    many = []
    for _ in range(RANDOM_DRAWS):
        order = rng.random(setting.item.shape).argsort(axis=1)
        many.append(values(setting, order[:, :RANDOM]))
    return {"curve": curve, "random": np.mean(many, axis=0)}


def entries(curve: Floats, random: Floats) -> list[Entry]:
    """Return the rows of the benchmark with their paired intervals."""
    draws = make_draws(random.shape[0], BOOTSTRAP, SEED)
    rows = []
    for column, name in enumerate(METRICS):
        defined = ~(np.isnan(curve[:, :, column]).any(axis=0) | np.isnan(random[:, column]))
        ours, theirs = curve[:, defined, column], random[defined, column]
        weight = draws.users[:, defined] / draws.users[:, defined].sum(axis=1, keepdims=True)
        resampled, bar = weight @ ours.T, weight @ theirs
        low, high = interval(_reached(resampled, bar)[:, None])
        point = _reached(ours.mean(axis=1)[None], np.array([theirs.mean()]))[0]
        rows.append(_entry(f"suggested ratings that give the {name} of {RANDOM} random ones",
                           point, "ratings", RANDOM, (low[0], high[0])))  # fmt: skip
        gap = resampled[:, GOAL] - bar
        low, high = interval(gap[:, None])
        rows.append(_entry(f"{name}, {GOAL} suggested minus {RANDOM} random",
                           float((ours[GOAL] - theirs).mean()), "", None,
                           (low[0], high[0])))  # fmt: skip
    return rows


def _reached(curves: Floats, bars: Floats) -> Floats:
    """Return the first number of ratings at which each curve (n, k) is at its bar (n,) or above.

    One that never is counts as one more than was tried.
    """
    above = curves >= bars[:, None]
    found: Floats = np.where(above.any(axis=1), above.argmax(axis=1), curves.shape[1]).astype(float)
    return found


def _entry(
    name: str, value: float, unit: str, baseline: float | None, ci: tuple[float, float]
) -> Entry:
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "baseline": baseline,
        "ratio": round(value / baseline, 3) if baseline else None,
        "ci_low": round(float(ci[0]), 4),
        "ci_high": round(float(ci[1]), 4),
    }


def speed(setting: Setting) -> Entry:
    """Time `PICKS` suggestions from `PICTURES` pictures, columns at hand; best of five."""
    rng = np.random.default_rng(SEED)
    columns = setting.columns[rng.integers(0, len(setting.columns), PICTURES)]
    prior = setting.model.prior
    noise = prior.rating_variance
    taken = [
        timed(lambda: choose_greedily(columns, columns, prior.covariance, noise, PICKS))
        for _ in range(5)
    ]
    best = min(one.wall_s for one in taken)
    name = f"suggest {PICKS} of {PICTURES} pictures"
    return {"name": name, "value": round(best, 4), "unit": "s", "baseline": None,
            "ratio": None}  # fmt: skip


def bench_suggest(project: Project) -> list[Entry]:
    """Measure all of it on a finished run."""
    setting = prepare(project)
    found = measure(setting)
    return [*entries(found["curve"], found["random"]), speed(setting)]


def main() -> None:
    """Print the list for the project here, and the curve."""
    setting = prepare(Project.here())
    found = measure(setting)
    print(json.dumps([*entries(found["curve"], found["random"]), speed(setting)], indent=1))
    print(f"{RANDOM} random: ", *(f"{v:.4f}" for v in np.nanmean(found["random"], axis=0)))
    for k, row in enumerate(np.nanmean(found["curve"], axis=1)):
        print(f"{k} suggested:", *(f"{v:.4f}" for v in row))


if __name__ == "__main__":
    main()
