"""How often the gate is right: ``python -m benchmarks.gate [--people 187 --trials 400]``.

Two simulated models of the embedded dataset's size (187 people with 65 held-out ratings each on 944
pictures, 40 of the people with newest ratings) go through the whole gate many times
(`pamela.retraining.gate.judgement`). Each predicts what people like, with errors: `ALIKE` of their
variance is common to both models, as between a model and its refit on a few more ratings, or none
is; `COMMON` of it is the same for all people. A challenger with as much error as the champion is
equal, so that every promotion is false; one with less is better, by a gain in SROCC that is
measured on many people. Goal: at most 5 % false promotions. The table shows the power by people and
gain.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.entries import Entry, entry
from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.evaluation.metrics.definitions import mean_srocc
from pamela.models.base import Prediction, Progress, RewardModel, on_scale, silent
from pamela.params import Params, load_params
from pamela.retraining.gate import judgement as gate
from pamela.retraining.gate.holdout import NEWEST, Holdout
from pamela.training.bundle import Bundle

PEOPLE: Final = 187  # with test ratings in the embedded dataset
PICTURES: Final = 944
RATINGS: Final = 65  # held-out ratings a person
UNSEEN: Final = 6  # every so many people one is unseen
ALIKE: Final = (0.95, 0.0)
COMMON: Final = 0.3
GAINS: Final = (0.0, 0.005, 0.01, 0.02, 0.04)
FALSE: Final = 0.05
TASTE, NOISE, ERROR = 1.0, 0.7, 0.75  # spread of taste, of one rating, of a model's errors


@dataclass(frozen=True)
class World:
    """Simulated people and what they like, (people, pictures), with a hold-out of their ratings."""

    taste: Floats
    holdout: Holdout


class Known(RewardModel):
    """A model whose predictions are known, (people, pictures)."""

    name = "known"
    personal = True

    def __init__(self, table: Floats) -> None:
        self.table = table

    def fit(self, fold: Fold, *, seed: int, progress: Progress = silent, **_: Any) -> pl.DataFrame:
        """Raise: there is nothing to fit."""
        raise NotImplementedError

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Look the pairs up."""
        mean = on_scale(3 + self.table[pairs.user, pairs.item])
        return Prediction(mean, np.full_like(mean, 1.0))

    def knows(self, people: People) -> Bools:
        """Return that everybody is known."""
        return np.ones(len(people), bool)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return the table."""
        return {}, {"table": self.table}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Return the model of a table."""
        return cls(arrays["table"])


# --- the simulation ---------------------------------------------------------------------------


def make_world(people: int, rng: np.random.Generator) -> World:
    """Draw people who share half of their taste, and a hold-out of their ratings."""
    shared = rng.normal(size=(1, PICTURES))
    own = rng.normal(size=(people, PICTURES))
    taste = TASTE * (shared + own) / np.sqrt(2)
    user = np.repeat(np.arange(people), RATINGS)
    item = np.concatenate([rng.choice(PICTURES, RATINGS, replace=False) for _ in range(people)])
    pairs = _rate(taste, user, item, rng)
    unseen = user % UNSEEN == 0
    new = np.repeat(np.arange(min(people, 40)), 10)
    newest = _rate(taste, new, rng.integers(PICTURES, size=len(new)), rng)
    frozen = {s.TEST_SEEN: pairs.take(~unseen), s.TEST_UNSEEN: pairs.take(unseen)}
    fold = Fold(0, _items(), _people(people), {**frozen, NEWEST: newest})
    return World(taste, Holdout(fold, frozen))


def _rate(
    taste: Floats, user: npt.NDArray[Any], item: npt.NDArray[Any], rng: np.random.Generator
) -> Pairs:
    noisy = 3 + taste[user, item] + NOISE * rng.normal(size=len(user))
    rating = np.clip(np.round(noisy), s.SCALE_LOW, s.SCALE_HIGH).astype(np.float32)
    return Pairs(user.astype(np.int64), item.astype(np.int64), rating)


def _items() -> Items:
    ids = [f"i{n}" for n in range(PICTURES)]
    frame = pl.DataFrame(
        {
            s.DATASET: "d",
            s.IMAGE: ids,
            s.TYPE: ["art" if n % 2 else "photo" for n in range(PICTURES)],
        }
    )
    empty = np.zeros((PICTURES, 0), np.float32)
    return Items(frame, empty, empty)


