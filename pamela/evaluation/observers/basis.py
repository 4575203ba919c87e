"""The pictures as an observer sees them: the world's true basis, or what features tell of it.

The basis is `pamela.synthetic.raters.utility.design`: attributes, their squares, lightings,
interactions, groups and styles. Groups and styles are metadata that every model is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.linalg import eigh

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats
from pamela.core.dataset import Items
from pamela.synthetic import vocabulary as v
from pamela.synthetic.raters import utility
from pamela.synthetic.raters.world import scenes_of

PENALTIES: Final = tuple(10.0**power for power in np.arange(-1.0, 5.1, 0.5))
LEAST_PICTURES: Final = 30  # fewer cannot teach a reconstruction: the column is taken at its mean


@dataclass(frozen=True)
class Basis:
    """What an observer knows of n pictures.

    Attributes
    ----------
    values : float array (n, d); the first column is 1, the others are `taste.COLUMNS`.
    known : bool array (n,), whether the picture is one of the world's.
    residual : float array (d, d), mean of the outer product of what `values` miss of the truth.
    """

    values: Floats
    known: Bools
    residual: Floats


def true_basis(items: Items, truth: pl.DataFrame) -> Basis:
    """Return the world's own basis.

    Parameters
    ----------
    truth : ``data/truth/images.parquet``, a row per picture: image_id and the complete scene.
    """
    columns = [s.TYPE, s.GROUP, s.STYLE, "subject", "lighting", *v.ATTRIBUTES]
    rows = (
        items.frame.select(s.IMAGE)
        .join(
            truth.select(s.IMAGE, *columns).with_columns(known=True),
            on=s.IMAGE,
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.col("known").fill_null(False))
    )
    known = rows["known"].to_numpy()
    design = np.zeros((len(items), len(utility.COLUMNS)))
    design[known] = utility.design(scenes_of(rows.filter("known")))
    d = design.shape[1] + 1
    return Basis(np.column_stack([np.ones(len(items)), design]), known, np.zeros((d, d)))


def reconstructed_basis(items: Items, truth: Basis, in_train: Bools) -> Basis:
    """Return the best linear reconstruction of the basis from features and metadata.

    Parameters
    ----------
    truth : the true basis of the same pictures.
    in_train : (n,), the pictures that ratings are learned from: the reconstruction is fitted on
        them alone, each one's own values are reconstructed from the others (leave-one-out), so
        that they are as uncertain as those of a new picture.
    """
    inputs = _inputs(items, truth.known & in_train)
    values, missed = truth.values.copy(), np.zeros_like(truth.values)
    masks = _visible(items.frame)
    for mask in np.unique(masks, axis=0):
        if not mask.any():
            continue
        columns = np.flatnonzero((masks == mask).all(axis=1))
        rows = np.flatnonzero(mask & truth.known)
        learned = in_train[rows]
        target = truth.values[np.ix_(rows, columns + 1)]
        found = _ridge(inputs[rows], target, learned)
        values[np.ix_(rows, columns + 1)] = found
        missed[np.ix_(rows, columns + 1)] = target - found
    inside = missed[truth.known & in_train]
    return Basis(values, truth.known, inside.T @ inside / max(len(inside), 1))


def _inputs(items: Items, in_train: Bools) -> Floats:
    """Return features, scaled by their spread over the training pictures, and metadata (n, p)."""
    features = np.column_stack([items.image, items.prompt]).astype(np.float64)
    spread = features[in_train].std(axis=0) if in_train.any() else np.ones(features.shape[1])
    keep = spread > 1e-9
    scaled = (features[:, keep] - features[in_train][:, keep].mean(axis=0)) / spread[keep]
    frame = items.frame.select(
        cell=pl.concat_str(s.TYPE, s.GROUP, separator="/", ignore_nulls=True),
        style=pl.col(s.STYLE).fill_null(""),
    )
    metadata = frame.to_dummies().cast(pl.Float64).to_numpy()
    return np.column_stack([scaled, metadata])


def _visible(frame: pl.DataFrame) -> Bools:
    """Return which pictures (columns, n) can differ in each column beyond their metadata."""
    cells = frame.select(s.TYPE, s.GROUP, s.STYLE)
    pairs = cells.unique(maintain_order=True)
    place = cells.join(pairs.with_row_index("_cell"), on=cells.columns, how="left",
                       nulls_equal=True, maintain_order="left")["_cell"].to_numpy()  # fmt: skip
    table = np.array([_visible_in(group, style) for _, group, style in pairs.iter_rows()])
    return np.ascontiguousarray(table[place].T)


def _visible_in(group: str, style: str | None) -> list[bool]:
    out = []
    for name in utility.COLUMNS:
        kind, _, _ = name.partition(":")
        attribute = name.removesuffix("^2").removesuffix(" in some groups")
        if kind == "lighting":
            out.append(v.has_lighting(group, style))
        elif attribute in v.ATTRIBUTES:
            inside = (
                not name.endswith(" in some groups") or group in utility.INTERACTIONS[attribute]
            )
            out.append(inside and v.shows(attribute, group, style))
        else:
            out.append(False)  # a group or a style: metadata
    return out


def _ridge(x: Floats, y: Floats, in_train: Bools) -> Floats:
    """Return predictions of y (n, k) from x (n, p), fitted on the training rows.

    The penalty of each column is the one with the least leave-one-out error; training rows are
    predicted by their leave-one-out fits.
    """
    out = np.empty_like(y)
    if in_train.sum() < LEAST_PICTURES:
        out[:] = y[in_train].mean(axis=0) if in_train.any() else 0.0
        return out
    centre_x, centre_y = x[in_train].mean(axis=0), y[in_train].mean(axis=0)
    a, b = x - centre_x, y[in_train] - centre_y
    inside = a[in_train]
    eigenvalues, vectors = eigh(inside.T @ inside)
    turned, right = inside @ vectors, vectors.T @ (inside.T @ b)
    errors, choices = [], []
    for penalty in PENALTIES:
        shrink = 1.0 / (np.maximum(eigenvalues, 0.0) + penalty)
        leverage = (turned**2) @ shrink + 1.0 / len(inside)
        left_out = (b - turned @ (shrink[:, None] * right)) / (1.0 - leverage)[:, None]
        errors.append((left_out**2).sum(axis=0))
        choices.append((vectors @ (shrink[:, None] * right), left_out))
    best = np.argmin(errors, axis=0)
    weights = np.stack([choices[k][0][:, j] for j, k in enumerate(best)], axis=1)
    left_out = np.stack([choices[k][1][:, j] for j, k in enumerate(best)], axis=1)
    out[~in_train] = a[~in_train] @ weights + centre_y
    out[in_train] = y[in_train] - left_out
    return out
