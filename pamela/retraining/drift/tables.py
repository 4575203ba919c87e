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
from pamela.data import formats
from pamela.data.partitions import partition_name
from pamela.data.withdrawn import read_withdrawn
from pamela.registry.sqlite_reader import Version
from pamela.retraining.drift.people import Ratings

BATCHES_TAG = "batches"  # of a version: `dataset/batch (hash), ...`
COLUMNS = (s.USER, s.IMAGE, s.RATING)


@dataclass(frozen=True)
class Compared:
    """One dataset's ratings: what the champion knows, and what is new."""

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
        old = _old_rows(project, champion, dataset, names)
        new = _rows(project, dataset, names)
        if old.height and new.height:
            people = users.filter(pl.col(s.DATASET) == dataset).drop(s.DATASET)
            yield Compared(dataset, _with_users(old, people), _with_users(new, people))


def as_they_came(project: Project, champion: Version, labels: Sequence[str]) -> Iterator[Compared]:
    """Yield the same of batches that no stage has read yet, from their own files."""
    users = read_parquet(project.validated / "users.parquet")
    gone = read_withdrawn(project)
    for dataset, names in _by_dataset(labels):
        old = _old_rows(project, champion, dataset, names)
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


def _old_rows(
    project: Project, champion: Version, dataset: str, new: Sequence[str]
) -> pl.DataFrame:
    batches = dict(_by_dataset(champion_batches(champion))).get(dataset, [])
    return _rows(project, dataset, [None, *(name for name in batches if name not in new)])


def _rows(project: Project, dataset: str, names: Sequence[str | None]) -> pl.DataFrame:
    """Return the validated ratings of some sources of a dataset, on 1..5."""
    home = project.validated / "ratings.parquet"
    files = [home / partition_name(dataset, name) for name in names]
    there = [file for file in files if file.is_file()]
    if not there:
        return pl.DataFrame(schema={s.USER: pl.String, s.IMAGE: pl.String, s.RATING: pl.Float64})
    low, high = load_scales(project)[dataset]
    frames = [pl.scan_parquet(file, glob=False).select(COLUMNS) for file in there]
    return pl.concat(frames).with_columns(s.to_internal(pl.col(s.RATING), low, high)).collect()


def _with_users(rows: pl.DataFrame, users: pl.DataFrame) -> Ratings:
    raters = rows.select(s.USER).unique(maintain_order=True)
    return Ratings(rows, raters.join(users, on=s.USER, how="left", maintain_order="left"))
