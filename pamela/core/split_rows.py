"""What ``data/splits/`` says of every rating and choice: once each, with its part in each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project

RATINGS: Final = "ratings.parquet"
CHOICES: Final = "choices.parquet"
KEPT: Final = (s.DATASET, s.USER, s.IMAGE, s.RATING, s.RATED_AT, s.POSITION)
CHOICES_KEPT: Final = (
    *(s.DATASET, s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE),
    *(s.CHOSEN_AT, s.POSITION),
)
PASSES: Final = (s.DATASET, s.USER, s.IMAGE, s.PART)  # what repeats share
REDUCED: Final = {
    "mean": (pl.col(s.RATING).mean(), pl.col(s.RATED_AT, s.POSITION).first()),
    "first": (pl.col(s.RATING, s.RATED_AT, s.POSITION).first(),),
    "last": (pl.col(s.RATING, s.RATED_AT, s.POSITION).last(),),
}
PART_TYPE: Final = pl.Enum(s.PARTS)


def part_column(fold: int) -> str:
    """Return the column of a row's part in `fold`: null beyond its dataset's own folds."""
    return f"{s.PART}_{fold}"


def read_fold_rows(project: Project, number: int) -> pl.DataFrame:
    """Return what `scan_fold_rows` finds."""
    return scan_fold_rows(project, number).collect()


def scan_fold_rows(project: Project, number: int) -> pl.LazyFrame:
    """Return the ratings of fold `number` with their part, datasets in the order of their names.

    A dataset with fewer folds contributes its fold modulo its count.

    Raises
    ------
    PamelaError
        If the split stage has not run.
    """
    path = project.splits / RATINGS
    if not path.is_file():
        raise PamelaError(f"{path}: no such file; run the stage that writes it")
    return _of_fold(project, pl.scan_parquet(path, glob=False), number, KEPT)


def read_fold_choices(project: Project, number: int) -> pl.DataFrame:
    """Return the choices of fold `number` with their part, as `read_fold_rows` does."""
    path = project.splits / CHOICES
    if not path.is_file():  # a split of before there were choices
        kept = {column: s.CHOICES_SCHEMA[column] for column in CHOICES_KEPT}
        return pl.DataFrame(schema={**kept, s.PART: pl.String})
    return _of_fold(project, pl.scan_parquet(path, glob=False), number, CHOICES_KEPT).collect()


def _of_fold(
    project: Project, rows: pl.LazyFrame, number: int, kept: Sequence[str]
) -> pl.LazyFrame:
    datasets = read_json(project.splits / "splits.json")["datasets"]
    picked = []
    for name, record in sorted(datasets.items()):
        part = part_column(number % record["folds"])
        own = rows.filter(pl.col(s.DATASET) == name)
        picked.append(own.select(*kept, pl.col(part).cast(pl.String).alias(s.PART)))
    return pl.concat(picked)


def with_indices(
    rows: pl.DataFrame,
    table: str,
    images: Sequence[str],
    pictures: pl.DataFrame,
    people: pl.DataFrame,
) -> pl.DataFrame:
    """Return `rows` with ``_user`` and, for each column of `images`, ``_<column>``: row indices.

    Parameters
    ----------
    table : the file that the rows are of.
    pictures, people : tables of every picture and user.

    Raises
    ------
    PamelaError
        If a row names a user or a picture that is not there.
    """
    users = people.select(*s.USERS_KEYS).with_row_index("_user")
    rows = rows.join(users, on=list(s.USERS_KEYS), how="left")
    for column in images:
        known = pictures.select(s.DATASET, pl.col(s.IMAGE).alias(column))
        numbered = known.with_row_index(f"_{column}")
        rows = rows.join(numbered, on=[s.DATASET, column], how="left")
    indices = ["_user", *(f"_{column}" for column in images)]
    reject_lost(rows.filter(pl.any_horizontal(pl.col(indices).is_null())), table, images)
    return rows


def reject_lost(lost: pl.DataFrame, table: str, images: Sequence[str]) -> None:
    """Raise if there are rows of which the user or a picture is not there."""
    if lost.height:
        first = lost.row(0, named=True)
        named = " and ".join(first[column] for column in images)
        raise PamelaError(
            f"data/splits/{table}: {lost.height} rows without a user or features, first "
            f"{first[s.DATASET]}/{first[s.USER]} on {named}; run `dvc repro embed`"
        )


# --- what several datasets share ------------------------------------------------------------------
def hold_out_twins(
    ratings: pl.DataFrame, choices: pl.DataFrame, hashes: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep what one dataset tests on out of what the others train and validate on.

    Parameters
    ----------
    ratings, choices : of one fold, with their part.
    hashes : DataFrame (dataset, image_id, sha256) of every picture.
    """
    held = pictures_to_hold_out(ratings, choices, hashes)
    return hold_out(ratings, [s.IMAGE], held), hold_out(choices, [s.IMAGE_A, s.IMAGE_B], held)


