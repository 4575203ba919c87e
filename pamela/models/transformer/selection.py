"""Choosing the transformer's sizes by successive halving over a small cross-validation.

Everything happens inside train. A fold holds out a group of prompts for everybody and a smaller
group of users altogether, so that a configuration is judged on new pictures, for seen and unseen
users at once. Many configurations get few rows and epochs; the best ones get more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

import numpy as np

from pamela.compute.processes import run_all
from pamela.core.arrays import Bools, Ints
from pamela.core.dataset import Pairs
from pamela.models.base import Progress, silent
from pamela.models.dataset_weights import CV, FoldScores, WeightSetting, clearly_better
from pamela.models.preprocessing import Datasets
from pamela.models.transformer.batches import OptimiserConfig
from pamela.models.transformer.network import Shape

UNKNOWN_USER = 0.2  # share of training rows whose user is masked
HEADS = 2
FIRST_ROWS, FIRST_EPOCHS = 12_000, 3  # the first rung: rows and epochs per run
SECOND_ROWS = 30_000  # the second rung, at the trial's own number of epochs
SURVIVORS = 2  # the first trial and the best other one
VALIDATION_ROWS = 8_000
HELD_OUT_SHARE = 0.1  # of prompts, where a release has no validation part


@dataclass(frozen=True)
class Configuration:
    """One configuration."""

    components: int
    width: int
    layers: int
    dropout: float
    learning_rate: float
    weight_decay: float
    epochs: int

    @property
    def shape(self) -> Shape:
        """The network's shape."""
        return Shape(self.width, self.layers, HEADS, self.dropout)


# Tried in this order: what did well on small and on large sets of pictures, each far from the rest.
DESIGNED = (
    Configuration(64, 32, 1, 0.3, 2e-3, 0.1, 4),
    Configuration(128, 32, 1, 0.3, 1e-3, 0.1, 4),
    Configuration(256, 32, 1, 0.2, 2e-3, 0.1, 12),  # a person takes longer to learn than a picture
    Configuration(32, 16, 1, 0.1, 2e-3, 0.1, 4),
    Configuration(64, 32, 2, 0.1, 1e-3, 0.01, 6),
    Configuration(128, 32, 1, 0.2, 2e-3, 0.1, 12),
)


