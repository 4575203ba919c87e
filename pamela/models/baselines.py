"""The baselines every table carries: the mean, each user's mean, each group's mean.

All means are shrunken towards the next coarser one by the ratio of their variances (empirical
Bayes; DerSimonian & Laird's moment estimate of the variance between groups).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.models.base import Prediction, Progress, RewardModel, on_scale, silent
from pamela.models.preprocessing import UNKNOWN, Codes, UserIndex, canonical

SMALLEST = 1e-4  # floor of a variance
LEVELS: tuple[tuple[str, ...], ...] = (
    (s.DATASET,),
    (s.DATASET, s.TYPE),
    (s.DATASET, s.TYPE, s.GROUP),
    (s.DATASET, s.TYPE, s.GROUP, s.STYLE),
)


@dataclass(frozen=True)
class Level:
    """Deviations of groups from a coarser mean, shrunken.

    Attributes
    ----------
    codes : the groups.
    deviation : array (groups,), shrunken mean deviation.
    variance : array (groups,), posterior variance of it.
    between : variance between groups, which is that of an unknown group.
    """

    codes: Codes
    deviation: Floats
    variance: Floats
    between: float

    def at(self, code: Ints) -> tuple[Floats, Floats]:
        """Return deviation and variance per code; an unknown one deviates by nothing."""
        known = code != UNKNOWN
        return (
            np.where(known, self.deviation[code], 0.0),
            np.where(known, self.variance[code], self.between),
        )


def shrunken_means(code: Ints, residual: Floats, count: int) -> tuple[Floats, Floats, float]:
    """Return shrunken group means, their posterior variances and the variance between groups.

    Parameters
    ----------
    code : int array (n,), group of each row in ``range(count)``.
    residual : array (n,).
    """
    n = np.bincount(code, minlength=count).astype(np.float64)
    mean = np.bincount(code, residual, count) / np.maximum(n, 1)
    within = float(np.sum((residual - mean[code]) ** 2)) / max(len(code) - count, 1)
    within = max(within, SMALLEST)
    spread = float(np.sum(n * mean**2)) / within - (count - 1)
    weight = float(n.sum() - (n**2).sum() / max(n.sum(), 1.0))
    between = max(spread * within / weight, SMALLEST) if weight > 0 else SMALLEST
    shrink = n / (n + within / between)
    return shrink * mean, between * (1 - shrink), between


class _LevelsModel(RewardModel):
    """A sum of shrunken levels over the metadata of pictures."""

    personal = False
    levels: ClassVar[tuple[tuple[str, ...], ...]]

    def __init__(self) -> None:
        self.chosen: dict[str, Any] = {}
        self._mean = 0.0
        self._noise = 1.0
        self._levels: list[Level] = []

    def _fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Fit the means of ``train``; nothing is random."""
        pairs = canonical(fold[s.TRAIN])
        used, item = np.unique(pairs.item, return_inverse=True)
        frame = fold.items.frame[used]
        rating = pairs.rating.astype(np.float64)
        self._mean = float(rating.mean())
        residual, self._levels = rating - self._mean, []
        for columns in self.levels:
            codes = Codes.fit(frame, columns)
            code = codes.encode(frame)[item]
            level = Level(codes, *shrunken_means(code, residual, len(codes)))
            residual = residual - level.deviation[code]
            self._levels.append(level)
        self._noise = max(float(np.mean(residual**2)), SMALLEST)
        progress(1.0, "done")
        return pl.DataFrame({"step": [0], "train_rmse": [float(np.sqrt(self._noise))]})

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        """Predict `pairs` from metadata alone; people and context are ignored."""
        mean, variance = self._per_item(items)
        return _prediction(mean[pairs.item], variance[pairs.item])

    def raw_mean(self, items: Items) -> Floats:
        """Return the mean of every picture's group."""
        return self._per_item(items)[0]

    def _per_item(self, items: Items) -> tuple[Floats, Floats]:
        mean, variance = np.full(len(items), self._mean), np.full(len(items), self._noise)
        for level in self._levels:
            deviation, more = level.at(level.codes.encode(items.frame))
            mean, variance = mean + deviation, variance + more
        return mean, variance

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        config = {
            "mean": self._mean,
            "noise": self._noise,
            "levels": [
                {"codes": level.codes.to_json(), "between": level.between} for level in self._levels
            ],
        }
        arrays: dict[str, npt.NDArray[Any]] = {}
        for number, level in enumerate(self._levels):
            arrays[f"{number}.deviation"] = level.deviation
            arrays[f"{number}.variance"] = level.variance
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        model = cls()
        model._mean, model._noise = config["mean"], config["noise"]
        model._levels = [
            Level(
                Codes.from_json(saved["codes"]),
                arrays[f"{number}.deviation"],
                arrays[f"{number}.variance"],
                saved["between"],
            )
            for number, saved in enumerate(config["levels"])
        ]
        return model


