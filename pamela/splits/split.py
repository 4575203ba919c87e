"""The folds of every dataset, and what ``splits.json`` says of them.

Run by ``python -m flows.split``: `pamela.splits.assignment` puts everyone on a side, and
`pamela.splits.parts` every rating and choice in its part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import (
    atomic_folder,
    read_parquet,
    scan_table,
    sink_parquet,
    write_json,
    write_parquet,
)
from pamela.core.paths import Project
from pamela.core.split_rows import CHOICES, RATINGS
from pamela.data.leakage import overlaps_of
from pamela.params import SplitParams
from pamela.splits.assignment import Sides, find_sides
from pamela.splits.parts import Placed, place_choices, place_ratings

TABLES: Final = {"parts": "", "choices": "choices "}  # keys of splits.json, and how they are said


@dataclass(frozen=True)
class Split:
    """The folds of one dataset: who and what is held out, and the parts of its rows."""

    sides: Sides
    ratings: Placed
    choices: Placed


# --- splitting a dataset ----------------------------------------------------------------------
def validated_datasets(project: Project) -> list[str]:
    """Return the names of the validated datasets."""
    images = read_parquet(project.validated / "images.parquet", [s.DATASET])
    return images.get_column(s.DATASET).unique().sort().to_list()


def split_dataset(project: Project, name: str, params: SplitParams) -> Split:
    """Split the validated dataset `name`.

    Raises
    ------
    PamelaError
        If there is too little to hold out, or a part that training or evaluation needs is empty in
        a fold.
    """
    own = pl.col(s.DATASET) == name
    ratings = scan_table(project.validated / RATINGS, s.RATINGS_SCHEMA).filter(own)
    choices = scan_table(project.validated / CHOICES, s.CHOICES_SCHEMA).filter(own)
    sides = find_sides(project, name, ratings, choices, params)
    split = Split(sides, place_ratings(ratings, sides), place_choices(choices, sides))
    _require_parts(split)
    return split


def _require_parts(split: Split) -> None:
    """Raise if a fold has nothing to train on or nothing to test on.

    A release may leave out one of its test parts, as its splits are not ours to mend.
    """
    sides = split.sides
    tests = [(s.TEST_SEEN, s.TEST_UNSEEN)] if sides.own else [(s.TEST_SEEN,), (s.TEST_UNSEEN,)]
    needs: list[tuple[str, ...]] = [(s.TRAIN,), *tests]
    _, n_users, _ = split.ratings.user_counts.shape
    _, n_images, _ = split.ratings.image_counts.shape
    for fold in range(sides.folds):
        there = {part for rows in (split.ratings, split.choices) for part in rows.part_counts(fold)}
        for anyone in needs:
            if not set(anyone) & there:
                raise PamelaError(
                    f"{sides.name}: part {' and '.join(anyone)} of fold {fold} is empty "
                    f"({n_users:,} users, {n_images:,} images{_grouped(sides)}); "
                    f"{_advice(sides, anyone, there)}"
                )


def _advice(sides: Sides, lacking: tuple[str, ...], there: set[str]) -> str:
    if sides.own:
        return (
            "the dataset's own splits leave it out: add rows of that part, or take the splits out "
            "and folds are made"
        )
    if s.TRAIN in lacking and there & {s.VAL_SEEN, s.VAL_UNSEEN}:  # validation took them all
        return "lower split.val_share"
    return "bring more ratings or choices, lower split.folds or change split.seed"


def _grouped(sides: Sides) -> str:
    """Return how few groups the images lie in, where they do."""
    return f" in {sides.groups:,} groups by prompt_id" if sides.groups is not None else ""


# --- the files --------------------------------------------------------------------------------
def describe(split: Split, images: pl.DataFrame) -> dict[str, Any]:
    """Return the record of one dataset in ``splits.json``: parts with checksums, and overlaps.

    ``overlaps`` counts, per fold, what lies on two sides (`pamela.data.leakage`).
    """
    folds = range(split.sides.folds)
    fewer = {"fewer_folds": split.sides.fewer} if split.sides.fewer else {}
    return {
        "folds": split.sides.folds,
        "own": split.sides.own,
        **fewer,
        "parts": {str(fold): split.ratings.part_counts(fold) for fold in folds},
        "choices": {str(fold): split.choices.part_counts(fold) for fold in folds},
        "overlaps": {str(fold): _overlaps(split, images, fold) for fold in folds},
    }


def _overlaps(split: Split, images: pl.DataFrame, fold: int) -> dict[str, int]:
    sides = split.sides.images.filter(pl.col(s.FOLD) == fold)
    of_users = split.ratings.user_counts[fold] + split.choices.user_counts[fold]
    of_images = split.ratings.image_counts[fold] + split.choices.image_counts[fold]
    return overlaps_of(of_users, of_images, sides, images)


def write_splits(project: Project, splits: Sequence[Split]) -> dict[str, Any]:
    """Write ``data/splits/`` as a whole and return ``splits.json``."""
    ordered = sorted(splits, key=lambda split: split.sides.name)
    images = read_parquet(project.validated / "images.parquet")
    record = {
        "folds": max(split.sides.folds for split in ordered),
        "datasets": {
            split.sides.name: describe(split, images.filter(pl.col(s.DATASET) == split.sides.name))
            for split in ordered
        },
    }
    with atomic_folder(project.splits) as folder:
        for table in ("users", "images"):
            frames = [getattr(split.sides, table) for split in ordered]
            write_parquet(folder / f"{table}.parquet", pl.concat(frames))
        for table, placed in (
            (RATINGS, [split.ratings for split in ordered]),
            (CHOICES, [split.choices for split in ordered]),
        ):
            rows = pl.concat([one.rows for one in placed], how="diagonal")
            sink_parquet(folder / table, rows)
        write_json(folder / "splits.json", record)
    return record


def counts(record: Mapping[str, Any]) -> str:
    """Return the parts of every dataset's first fold, for people."""
    lines = []
    for name, dataset in record["datasets"].items():
        parts = "; ".join(_first_fold(dataset, table) for table in TABLES if dataset[table]["0"])
        kind = "the release's own splits" if dataset["own"] else f"{dataset['folds']} folds"
        if fewer := dataset.get("fewer_folds"):
            kind += f" (fewer than split.folds: {fewer})"
        twice = sum(o["same_content_on_two_sides"] for o in dataset["overlaps"].values())
        warning = f"; WARNING: {twice} pictures lie on two sides under two ids" if twice else ""
        lines.append(f"{name}: {kind}; fold 0: {parts}{warning}")
    return "\n".join(lines)


def _first_fold(dataset: Mapping[str, Any], table: str) -> str:
    parts = ", ".join(f"{part} {found['rows']:,}" for part, found in dataset[table]["0"].items())
    return f"{TABLES[table]}{parts}"
