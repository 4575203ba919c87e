"""How often the gate is right: ``python -m benchmarks.gate [--people 30 187 --trials 400]``.

Two simulated models of the embedded dataset's size (187 people with 65 held-out ratings each on 944
pictures, 40 of the people with newest ratings) go through the whole gate many times
(`pamela.retraining.gate.judgement`). Each predicts what people like, with errors: `ALIKE` of their
variance is common to both models, as between a model and its refit on a few more ratings, or none
is; `COMMON` of it is the same for all people. A challenger with as much error as the champion is
equal, so that every promotion is false; one with less is better, by a gain in SROCC that is
measured on many people. Goal: at most 5 % false promotions (exit status 1 where a size misses it
beyond the error of the simulation). The table shows the power by people and gain, and the least
gain that 80 % of challengers are promoted for. A trial costs more the more people there are, so
there are fewer of them for large hold-outs, and where there is a gain.
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
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.evaluation.metrics.definitions import mean_srocc
from pamela.models.base import Prediction, Progress, RewardModel, on_scale, silent
from pamela.params import Params, load_params
from pamela.retraining.gate import judgement as gate
from pamela.retraining.gate.holdout import NEWEST, Holdout
from pamela.training.bundle import Bundle

PEOPLE: Final = 187  # with test ratings in the embedded dataset
SIZES: Final = (30, 60, 120, PEOPLE, 400, 1000)
PICTURES: Final = 944
RATINGS: Final = 65  # held-out ratings a person
UNSEEN: Final = 6  # every so many people one is unseen
ALIKE: Final = (0.95, 0.0)
COMMON: Final = 0.3
GAINS: Final = (0.0, 0.005, 0.01, 0.02, 0.04)
FALSE: Final = 0.05
POWER: Final = 0.8
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

    def __init__(self, table: Floats, std: float) -> None:
        self.table, self.std = table, std

    def _fit(self, fold: Fold, *, seed: int, progress: Progress = silent, **_: Any) -> pl.DataFrame:
        """Raise: there is nothing to fit."""
        raise NotImplementedError

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        """Look the pairs up."""
        mean = on_scale(3 + self.table[pairs.user, pairs.item])
        return Prediction(mean, np.full_like(mean, self.std))

    def knows(self, people: People) -> Bools:
        """Return that everybody is known."""
        return np.ones(len(people), bool)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return the table."""
        return {"std": self.std}, {"table": self.table}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Return the model of a table."""
        return cls(arrays["table"], config["std"])


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
    """Return a model with these errors (people, pictures), whose intervals are as wide as they."""
    std = float(np.sqrt(errors.var() + NOISE**2 + 1 / 12))  # of rounding to whole ratings
    fold = world.holdout.fold
    encoder = {"encoder": "none", "fingerprint": "none"}
    return Bundle(
        Known(world.taste + errors, std), fold.items, fold.people, np.zeros(PICTURES, bool),
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


@dataclass(frozen=True)
class Rates:
    """How often the gate promoted and rejected in `trials` of one kind."""

    promoted: float
    rejected: float
    trials: int

    @property
    def error(self) -> float:
        """The standard error of `promoted`."""
        return float(np.sqrt(self.promoted * (1 - self.promoted) / self.trials))

    def __str__(self) -> str:
        return f"{100 * self.promoted:.1f} ±{100 * self.error:.1f}"


Table = dict[tuple[int, float], Rates]  # by people and gain


def run(params: Params, sizes: Sequence[int], alike: float, trials: int, *, seed: int = 0) -> Table:
    """Return the share of promotions and rejections by people and gain."""
    challengers = errors_for(GAINS, seed)
    found: Table = {}
    for people, (gain, error) in product(sizes, challengers.items()):
        count = count_trials(people, gain, trials)
        seen = list(outcomes(people, error, alike, params, count, seed))
        promoted, rejected = (seen.count(v) / count for v in ("PROMOTE", "REJECT"))
        found[people, gain] = Rates(promoted, rejected, count)
        print(f"{people} people, gain {gain:g}: {found[people, gain]} %", flush=True)
    return found


def count_trials(people: int, gain: float, trials: int) -> int:
    """Return how many trials to run: all without a gain and up to the embedded size, else fewer."""
    wanted = trials if gain == 0 else trials * 3 // 8
    return max(1, round(wanted * min(1.0, PEOPLE / people)))


def least_gain(found: Table, people: int) -> float | None:
    """Return the gain that is found in `POWER` of cases, by interpolation; None above them all."""
    power = [found[people, gain].promoted for gain in GAINS]
    for low, high, below, above in zip(GAINS, GAINS[1:], power, power[1:], strict=False):
        if above >= POWER:
            return float(np.interp(POWER, (below, above), (low, high)))
    return None


def show(found: Table, alike: float) -> None:
    """Print the table in Markdown: a row per number of people."""
    sizes = sorted({people for people, _ in found})
    print(f"\nPromoted, % ± standard error; {100 * alike:g} % of the errors in common\n")
    gains = " | ".join(f"gain {gain:g}" for gain in GAINS[1:])
    print(f"| people | equal | {gains} | least gain, {100 * POWER:g} % | equal, rejected |")
    print("|" + "---:|" * (len(GAINS) + 3))
    for people in sizes:
        cells = [str(found[people, gain]) for gain in GAINS]
        least = least_gain(found, people)
        cells.append("-" if least is None else f"{least:.4f}")
        cells.append(f"{100 * found[people, 0.0].rejected:.1f}")
        print(f"| {people:,} | {' | '.join(cells)} |")


def to_entries(found: Table, alike: float) -> list[Entry]:
    """Return the rows of ``reports/bench_gate.json``."""
    rows = []
    for (people, gain), rates in found.items():
        name = f"gate: {people} people, {alike:g} of the errors in common, gain {gain:g}"
        goal = FALSE if gain == 0 else None
        rows.append(entry(f"{name}: promoted", rates.promoted, "share", goal))
        rows.append(entry(f"{name}: rejected", rates.rejected, "share"))
    return rows


def missed(found: Table) -> list[int]:
    """Return the sizes at which equal challengers are promoted too often, beyond two errors."""
    equal = {people: rates for (people, gain), rates in found.items() if gain == 0}
    return [n for n, rates in equal.items() if rates.promoted - 2 * rates.error > FALSE]


def main() -> None:
    """Run the simulation and write ``reports/bench_gate.json``; exit status 1: a goal missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--alike", type=float, nargs="+", default=list(ALIKE))
    asked = parser.parse_args()
    project = Project.here()
    params = load_params(project.params_file)
    entries, late = [], []
    for alike in asked.alike:
        found = run(params, asked.people, alike, asked.trials)
        show(found, alike)
        entries += to_entries(found, alike)
        late += missed(found)
    write_json(project.reports / "bench_gate.json", entries)
    if late:
        raise SystemExit(f"more than {FALSE:.0%} false promotions at {late} people")


if __name__ == "__main__":
    main()
