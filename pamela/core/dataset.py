"""The arrays that models see: items (pictures), people and rated pairs, per fold.

Built from the validated tables, the splits and the features. Ratings are on the internal 1..5
scale here; every dataset keeps its own scale in ``data/tables/datasets.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats32, Ints
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.core.split_rows import (
    CHOICES,
    RATINGS,
    hold_out_twins,
    read_fold_choices,
    read_fold_rows,
    reduce_repeats,
    with_indices,
)


@dataclass(frozen=True)
class Items:
    """A table of n pictures.

    Attributes
    ----------
    frame : DataFrame of n rows with at least ``dataset, image_id, prompt, type, group, style``
        and ``prompt_id``; metadata may be null (unknown).
    image : float32 array (n, d), image features.
    prompt : float32 array (n, p), prompt features; p may be 0.
    """

    frame: pl.DataFrame
    image: Floats32
    prompt: Floats32

    def __post_init__(self) -> None:
        n = self.frame.height
        if self.image.shape[0] != n or self.prompt.shape[0] != n:
            raise ValueError(
                f"{n} items, {self.image.shape[0]} image rows, {self.prompt.shape[0]} prompt rows"
            )

    def __len__(self) -> int:
        return self.frame.height

    def take(self, index: Ints) -> Items:
        """Return the rows of `index`, in that order."""
        return Items(self.frame[index], self.image[index], self.prompt[index])


@dataclass(frozen=True)
class People:
    """A table of n users: ``dataset, user_id`` and categorical demographics (may be null)."""

    frame: pl.DataFrame

    def __len__(self) -> int:
        return self.frame.height

    @property
    def demographics(self) -> list[str]:
        """Names of the demographic columns."""
        return [c for c in self.frame.columns if c not in s.USERS_KEYS]

    @property
    def keys(self) -> list[str]:
        """``dataset/user_id`` of every row."""
        return (
            self.frame.select(pl.concat_str([pl.col(s.DATASET), pl.col(s.USER)], separator="/"))
            .to_series()
            .to_list()
        )


@dataclass(frozen=True)
class Pairs:
    """n (user, item) pairs as row indices into a `People` and an `Items`, with ratings 1..5."""

    user: Ints
    item: Ints
    rating: Floats32

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: Ints | Bools) -> Pairs:
        """Return the pairs of `index` (rows or a mask)."""
        return Pairs(self.user[index], self.item[index], self.rating[index])

    @classmethod
    def empty(cls) -> Pairs:
        """Return no pairs."""
        none = np.zeros(0, np.int64)
        return cls(none, none, np.zeros(0, np.float32))

    @classmethod
    def concat(cls, *parts: Pairs) -> Pairs:
        """Return the pairs of all `parts`, in order."""
        return cls(
            np.concatenate([p.user for p in parts]),
            np.concatenate([p.item for p in parts]),
            np.concatenate([p.rating for p in parts]),
        )


@dataclass(frozen=True)
class Choices:
    """n choices between two pictures: row indices into a `People` and an `Items`.

    Attributes
    ----------
    user, a, b : int64 arrays (n,), who chose between which pictures.
    outcome : float32 array (n,): 1 where `a` was chosen, 0 where `b` was, 0.5 a tie.
    """

    user: Ints
    a: Ints
    b: Ints
    outcome: Floats32

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: Ints | Bools) -> Choices:
        """Return the choices of `index` (rows or a mask)."""
        return Choices(self.user[index], self.a[index], self.b[index], self.outcome[index])

    @classmethod
    def empty(cls) -> Choices:
        """Return no choices."""
        none = np.zeros(0, np.int64)
        return cls(none, none, none, np.zeros(0, np.float32))

    @classmethod
    def concat(cls, *parts: Choices) -> Choices:
        """Return the choices of all `parts`, in order."""
        return cls(
            np.concatenate([p.user for p in parts]),
            np.concatenate([p.a for p in parts]),
            np.concatenate([p.b for p in parts]),
            np.concatenate([p.outcome for p in parts]),
        )


@dataclass(frozen=True)
class Fold:
    """One train/val/test division: shared items and people, and the ratings of each part.

    Attributes
    ----------
    parts : the rated pairs of each part.
    choices : the choices of each part: both pictures and the person lie on that part's sides.
    """

    number: int
    items: Items
    people: People
    parts: Mapping[str, Pairs]
    choices: dict[str, Choices] = field(default_factory=dict)

    def __getitem__(self, part: str) -> Pairs:
        return self.parts.get(part, Pairs.empty())

    def choices_of(self, part: str) -> Choices:
        """Return the choices of `part`; none where it has none."""
        return self.choices.get(part, Choices.empty())

    def all_as_train(self) -> Fold:
        """Return the same fold with everything in part train and nothing held out."""
        parts = {s.TRAIN: Pairs.concat(*self.parts.values())} if self.parts else {}
        choices = {s.TRAIN: Choices.concat(*self.choices.values())} if self.choices else {}
        return replace(self, parts=parts, choices=choices)

    def with_items(self, items: Items) -> Fold:
        """Return the same fold over other item features (e.g. shuffled, for a control)."""
        return replace(self, items=items)


def load_scales(project: Project) -> dict[str, tuple[float, float]]:
    """Return ``{dataset: (low, high)}`` as declared by each dataset."""
    meta = read_json(project.tables / "datasets.json")
    return {name: (float(d["scale"][0]), float(d["scale"][1])) for name, d in meta.items()}


def load_repeats(project: Project) -> dict[str, str | None]:
    """Return ``{dataset: how several ratings of one picture by one person count}``."""
    meta = read_json(project.tables / "datasets.json")
    return {name: d.get("repeats") for name, d in meta.items()}


def _scale_frame(scales: dict[str, tuple[float, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            s.DATASET: list(scales),
            "low": [v[0] for v in scales.values()],
            "high": [v[1] for v in scales.values()],
        },
        schema={s.DATASET: pl.String, "low": pl.Float64, "high": pl.Float64},
    )


def load_items(project: Project) -> Items:
    """Return all validated pictures with their features, in the order of the features' index."""
    index = read_parquet(project.features / "index.parquet")
    images = read_parquet(project.validated / "images.parquet")
    frame = index.select(s.DATASET, s.IMAGE).join(
        images, on=[s.DATASET, s.IMAGE], how="left", maintain_order="left"
    )
    return Items(
        frame,
        _load_matrix(project.features / "image.npy"),
        _load_matrix(project.features / "prompt.npy"),
    )


