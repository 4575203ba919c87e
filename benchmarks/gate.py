"""How often the gate is right: ``python -m benchmarks.gate [--people 187 --trials 400]``.

Two simulated models of the embedded dataset's size (187 people with 65 held-out ratings each on 944
pictures, 40 of the people with newest ratings) go through the whole gate many times
(`pamela.retraining.gate.judgement`). Each predicts what people like with errors of its own, a share
of which is common to all people, as the errors of two fits are. A challenger with the champion's
share of errors is equal, so that every promotion is false; one with less error is better, by a gain
that is measured on many people. Goals: at most 5 % false promotions; the table shows the power by
people and gain.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
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
GAINS: Final = (0.0, 0.005, 0.01, 0.02, 0.04)
POWER: Final = 0.8
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


def make_model(world: World, error: float, common: float, rng: np.random.Generator) -> Bundle:
    """Return a model whose errors have standard deviation `error`.

    Parameters
    ----------
    common : share of the errors' variance that is the same for all people.
    """
    n = len(world.taste)
    errors = np.sqrt(common) * rng.normal(size=(1, PICTURES))
    errors = errors + np.sqrt(1 - common) * rng.normal(size=(n, PICTURES))
    fold = world.holdout.fold
    encoder = {"encoder": "none", "fingerprint": "none"}
    return Bundle(
        Known(world.taste + error * errors), fold.items, fold.people, np.zeros(PICTURES, bool),
        np.zeros(n, bool), {"d": (1.0, 5.0)}, encoder, "known",
    )  # fmt: skip


def gain_of(error: float, common: float, seed: int) -> float:
    """Return the mean SROCC of models with these errors, over many people."""
    found = []
    for trial in range(20):
        rng = np.random.default_rng([seed, trial])
        world = make_world(4 * PEOPLE // 2, rng)
        model = make_model(world, error, common, rng)
        rows = world.holdout.rows
        mean = model.model.predict(model.items, model.people, rows).mean
        found.append(mean_srocc(rows.user, rows.rating, mean))
    return float(np.mean(found))


def error_for(gain: float, common: float, seed: int) -> float:
    """Return the errors with which a challenger gains `gain`: by interpolation."""
    errors = np.linspace(ERROR, 0.6 * ERROR, 7)
    scores = np.array([gain_of(float(e), common, seed) for e in errors])
    return float(np.interp(gain, scores - scores[0], errors))


def verdicts(
    people: int, error: float, common: float, params: Params, trials: int, seed: int
) -> Iterator[str]:
    """Yield the gate's verdict of every trial."""
    for trial in range(trials):
        rng = np.random.default_rng([seed, people, trial])
        world = make_world(people, rng)
        champion = make_model(world, ERROR, common, rng)
        challenger = make_model(world, error, common, rng)
        yield gate.judge(champion, challenger, world.holdout, params).verdict


def run(project: Project, sizes: list[int], trials: int, seed: int = 0) -> list[Entry]:
    """Return the share of promotions and rejections by people, gain and common errors."""
    params = load_params(project.params_file)
    entries = []
    for common in (0.0, 0.3):
        challengers = {gain: error_for(gain, common, seed) for gain in GAINS}
        for people in sizes:
            for gain, error in challengers.items():
                found = list(verdicts(people, error, common, params, trials, seed))
                share = {v: found.count(v) / len(found) for v in ("PROMOTE", "REJECT")}
                what = f"gate: {people} people, gain {gain:g}, common errors {common:g}"
                goal = FALSE if gain == 0 else None
                entries.append(entry(f"{what}: promoted", share["PROMOTE"], "share", goal))
                entries.append(entry(f"{what}: rejected", share["REJECT"], "share", None))
                print(
                    f"{what}: promoted {share['PROMOTE']:.3f}, rejected {share['REJECT']:.3f}",
                    flush=True,
                )
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