class GlobalMean(_LevelsModel):
    """`global_mean`: the mean rating of the dataset (of all datasets for an unknown one)."""

    name: ClassVar[str] = "global_mean"
    levels: ClassVar[tuple[tuple[str, ...], ...]] = LEVELS[:1]


class GroupMean(_LevelsModel):
    """`group_mean`: the mean of the picture's (dataset, type, group, style), without looking at it.

    Every level is shrunken towards the coarser one, and a key that training did not hold falls to
    the finest coarser key that it did.
    """

    name: ClassVar[str] = "group_mean"
    levels: ClassVar[tuple[tuple[str, ...], ...]] = LEVELS


class UserMean(RewardModel):
    """`user_mean`: each user's shrunken mean rating, whatever the picture.

    A context adapts it: the shown ratings count like training ratings.
    """

    name: ClassVar[str] = "user_mean"
    personal = True
    adapts = True

    def __init__(self) -> None:
        self.chosen: dict[str, Any] = {}
        self._base = GlobalMean()
        self._users = UserIndex(())
        self._count: Floats = np.zeros(0)
        self._total: Floats = np.zeros(0)
        self._within, self._between = 1.0, 1.0

    def _fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Fit the means of ``train``; nothing is random."""
        self._base.fit(fold, seed=seed)
        pairs = canonical(fold[s.TRAIN])
        self._users = UserIndex.fit(fold.people, pairs)
        _, code = np.unique(pairs.user, return_inverse=True)
        size = len(self._users)
        residual = pairs.rating - self._base.raw_mean(fold.items)[pairs.item]
        _, _, self._between = shrunken_means(code, residual, size)
        self._count = np.bincount(code, minlength=size).astype(np.float64)
        self._total = np.bincount(code, weights=residual, minlength=size).astype(np.float64)
        centred = residual - (self._total / np.maximum(self._count, 1))[code]
        self._within = max(float(centred @ centred) / max(len(code) - size, 1), SMALLEST)
        progress(1.0, "done")
        return pl.DataFrame({"step": [0], "train_rmse": [float(np.sqrt(self._within))]})

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        """Predict `pairs` from the user's mean over training and context.

        Choices say nothing of how high a person rates, and are ignored.
        """
        row = self._users.encode(people)
        known = row != UNKNOWN
        count: Floats = np.where(known, np.append(self._count, 0.0)[row], 0.0)
        total: Floats = np.where(known, np.append(self._total, 0.0)[row], 0.0)
        base = self._base.raw_mean(items)
        if context is not None and len(context):
            shown = canonical(context)
            residual = shown.rating - base[shown.item]
            count = count + np.bincount(shown.user, minlength=len(people)).astype(np.float64)
            total = total + np.bincount(shown.user, residual, len(people))
        weight = count + self._within / self._between
        mean = base[pairs.item] + (total / weight)[pairs.user]
        return _prediction(mean, (self._within + self._within / weight)[pairs.user])

    def knows(self, people: People) -> Bools:
        """Return, per row of `people`, whether that user was in training."""
        known: Bools = self._users.encode(people) != UNKNOWN
        return known

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        base, arrays = self._base.state()
        config = {
            "base": base,
            "users": list(self._users.keys),
            "within": self._within,
            "between": self._between,
        }
        return config, {**arrays, "count": self._count, "total": self._total}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`."""
        model = cls()
        model._base = GlobalMean.from_state(config["base"], arrays)
        model._users = UserIndex(tuple(config["users"]))
        model._count, model._total = arrays["count"], arrays["total"]
        model._within, model._between = config["within"], config["between"]
        return model


def _prediction(mean: Floats, variance: Floats) -> Prediction:
    return Prediction(on_scale(mean), np.sqrt(variance).astype(np.float32))
