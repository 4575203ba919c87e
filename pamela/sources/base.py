"""What every reader of a dataset format hands back, and the few conversions they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pamela import schema as s
from pamela.errors import PamelaError

# Where a row of users or images came from; kept beside the canonical tables, not in them.
SOURCE: tuple[str, str] = (s.SOURCE_FILE, s.SOURCE_ROW)


@dataclass(frozen=True)
class Tables:
    """One dataset (or one batch) as the three tables, structurally sound, rows not yet judged.

    Attributes
    ----------
    name : the dataset's name, which is its users' and images' namespace.
    scale : lowest and highest rating, as declared.
    ratings : DataFrame with `pamela.schema.RATINGS_SCHEMA`, in the order of the source.
    users : DataFrame with dataset, user_id, demographics (text), source_file and source_row.
    images : DataFrame with `pamela.schema.IMAGES_SCHEMA` (``sha256`` still null), source_file and
        source_row; ``file`` is relative to the project root.
    folder : where it was read.
    features : precomputed features of this folder, or None.
    has_images : whether pictures are shipped, and so must be there and decode.
    ignored : columns that were not taken over, by file name.
    """

    name: str
    scale: tuple[float, float]
    ratings: pl.DataFrame
    users: pl.DataFrame
    images: pl.DataFrame
    folder: Path
    features: Path | None
    has_images: bool
    ignored: dict[str, list[str]] = field(default_factory=dict)

    @property
    def demographics(self) -> list[str]:
        """Names of the demographic columns."""
        return [c for c in self.users.columns if c not in (*s.USERS_KEYS, *SOURCE)]

    @property
    def own_splits(self) -> bool:
        """Whether the dataset says itself who and what is held out."""
        return self.ratings.get_column(s.SPLIT).null_count() < self.ratings.height


def text(column: str) -> pl.Expr:
    """Return a column as text: empty is null, and whole floats lose their ``.0``."""
    return pl.col(column).cast(pl.String).replace("", None).alias(column)


def number(column: str) -> pl.Expr:
    """Return a column as finite numbers: what is empty, no number, NaN or infinite is null."""
    value = pl.col(column).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value).alias(column)


def whole_floats_as_integers(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return `frame` with float id columns as integers where all values are whole.

    Tools that hold a missing id as NaN turn the whole column into floats; 12.0 is then id "12".
    """
    floats = [c for c in columns if c in frame.columns and frame.schema[c].is_float()]
    whole = [
        c
        for c in floats
        if frame.select((pl.col(c).is_null() | (pl.col(c) % 1 == 0) | pl.col(c).is_nan()).all())
        .to_series()
        .item()
    ]
    return frame.with_columns(pl.col(whole).fill_nan(None).cast(pl.Int64)) if whole else frame


def one_spelling(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return `frame` where values that differ only in case share the most frequent spelling."""
    for column in columns:
        spellings = (
            frame.drop_nulls(column)
            .group_by(column)
            .len()
            .with_columns(_key=pl.col(column).str.to_lowercase())
            .sort("len", column, descending=[True, False])
        )
        best = spellings.unique("_key", keep="first").select("_key", _best=column)
        mapping = spellings.join(best, on="_key").filter(pl.col(column) != pl.col("_best"))
        frame = frame.with_columns(pl.col(column).replace(mapping[column], mapping["_best"]))
    return frame


def conform(frame: pl.DataFrame, schema: pl.Schema, extra: Sequence[str] = ()) -> pl.DataFrame:
    """Return `frame` with exactly the columns of `schema` (missing ones null) and `extra`."""
    missing = {c: dtype for c, dtype in schema.items() if c not in frame.columns}
    return frame.with_columns(pl.lit(None, dtype).alias(c) for c, dtype in missing.items()).select(
        *(pl.col(c).cast(dtype) for c, dtype in schema.items()), *extra
    )


def empty_table(columns: Sequence[str]) -> pl.DataFrame:
    """Return a table of text `columns` and the source columns, without rows."""
    texts = [(c, pl.String) for c in (*columns, s.SOURCE_FILE)]
    return pl.DataFrame(schema=[*texts, (s.SOURCE_ROW, pl.Int64)])


def add_unlisted_users(users: pl.DataFrame, ratings: pl.DataFrame) -> pl.DataFrame:
    """Return `users` with everyone who rated; who is not listed has null demographics."""
    raters = (
        ratings.filter(pl.col(s.USER).is_not_null())
        .group_by(s.DATASET, s.USER)
        .agg(pl.col(*SOURCE).first())
        .join(users, on=list(s.USERS_KEYS), how="anti")
    )
    return pl.concat([users, raters], how="diagonal").sort(s.DATASET, s.USER)


def reject_repeats(frame: pl.DataFrame, column: str, *, advice: str) -> None:
    """Raise on the first id of `column` that stands in two rows, naming file and both rows."""
    again = frame.with_columns(
        _first=pl.struct(SOURCE).first().over(s.DATASET, column),
        _nth=pl.int_range(pl.len()).over(s.DATASET, column),
    ).filter(pl.col("_nth") > 0)
    if again.height:
        row = again.row(0, named=True)
        first = row["_first"]
        same_file = first[s.SOURCE_FILE] == row[s.SOURCE_FILE]
        where = "row" if same_file else f"{first[s.SOURCE_FILE]} row"
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: {column} {row[column]!r} is repeated "
            f"(first in {where} {first[s.SOURCE_ROW]}); {advice}"
        )


def reject_empty_ids(frame: pl.DataFrame, column: str) -> None:
    """Raise on the first row of a users or images table without an id."""
    empty = frame.filter(pl.col(column).is_null())
    if empty.height:
        row = empty.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: {column} is empty; give it an id or "
            "remove the row"
        )
