"""The champion's ratings and the new ones, as frames per dataset; cheap, as triggers ask for them.

What the champion was trained on are the datasets as imported and the batches that its version's
tags name. A batch that was held is none of them: drift that comes slowly adds up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import load_scales
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.core.split_rows import CHOICES, RATINGS
from pamela.data import formats
from pamela.data.partitions import partition_name
from pamela.data.withdrawn import read_withdrawn
from pamela.registry.sqlite_reader import Version
from pamela.retraining.drift.people import Ratings

BATCHES_TAG = "batches"  # of a version: `dataset/batch (hash), ...`
COLUMNS = (s.USER, s.IMAGE, s.RATING)
CHOSEN = (s.USER, s.IMAGE_A, s.IMAGE_B)


@dataclass(frozen=True)
class Compared:
    """One dataset's ratings: what the champion knows, and what is new.

    Where either has none, who has rated or chosen between what.
    """

    dataset: str
    old: Ratings
    new: Ratings


def champion_batches(champion: Version) -> list[str]:
    """Return the batches that a version was trained on, ``dataset/batch``."""
    named = champion.tags.get(BATCHES_TAG, "").split(", ")
    return [one.partition(" ")[0] for one in named if one]


def validated(project: Project, champion: Version, labels: Sequence[str]) -> Iterator[Compared]:
    """Yield the datasets of the batches `labels`, from the validated tables."""
    users = read_parquet(project.validated / "users.parquet")
    for dataset, names in _by_dataset(labels):
        known = _known(champion, dataset, names)
        old, new = (_rows(project, dataset, some) for some in (known, names))
        if not (old.height and new.height):
            old, new = (_asked_rows(project, dataset, some) for some in (known, names))
        if old.height and new.height:
            people = users.filter(pl.col(s.DATASET) == dataset).drop(s.DATASET)
            yield Compared(dataset, _with_users(old, people), _with_users(new, people))


def as_they_came(project: Project, champion: Version, labels: Sequence[str]) -> Iterator[Compared]:
    """Yield the same of batches that no stage has read yet, from their own files."""
    users = read_parquet(project.validated / "users.parquet")
    gone = read_withdrawn(project)
    for dataset, names in _by_dataset(labels):
        earlier = _known(champion, dataset, names)
        old = _rows(project, dataset, earlier)
        folders = [project.batches / dataset / name for name in names]
        tables = [formats.read_batch(folder, dataset, project.root) for folder in folders]
        low, high = load_scales(project)[dataset]
        rows = pl.concat([one.ratings.select(s.DATASET, *COLUMNS) for one in tables])
        new = (
            rows.filter(pl.col(s.RATING).is_between(low, high))
            .with_columns(s.to_internal(pl.col(s.RATING), low, high))
            .join(gone.lazy(), on=list(s.USERS_KEYS), how="anti")
            .select(COLUMNS)
            .drop_nulls()
            .collect()
        )
        if not (old.height and new.height):
            old = _asked_rows(project, dataset, earlier)
            withdrew = gone.filter(pl.col(s.DATASET) == dataset)
            new = pl.concat([_asked(one.ratings, one.choices) for one in tables])
            new = new.join(withdrew, on=s.USER, how="anti")
        if old.height and new.height:
            known = users.filter(pl.col(s.DATASET) == dataset).drop(s.DATASET)
            brought = [one.users.select(s.USER, *one.demographics) for one in tables]
            people = pl.concat([known, *brought], how="diagonal")
            people = people.unique(s.USER, keep="first", maintain_order=True)
            yield Compared(dataset, _with_users(old, known), _with_users(new, people))


def _by_dataset(labels: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    pairs = [label.partition("/")[::2] for label in labels]
    for dataset in sorted({dataset for dataset, _ in pairs}):
        yield dataset, [name for one, name in pairs if one == dataset]


def _known(champion: Version, dataset: str, new: Sequence[str]) -> list[str | None]:
    """Return the sources that the champion was trained on: the import, and batches but `new`."""
    batches = dict(_by_dataset(champion_batches(champion))).get(dataset, [])
    return [None, *(name for name in batches if name not in new)]


def _rows(project: Project, dataset: str, names: Sequence[str | None]) -> pl.DataFrame:
    """Return the validated ratings of some sources of a dataset, on 1..5."""
    low, high = load_scales(project)[dataset]
    rows = _scan(project, RATINGS, s.RATINGS_SCHEMA, COLUMNS, dataset, names)
    return rows.with_columns(s.to_internal(pl.col(s.RATING), low, high)).collect()


def _asked_rows(project: Project, dataset: str, names: Sequence[str | None]) -> pl.DataFrame:
    """Return who has rated or chosen between what, in some sources of a dataset."""
    return _asked(
        _scan(project, RATINGS, s.RATINGS_SCHEMA, COLUMNS, dataset, names),
        _scan(project, CHOICES, s.CHOICES_SCHEMA, CHOSEN, dataset, names),
    )


def _asked(ratings: pl.LazyFrame, choices: pl.LazyFrame) -> pl.DataFrame:
    """Return (user, picture) of every rating, and of either picture of every choice."""
    pictures = ((ratings, s.IMAGE), (choices, s.IMAGE_A), (choices, s.IMAGE_B))
    rows = [table.select(s.USER, pl.col(column).alias(s.IMAGE)) for table, column in pictures]
    return pl.concat(rows).drop_nulls().collect()


def _scan(
    project: Project,
    table: str,
    schema: pl.Schema,
    columns: Sequence[str],
    dataset: str,
    names: Sequence[str | None],
) -> pl.LazyFrame:
    files = [project.validated / table / partition_name(dataset, name) for name in names]
    there = [pl.scan_parquet(file, glob=False).select(columns) for file in files if file.is_file()]
    return pl.concat([pl.LazyFrame(schema=schema).select(columns), *there])


def _with_users(rows: pl.DataFrame, users: pl.DataFrame) -> Ratings:
    raters = rows.select(s.USER).unique(maintain_order=True)
    return Ratings(rows, raters.join(users, on=s.USER, how="left", maintain_order="left"))
