"""Predictions laid out for the metrics: rated pairs of several models, grouped by fold and user.

Everything that is compared within a user is compared within one fold as well, because the folds
of a dataset are predicted by different fits of a model whose scales need not agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.errors import PamelaError
from pamela.evaluation.metrics.schema import MODEL

DECIMALS = 6  # predictions are compared at this resolution: float noise makes no order
BLOCK = 1 << 20  # pairs held in memory at once


@dataclass(frozen=True)
class GroupedPredictions:
    """n rated (user, image) pairs of one dataset and what M models predict for them.

    Rows are sorted by user, fold and image, so that the rows of one unit (one user in one fold)
    lie side by side. Build it with `group_predictions`.

    Attributes
    ----------
    user, fold, image, cluster : int64 arrays (n,), codes from 0; a cluster is a ``prompt_id``.
    unit : int64 array (n,), non-decreasing codes of (user, fold).
    rating : float64 array (n,), on the 1..5 scale.
    mean : float64 array (n, M), predictions rounded to `DECIMALS`.
    std : float64 array (n, M), predictive standard deviations; NaN where a model has none.
    users : the user behind each code, array (U,).
    """

    user: Ints
    fold: Ints
    image: Ints
    cluster: Ints
    unit: Ints
    rating: Floats
    mean: Floats
    std: Floats
    users: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.rating)

    @property
    def n_users(self) -> int:
        """Number of users, U."""
        return len(self.users)

    @property
    def n_models(self) -> int:
        """Number of models, M."""
        return self.mean.shape[1]

    @property
    def n_clusters(self) -> int:
        """Number of prompt clusters."""
        return int(self.cluster.max(initial=-1)) + 1

    @property
    def starts(self) -> Ints:
        """First row of every unit."""
        return run_starts(self.unit)


def group_predictions(
    user: npt.ArrayLike,
    image: npt.ArrayLike,
    rating: npt.ArrayLike,
    mean: npt.ArrayLike,
    std: npt.ArrayLike | None = None,
    *,
    fold: npt.ArrayLike | None = None,
    cluster: npt.ArrayLike | None = None,
) -> GroupedPredictions:
    """Sort and encode rated pairs for the metrics.

    Parameters
    ----------
    user, image : ids, shape (n,), text or integers.
    rating : shape (n,), on the 1..5 scale.
    mean, std : shape (n,) for one model or (n, M) for several.
    fold : shape (n,); one fold where absent.
    cluster : ``prompt_id`` of every row, shape (n,); the image itself where absent.
    """
    y = np.asarray(rating, dtype=np.float64)
    n = len(y)
    p = np.asarray(mean, dtype=np.float64).reshape(n, -1)
    sd = np.full_like(p, np.nan) if std is None else np.asarray(std, np.float64).reshape(p.shape)
    users, u = np.unique(np.asarray(user), return_inverse=True)
    i = np.unique(np.asarray(image), return_inverse=True)[1]
    f = np.zeros(n, np.int64) if fold is None else np.unique(fold, return_inverse=True)[1]
    c = i if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    order = np.lexsort((y, i, f, u))
    codes = (u[order], f[order], i[order], c[order])
    return _laid_out(codes, y[order], p[order], sd[order], users)


def _laid_out(
    codes: tuple[Ints, Ints, Ints, Ints],
    rating: Floats,
    mean: Floats,
    std: Floats,
    users: npt.NDArray[Any],
) -> GroupedPredictions:
    """Lay out rows that are sorted; `codes` are of user, fold, image and cluster."""
    user, fold, image, cluster = codes
    unit = np.cumsum(np.diff(user * (fold.max(initial=0) + 1) + fold, prepend=-1) != 0) - 1
    return GroupedPredictions(
        user=user,
        fold=fold,
        image=image,
        cluster=cluster,
        unit=unit.astype(np.int64),
        rating=rating,
        mean=np.round(mean, DECIMALS),
        std=std,
        users=users,
    )


def group_by_image(j: GroupedPredictions) -> GroupedPredictions:
    """Average ratings and predictions over the raters of every image, within each fold.

    The images of a fold are the rows of one unit of the one "user" 0: the same metrics then
    compare a model with the image means.
    """
    key = j.fold * (j.image.max(initial=0) + 1) + j.image
    first, inverse, count = np.unique(
        key, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    n = len(first)
    fold = j.fold[first]
    return GroupedPredictions(
        user=np.zeros(n, np.int64),
        fold=fold,
        image=j.image[first],
        cluster=j.cluster[first],
        unit=np.unique(fold, return_inverse=True)[1],
        rating=group_sum(j.rating, inverse, n) / count,
        mean=np.round(group_sum(j.mean, inverse, n) / count[:, None], DECIMALS),
        std=np.full((n, j.n_models), np.nan),
        users=np.array(["images"][: min(n, 1)]),
    )


def group_sum(values: npt.NDArray[Any], label: Ints, n_groups: int) -> Floats:
    """Sum rows of `values` (n,) or (n, M) by integer label into (n_groups,) or (n_groups, M)."""
    if values.ndim == 1:
        return np.bincount(label, weights=values, minlength=n_groups).astype(np.float64)
    columns = [np.bincount(label, weights=v, minlength=n_groups) for v in values.T]
    return np.stack(columns, axis=1) if columns else np.zeros((n_groups, 0))


def run_starts(sorted_labels: npt.NDArray[Any]) -> Ints:
    """Return where each run of equal values begins."""
    if len(sorted_labels) == 0:
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.r_[True, sorted_labels[1:] != sorted_labels[:-1]])


def pair_blocks(unit: Ints, block: int = BLOCK) -> Iterator[tuple[Ints, Ints]]:
    """Yield every pair of rows of the same unit once, as two index arrays of about `block`.

    Parameters
    ----------
    unit : non-decreasing labels (n,). Row r is paired with r + 1, r + 2, ... up to the end of
        its unit: no padding, so units of very different sizes cost only their own pairs.
    """
    starts = run_starts(unit)
    ends = np.r_[starts[1:], len(unit)]
    after = np.repeat(ends, ends - starts) - np.arange(len(unit)) - 1
    waiting: list[tuple[Ints, Ints]] = []
    size, lag, alive = 0, 1, np.flatnonzero(after >= 1)
    while len(alive):
        for part in np.array_split(alive, -(-len(alive) // block)):
            waiting.append((part, part + lag))
            size += len(part)
            if size >= block:
                yield _joined(waiting)
                waiting, size = [], 0
        lag += 1
        alive = alive[after[alive] >= lag]
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def group_slice(rows: pl.DataFrame, models: Sequence[str]) -> GroupedPredictions:
    """Lay the models' predictions for the same rows side by side.

    Parameters
    ----------
    rows : of one dataset, population and number of shots; a column ``prompt_id`` is optional.

    Raises
    ------
    PamelaError
        If the models do not predict the same rows.
    """
    rows = rows.filter(pl.col(MODEL).is_in(models))
    model, users = codes_of(rows[MODEL], pl.Series(models)), _distinct(rows[s.USER])
    user, fold, image = (
        codes_of(rows[s.USER], users),
        codes_of(rows[s.FOLD]),
        codes_of(rows[s.IMAGE]),
    )
    rating = rows[s.RATING].to_numpy()
    key = (user * (fold.max(initial=0) + 1) + fold) * (image.max(initial=0) + 1) + image
    order = np.lexsort((rating, key, model))
    by_model = np.split(order, np.bincount(model, minlength=len(models)).cumsum()[:-1])
    first = by_model[0]
    for name, mine in zip(models, by_model, strict=True):
        if not len(mine) or not all(np.array_equal(v[mine], v[first]) for v in (key, rating)):
            raise PamelaError(
                f"reports/predictions.parquet: {name} and {models[0]} are not predicted for the "
                "same rows; run `dvc repro -f evaluate`"
            )
    mean, std = (
        rows[column].cast(pl.Float64).fill_null(np.nan).to_numpy()[order].reshape(len(models), -1).T
        for column in ("mean", "std")
    )
    cluster = rows[s.IMAGE]
    if s.PROMPT_ID in rows.columns:
        named = pl.coalesce(pl.col(s.PROMPT_ID), pl.lit("image/") + pl.col(s.IMAGE))
        cluster = rows.select(named).to_series()
    codes = (user[first], fold[first], image[first], codes_of(cluster[first]))
    return _laid_out(codes, rating[first], mean, std, users.to_numpy())


def codes_of(ids: pl.Series, distinct: pl.Series | None = None) -> Ints:
    """Return the place of every id among the `distinct` ones, by default in their order."""
    known = _distinct(ids) if distinct is None else distinct
    if ids.dtype == pl.String:
        return ids.cast(pl.Enum(known)).to_physical().to_numpy().astype(np.int64)
    return np.searchsorted(known.to_numpy(), ids.to_numpy()).astype(np.int64)


def _distinct(ids: pl.Series) -> pl.Series:
    return ids.unique().sort()


def part_users(j: GroupedPredictions, label: Ints, labels: int) -> GroupedPredictions:
    """Return the rows whose `label` (n,) is not -1; of each user those of one label are a user.

    Returns
    -------
    Such a user's id is ``user * labels + label``.
    """
    kept = np.flatnonzero(label >= 0)
    own = j.user * labels + label
    order = kept[np.argsort(own[kept], kind="stable")]
    users, user = np.unique(own[order], return_inverse=True)
    codes = (user, j.fold[order], j.image[order], j.cluster[order])
    return _laid_out(codes, j.rating[order], j.mean[order], j.std[order], users)