def _load_matrix(path: Path) -> Floats32:
    if not path.is_file():
        raise PamelaError(f"{path}: no such file; run the embed stage")
    return np.load(path, allow_pickle=False).astype(np.float32, copy=False)


def load_people(project: Project) -> People:
    """Return all validated users."""
    return People(read_parquet(project.validated / "users.parquet"))


def count_folds(project: Project) -> int:
    """Return the number of folds that the split stage wrote (1 for a release's own splits)."""
    return int(read_json(project.splits / "splits.json")["folds"])


def load_fold(project: Project, number: int) -> Fold:
    """Return fold `number`: a dataset with fewer folds contributes its fold modulo its count.

    Where one dataset tests on a picture, no other may train on it: rows to learn from on a picture
    of the same content become part ``held_out_elsewhere``.
    """
    items, people = load_items(project), load_people(project)
    rows = reduce_repeats(read_fold_rows(project, number), load_repeats(project))
    ratings, choices = (
        with_indices(rows, table, columns, items.frame, people.frame)
        for rows, table, columns in (
            (rows, RATINGS, [s.IMAGE]),
            (read_fold_choices(project, number), CHOICES, [s.IMAGE_A, s.IMAGE_B]),
        )
    )
    hashes = items.frame.select(s.DATASET, s.IMAGE, s.SHA256)
    ratings, choices = hold_out_twins(ratings, choices, hashes)
    return Fold(
        number,
        items,
        people,
        _pairs_by_part(ratings, load_scales(project)),
        choices_by_part(choices),
    )


def _pairs_by_part(
    ratings: pl.DataFrame, scales: dict[str, tuple[float, float]]
) -> dict[str, Pairs]:
    rows = (
        ratings.join(_scale_frame(scales), on=s.DATASET)
        .with_columns(s.to_internal(pl.col(s.RATING), pl.col("low"), pl.col("high")))
        .sort("_user", f"_{s.IMAGE}", s.RATING)
    )
    return {
        part[0]: Pairs(
            group["_user"].to_numpy().astype(np.int64),
            group[f"_{s.IMAGE}"].to_numpy().astype(np.int64),
            group[s.RATING].to_numpy().astype(np.float32),
        )
        for part, group in rows.group_by(s.PART)
    }


def choices_by_part(choices: pl.DataFrame) -> dict[str, Choices]:
    """Return the choices with their indices (`with_indices`) by part."""
    outcome = pl.col(s.CHOICE).replace_strict(s.OUTCOMES, return_dtype=pl.Float32)
    rows = choices.with_columns(outcome.alias("_outcome")).sort(
        "_user", f"_{s.IMAGE_A}", f"_{s.IMAGE_B}", "_outcome"
    )
    return {
        part[0]: Choices(
            group["_user"].to_numpy().astype(np.int64),
            group[f"_{s.IMAGE_A}"].to_numpy().astype(np.int64),
            group[f"_{s.IMAGE_B}"].to_numpy().astype(np.int64),
            group["_outcome"].to_numpy(),
        )
        for part, group in rows.group_by(s.PART)
    }