def _people(n: int) -> People:
    ids, groups = [f"u{k}" for k in range(n)], [f"g{k % 4}" for k in range(n)]
    return People(pl.DataFrame({s.DATASET: "d", s.USER: ids, "age": groups}))


def draw_errors(world: World, rng: np.random.Generator) -> Floats:
    """Draw errors of unit variance (people, pictures), `COMMON` of it the same for all people."""
    n = len(world.taste)
    common, own = rng.normal(size=(1, PICTURES)), rng.normal(size=(n, PICTURES))
    return np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * own


def make_model(world: World, errors: Floats) -> Bundle:
    """Return a model with these errors (people, pictures)."""
    fold = world.holdout.fold
    encoder = {"encoder": "none", "fingerprint": "none"}
    return Bundle(
        Known(world.taste + errors), fold.items, fold.people, np.zeros(PICTURES, bool),
        np.zeros(len(world.taste), bool), {"d": (1.0, 5.0)}, encoder, "known",
    )  # fmt: skip


def score_of(error: float, seed: int) -> float:
    """Return the mean SROCC of models with errors of this deviation, over many people."""
    found = []
    for trial in range(20):
        rng = np.random.default_rng([seed, trial])
        world = make_world(2 * PEOPLE, rng)
        model = make_model(world, error * draw_errors(world, rng))
        rows = world.holdout.rows
        mean = model.model.predict(model.items, model.people, rows).mean
        found.append(mean_srocc(rows.user, rows.rating, mean))
    return float(np.mean(found))


def errors_for(gains: Sequence[float], seed: int) -> dict[float, float]:
    """Return, for each gain, the errors of a challenger that gains it: by interpolation."""
    errors = np.linspace(ERROR, 0.7 * ERROR, 7)
    scores = np.array([score_of(float(e), seed) for e in errors])
    return {gain: float(np.interp(gain, scores - scores[0], errors)) for gain in gains}


def outcomes(
    people: int, error: float, alike: float, params: Params, trials: int, seed: int
) -> Iterator[str]:
    """Yield the gate's outcome of every trial.

    Parameters
    ----------
    error : of the challenger; the champion's is `ERROR`.
    alike : share of the errors' variance that both models have in common.
    """
    for trial in range(trials):
        rng = np.random.default_rng([seed, people, trial])
        world = make_world(people, rng)
        shared, first, second = (draw_errors(world, rng) for _ in range(3))
        champion = ERROR * (np.sqrt(alike) * shared + np.sqrt(1 - alike) * first)
        challenger = error * (np.sqrt(alike) * shared + np.sqrt(1 - alike) * second)
        one, other = (make_model(world, errors) for errors in (champion, challenger))
        yield gate.judge(one, other, world.holdout, params).outcome


def run(project: Project, sizes: Sequence[int], trials: int, seed: int = 0) -> list[Entry]:
    """Return the share of promotions and rejections by people, gain and likeness."""
    params = load_params(project.params_file)
    challengers = errors_for(GAINS, seed)
    entries = []
    for alike, people, (gain, error) in product(ALIKE, sizes, challengers.items()):
        found = list(outcomes(people, error, alike, params, trials, seed))
        name = f"gate: {people} people, {alike:g} of the errors in common, gain {gain:g}"
        promoted, rejected = (found.count(v) / len(found) for v in ("PROMOTE", "REJECT"))
        goal = FALSE if gain == 0 else None
        entries.append(entry(f"{name}: promoted", promoted, "share", goal))
        entries.append(entry(f"{name}: rejected", rejected, "share"))
        print(f"{name}: promoted {promoted:.3f}, rejected {rejected:.3f}", flush=True)
    return entries


def main() -> None:
    """Run the simulation and write ``reports/bench_gate.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[50, PEOPLE, 500])
    parser.add_argument("--trials", type=int, default=400)
    asked = parser.parse_args()
    project = Project.here()
    entries = run(project, asked.people, asked.trials)
    write_json(project.reports / "bench_gate.json", entries)


if __name__ == "__main__":
    main()