def pictures_to_hold_out(
    ratings: pl.DataFrame, choices: pl.DataFrame, hashes: pl.DataFrame
) -> pl.DataFrame:
    """Return (dataset, image_id) of pictures that another dataset tests on.

    Parameters
    ----------
    ratings, choices, hashes : as of `hold_out_twins`; of equal rows one is enough.
    """
    tables = ((ratings, [s.IMAGE]), (choices, [s.IMAGE_A, s.IMAGE_B]))
    if pl.concat([rows.get_column(s.DATASET) for rows, _ in tables]).n_unique() < 2:
        return hashes.select(s.DATASET, s.IMAGE).clear()
    tested = pl.concat([_tested(rows, c, hashes) for rows, columns in tables for c in columns])
    testers = tested.group_by(s.SHA256).agg(_tested_by=pl.col(s.DATASET).unique())
    judged = hashes.join(testers, on=s.SHA256)  # pictures that somebody tests on
    return judged.filter(
        pl.col("_tested_by").list.set_difference(pl.concat_list(s.DATASET)).list.len() > 0
    ).select(s.DATASET, s.IMAGE)


def _tested(rows: pl.DataFrame, column: str, hashes: pl.DataFrame) -> pl.DataFrame:
    """Return (dataset, sha256) of the pictures of a column that the rows test on."""
    tests = rows.filter(pl.col(s.PART).is_in([s.TEST_SEEN, s.TEST_UNSEEN]))
    pictures = tests.select(s.DATASET, pl.col(column).alias(s.IMAGE)).unique()
    return pictures.join(hashes, on=[s.DATASET, s.IMAGE]).select(s.DATASET, s.SHA256).drop_nulls()


def hold_out(rows: pl.DataFrame, columns: Sequence[str], held: pl.DataFrame) -> pl.DataFrame:
    """Return `rows`, those to learn from on a picture of `held` as `HELD_OUT_ELSEWHERE`."""
    if not held.height:
        return rows
    marked = rows
    for column in columns:
        pictures = held.select(s.DATASET, pl.col(s.IMAGE).alias(column), pl.lit(True).alias("_out"))
        marked = marked.join(
            pictures, on=[s.DATASET, column], how="left", maintain_order="left"
        ).rename({"_out": f"_out_{column}"})
    out = pl.any_horizontal(pl.col(f"_out_{column}").fill_null(False) for column in columns)
    learned = pl.col(s.PART).is_in([s.TRAIN, s.VAL_SEEN, s.VAL_UNSEEN])
    part = pl.when(learned & out).then(pl.lit(s.HELD_OUT_ELSEWHERE)).otherwise(pl.col(s.PART))
    return marked.with_columns(part.alias(s.PART)).select(rows.columns)


# --- several ratings of one picture by one person ---------------------------------------------
def reduce_repeats(rows: pl.DataFrame, modes: Mapping[str, str | None]) -> pl.DataFrame:
    """Return the ratings with one per person, picture and part where a dataset says so.

    Parameters
    ----------
    modes : ``repeats`` by dataset: ``mean``, ``first`` and ``last`` reduce.
    """
    if not any(mode in REDUCED for mode in modes.values()):
        return rows
    ordered = rows.sort(pass_order(), maintain_order=True)
    others = set(rows.columns) - {*PASSES, s.RATING, s.RATED_AT, s.POSITION}
    return pl.concat(
        ordered.filter(pl.col(s.DATASET) == name)
        .group_by(*PASSES, maintain_order=True)
        .agg(*REDUCED[mode], *(pl.col(column).first() for column in others))
        .select(rows.columns)
        if mode in REDUCED
        else rows.filter(pl.col(s.DATASET) == name)
        for name, mode in sorted(modes.items())
    )


def rows_of_shared_pairs(
    rows: pl.LazyFrame, columns: Sequence[str] = (s.USER, s.IMAGE)
) -> pl.DataFrame:
    """Return those rows whose `columns` another row may share: few, whatever the table's size.

    What is held of each row is 64 bits of hash of them; so a pair by chance of equal hashes is
    returned too.
    """
    pair = rows.select(pl.struct(columns).hash()).collect(engine="streaming").to_series()
    ordered = np.sort(pair.to_numpy())  # `is_duplicated` takes four times the memory
    again = pl.Series(np.unique(ordered[1:][ordered[1:] == ordered[:-1]]), dtype=pair.dtype)
    shared = pair.is_in(again.implode()).alias("_shared").to_frame().lazy()
    both = pl.concat([rows, shared], how="horizontal")
    return both.filter("_shared").drop("_shared").collect(engine="streaming")


def pass_order() -> pl.Expr:
    """Return what a person's ratings of a picture are ordered by: time, else position, else row."""
    orders = [pl.col(s.RATED_AT).to_physical(), pl.col(s.POSITION)]
    pair = (s.DATASET, s.USER, s.IMAGE)
    known = (pl.when(order.null_count().over(pair) == 0).then(order) for order in orders)
    return pl.coalesce(*known, pl.int_range(pl.len()))
