"""What every reader of a dataset format hands back, and the few conversions they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.counts import (
    N_CHOICES,
    N_RATINGS,
    ORDERED,
    OWN_SPLITS,
    count_by_chooser,
    count_by_rater,
    group_rows,
)
from pamela.data.repeats import Mode, Repeats

# Where a row of users or images came from; kept beside the canonical tables, not in them.
SOURCE: tuple[str, str] = (s.SOURCE_FILE, s.SOURCE_ROW)
Table = TypeVar("Table", pl.DataFrame, pl.LazyFrame)


@dataclass(frozen=True)
class Words:
    """Cells of a column of numbers that are none: how many, and examples."""

    n: int = 0
    examples: tuple[str, ...] = ()


WORD_EXAMPLES: Final = 3


def words_of(rows: pl.DataFrame, column: str) -> Words:
    """Return what stands in a column of numbers and is none."""
    cell = text(column)
    found = rows.select(pl.when(number(column).is_null()).then(cell)).to_series().drop_nulls()
    return Words(found.len(), tuple(found.unique(maintain_order=True).head(WORD_EXAMPLES)))


@dataclass(frozen=True)
class Tables:
    """One dataset (or one batch) as canonical tables, structurally sound, rows not yet validated.

    Attributes
    ----------
    name : the dataset's name, which is its users' and images' namespace.
    scale : lowest and highest rating, as declared; `pamela.core.schema.STANDARD_SCALE` where
        choices alone declare none.
    ratings : LazyFrame with `pamela.core.schema.RATINGS_SCHEMA`, in the order of the source: a
        table larger than memory is read when it is used, by the streaming engine.
    users : DataFrame with dataset, user_id, demographics (text), source_file and source_row.
    images : DataFrame with `pamela.core.schema.IMAGES_SCHEMA` (``sha256`` still null), source_file
        and source_row; ``file`` is relative to the project root.
    folder : where it was read.
    features : precomputed features of this folder, or None.
    has_images : whether pictures are shipped, and so must be there and decode.
    ignored : columns that were not taken over, by file name.
    files : the annotation files that were read; with the pictures they are what an import brings.
    notes : what an import says of the whole, for people.
    counted : what `count_by_rater` says of the ratings, where the reader has found it already.
    words : ratings that are words, as far as the reader tells.
    scale_declared : whether ``scale`` is what the dataset says.
    choices : LazyFrame with `pamela.core.schema.CHOICES_SCHEMA`, as `ratings`.
    choices_counted : what `count_by_chooser` says of the choices, where it is known already.
    other_words : choices that say none of a, b and tie.
    declared_repeats : ``repeats`` of dataset.yaml, if it says so.
    """

    name: str
    scale: tuple[float, float]
    ratings: pl.LazyFrame
    users: pl.DataFrame
    images: pl.DataFrame
    folder: Path
    features: Path | None
    has_images: bool
    ignored: dict[str, list[str]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    counted: pl.DataFrame | None = None
    words: Words = field(default_factory=Words)
    scale_declared: bool = True
    choices: pl.LazyFrame = field(default_factory=lambda: pl.LazyFrame(schema=s.CHOICES_SCHEMA))
    choices_counted: pl.DataFrame | None = None
    other_words: Words = field(default_factory=Words)
    declared_repeats: Mode | None = None

    @property
    def repeats(self) -> Repeats:
        """What several ratings of one image by one user are here."""
        ordered = self.by_rater.get_column(ORDERED).any()
        return Repeats.of(self.declared_repeats, ordered=bool(ordered))

    @property
    def demographics(self) -> list[str]:
        """Names of the demographic columns."""
        return [c for c in self.users.columns if c not in (*s.USERS_KEYS, *SOURCE)]

    @cached_property
    def by_rater(self) -> pl.DataFrame:
        """What `count_by_rater` says of the ratings."""
        return count_by_rater(self.ratings) if self.counted is None else self.counted

    @cached_property
    def by_chooser(self) -> pl.DataFrame:
        """What `count_by_chooser` says of the choices."""
        known = self.choices_counted
        return count_by_chooser(self.choices) if known is None else known

    @property
    def own_splits(self) -> bool:
        """Whether the dataset says itself who and what is held out."""
        return bool(self.by_rater.get_column(OWN_SPLITS).any())

    @property
    def n_ratings(self) -> int:
        """Number of rating rows."""
        return int(self.by_rater.get_column(N_RATINGS).sum())

    @property
    def n_choices(self) -> int:
        """Number of choice rows."""
        return int(self.by_chooser.get_column(N_CHOICES).sum())

    @property
    def raters(self) -> pl.DataFrame:
        """Everyone who rated, and first where: dataset, user_id, source_file, source_row."""
        return _first_of_each(self.by_rater)

    @property
    def choosers(self) -> pl.DataFrame:
        """Everyone who chose, and first where, as `raters`."""
        return _first_of_each(self.by_chooser)

    @property
    def people(self) -> pl.DataFrame:
        """Everyone who rated or chose, and first where, as `raters`; the raters come first."""
        return _first_of_each(pl.concat([self.raters, self.choosers]))

    @property
    def judged(self) -> pl.Series:
        """The images that are rated or chosen between, each once."""
        columns = ((self.ratings, s.IMAGE), (self.choices, s.IMAGE_A), (self.choices, s.IMAGE_B))
        named = pl.concat(rows.select(pl.col(column).alias(s.IMAGE)) for rows, column in columns)
        return group_rows(named.drop_nulls(), [s.IMAGE], []).get_column(s.IMAGE)


def _first_of_each(counted: pl.DataFrame) -> pl.DataFrame:
    """Return the first row of every user that is named."""
    keys = list(s.USERS_KEYS)
    named = counted.drop_nulls(s.USER)
    return named.unique(keys, keep="first", maintain_order=True).select(*keys, *SOURCE)


def text(column: str) -> pl.Expr:
    """Return a column as text: empty is null, and whole floats lose their ``.0``."""
    value = pl.col(column).cast(pl.String)
    return pl.when(value != "").then(value).alias(column)  # `replace` would not stream


def number(column: str) -> pl.Expr:
    """Return a column as finite numbers: what is empty, no number, NaN or infinite is null."""
    value = pl.col(column).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value).alias(column)


def whole_floats_as_integers(frame: Table, columns: Sequence[str]) -> Table:
    """Return `frame` with float id columns as integers where all values are whole.

    Tools that hold a missing id as NaN turn the whole column into floats; 12.0 is then id "12".
    """
    schema = frame.collect_schema()
    floats = [c for c in columns if c in schema and schema[c].is_float()]
    if not floats:
        return frame
    value = pl.col(floats)
    seen = frame.lazy().select((value.is_null() | (value % 1 == 0) | value.is_nan()).all())
    row = seen.collect(engine="streaming").row(0, named=True)
    whole = [c for c in floats if row[c]]
    return frame.with_columns(pl.col(whole).fill_nan(None).cast(pl.Int64)) if whole else frame


def unify_case(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
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


def conform(frame: Table, schema: pl.Schema, extra: Sequence[str] = ()) -> Table:
    """Return `frame` with exactly the columns of `schema` (missing ones null) and `extra`."""
    found = frame.collect_schema()
    missing = {c: dtype for c, dtype in schema.items() if c not in found}
    return frame.with_columns(pl.lit(None, dtype).alias(c) for c, dtype in missing.items()).select(
        *(pl.col(c).cast(dtype) for c, dtype in schema.items()), *extra
    )


def empty_table(columns: Sequence[str]) -> pl.DataFrame:
    """Return a table of text `columns` and the source columns, without rows."""
    texts = [(c, pl.String) for c in (*columns, s.SOURCE_FILE)]
    return pl.DataFrame(schema=[*texts, (s.SOURCE_ROW, pl.Int64)])


def add_unlisted_users(users: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Return `users` with all `people` (as `Tables` has them), the unlisted with nothing known."""
    keys = list(s.USERS_KEYS)
    unlisted = people.unique(keys, keep="first", maintain_order=True).join(
        users, on=keys, how="anti"
    )
    return pl.concat([users, unlisted], how="diagonal").sort(keys)