@dataclass(frozen=True)
class SearchConfig:
    """How much is tried, and how a network is trained (``train`` params).

    Attributes
    ----------
    given : configurations to choose from; by default the designed ones and random ones.
    dataset_weights : as of ``train.dataset_weights``.
    """

    folds: int
    trials: int
    max_epochs: int
    patience: int
    batch_size: int
    given: tuple[Configuration, ...] = ()
    dataset_weights: WeightSetting = CV

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from what JSON keeps of `asdict`."""
        given = tuple(Configuration(**trial) for trial in saved["given"])
        return cls(**{**saved, "given": given})

    def epochs(self, trial: Configuration) -> int:
        """Return the epochs over which the learning rate of `trial` decays."""
        return min(trial.epochs, self.max_epochs)

    def regime(self, trial: Configuration, epochs: int) -> OptimiserConfig:
        """Return how to train `trial`."""
        return OptimiserConfig(
            epochs=min(epochs, self.max_epochs),
            batch_size=self.batch_size,
            learning_rate=trial.learning_rate,
            weight_decay=trial.weight_decay,
            unknown_user=UNKNOWN_USER,
            patience=self.patience,
        )

    def candidates(self, rng: np.random.Generator) -> list[Configuration]:
        """Return the given trials, else the designed ones and, beyond them, random ones."""
        if self.given:
            return list(self.given)
        drawn = [
            Configuration(
                int(rng.choice([32, 64, 128, 256])),
                int(rng.choice([16, 32, 64])),
                int(rng.choice([1, 2])),
                float(rng.choice([0.1, 0.2, 0.3, 0.5])),
                float(rng.choice([5e-4, 1e-3, 2e-3])),
                float(rng.choice([0.01, 0.1, 0.3])),
                int(rng.choice([4, 6, 8])),
            )
            for _ in range(max(self.trials - len(DESIGNED), 0))
        ]
        return [*DESIGNED, *drawn][: self.trials]


# trial, inner rows, outer rows, epochs -> score
Run = Callable[[Configuration, Pairs, Pairs, int], float]


def choose_configuration(
    search: SearchConfig,
    train: Pairs,
    group: Ints,
    run: Run,
    *,
    seed: int,
    progress: Progress = silent,
    datasets: Datasets | None = None,
) -> tuple[Configuration, dict[str, float]]:
    """Return the best trial and the score of every trial in the last rung that it reached.

    Parameters
    ----------
    datasets : where `train` is of several.
    group : int array (items,), equal where pictures must stay on one side.
    run : trains a trial on inner rows and scores it on outer rows; picklable, as a rung's runs go
        side by side where processes are open.

    Notes
    -----
    The first trial is the one to beat (`clearly_better`) and reaches the last rung in any case.
    """
    rng = np.random.default_rng(seed)
    trials = search.candidates(rng)
    if len(trials) == 1:
        return trials[0], {}
    total, done = (len(trials) + SURVIVORS) * search.folds, count()

    def told(name: str) -> None:
        progress((next(done) + 1) / total, name)

    scores: dict[int, FoldScores] = {}
    alive = list(range(len(trials)))
    for rows, most_epochs in ((FIRST_ROWS, FIRST_EPOCHS), (SECOND_ROWS, search.max_epochs)):
        parts = cross_validation(train, group, search.folds, rows, rng, datasets)
        asked = [(number, part) for number in alive for part in parts]
        jobs = [
            (trials[number], *part, min(most_epochs, trials[number].epochs))
            for number, part in asked
        ]
        names = [f"paper: configuration {number + 1} of {len(trials)}" for number, _ in asked]
        found = run_all(run, jobs, names, told)
        scores |= {
            number: np.array([one for one, (n, _) in zip(found, asked, strict=True) if n == number])
            for number in alive
        }
        challenger = max(alive[1:], key=lambda number: scores[number].mean())
        alive = [0, challenger]
    best = challenger if clearly_better(scores[challenger], scores[0]) else 0
    means = {str(number): round(float(scores[number].mean()), 6) for number in sorted(scores)}
    return trials[best], means


def cross_validation(
    train: Pairs,
    group: Ints,
    folds: int,
    rows: int,
    rng: np.random.Generator,
    datasets: Datasets | None = None,
) -> list[tuple[Pairs, Pairs]]:
    """Return (inner, outer) rows per fold, over at most about `rows` rows.

    Whole users are left out where there are too many rows, so that every picture stays; several
    datasets get as equal parts of `rows` as they can fill. Of fold j, the prompts of group j are
    outer for everybody, and the users of group j (half as many) have no inner rows.
    """
    used = _users(train, folds, rows, rng, datasets)
    train = train.take(np.isin(train.user, used))
    user_part = np.full(int(train.user.max()) + 1, -1)
    user_part[used] = np.arange(len(used)) % (2 * folds)
    names = np.unique(group[train.item])
    group_part = np.full(int(group.max()) + 1, -1)
    group_part[names] = rng.permutation(len(names)) % folds
    by_user, by_item = user_part[train.user], group_part[group[train.item]]
    parts = []
    for number in range(folds):
        inner = train.take((by_user != number) & (by_item != number))
        outer = train.take(by_item == number)
        if len(outer) > VALIDATION_ROWS:
            outer = outer.take(np.sort(rng.choice(len(outer), VALIDATION_ROWS, replace=False)))
        if len(inner) and len(outer):
            parts.append((inner, outer))
    return parts


def _users(
    train: Pairs, folds: int, rows: int, rng: np.random.Generator, datasets: Datasets | None
) -> Ints:
    """Return the users whose rows are used, in a random order."""
    users = rng.permutation(np.unique(train.user))
    count = np.bincount(train.user, minlength=int(users.max()) + 1)[users]

    def first(chosen: Bools, rows: int) -> Ints:
        enough = int(np.searchsorted(np.cumsum(count[chosen]), rows)) + 1
        found: Ints = users[chosen][: max(enough, 2 * folds)]
        return found

    if datasets is None or len(datasets) < 2:
        return first(np.ones(len(users), np.bool_), rows)
    home = np.zeros(int(users.max()) + 1, np.int64)
    home[train.user] = datasets.code[train.item]
    sizes, parts, left = datasets.rows(train), [], rows
    for place, one in enumerate(np.argsort(sizes, kind="stable")):  # the small ones first
        quota = min(int(sizes[one]), left // (len(datasets) - place))
        parts.append(first(home[users] == one, quota))
        left -= quota
    return np.concatenate(parts)


def hold_out_prompts(train: Pairs, group: Ints, seed: int) -> tuple[Pairs, Pairs]:
    """Return (train, validation) rows, a share of the prompts held out for everybody."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(group[train.item]))
    held = np.isin(group[train.item], names[: max(1, int(HELD_OUT_SHARE * len(names)))])
    return train.take(~held), train.take(held)