def reject_repeats(frame: pl.DataFrame, column: str, *, advice: str) -> None:
    """Raise on the first id of `column` that stands in two rows, naming file and both rows."""
    if not frame.select(pl.struct(s.DATASET, column).is_duplicated().any()).item():
        return
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


# How tools write an empty cell, in lower case: pandas, R, databases, spreadsheets, Stata, Prolific,
# JavaScript, people.
NOTHING: Final = (
    "", "na", "n/a", "n / a", "<na>", "#n/a", "#na", "#n/a n/a", "n.a.", "nan", "-nan", "nat",
    "none", "null", "(null)", "[null]", "<null>", "\\n", "nil", "-", "--", "---", "–", "—", "?",
    ".", '""', "''", "[]", "{}", "(blank)", "undefined", "unknown", "missing", "not available",
    "not specified", "not stated", "no answer", "no response", "#value!", "#null!", "#ref!",
    "#div/0!", "#name?", "#num!", "#error!", "data_expired", "consent_revoked",
)  # fmt: skip


def category(column: str) -> pl.Expr:
    """Return a text column as categories: one spelling of a number (2.0 is 2, 2.50 is 2.5).

    `NOTHING` in any case is null, and outer blanks do not count.
    """
    value = s.identifier(column)
    plain = value.str.replace(r"^\+?(-?\d+)(\.0*)?$", "$1").str.replace(
        r"^\+?(-?\d+\.\d*[1-9])0*$", "$1"
    )
    return pl.when(_is_given(value)).then(plain).alias(column)


def said(column: str) -> pl.Expr:
    """Return a column as `text`, of which `NOTHING` in any case is null."""
    return pl.when(_is_given(s.identifier(column))).then(text(column)).alias(column)


def _is_given(value: pl.Expr) -> pl.Expr:
    return ~value.str.to_lowercase().is_in(NOTHING)


def most_frequent(column: str) -> pl.Expr:
    """Return, per group, the most frequent value that is not null; the first of several by name."""
    return pl.col(column).drop_nulls().mode().sort().first()
