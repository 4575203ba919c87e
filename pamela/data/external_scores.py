"""Scores from elsewhere: a file of ``image_id, score`` becomes a typed table of known pictures.

``evaluate.external`` of params.yaml names the files (`pamela.params`); the evaluation shows each as
a row beside the models (`pamela.evaluation.external`). Optional columns: ``dataset``, needed where
two datasets share an image id, and ``user_id``, for scores of one person. A picture without a score
has no row. Nothing is guessed: what cannot be read is one line that names file and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, write_parquet
from pamela.core.paths import Project
from pamela.data.formats import base, files
from pamela.data.formats.files import shown
from pamela.data.remarks import ALIKE, EXAMPLES, loose

COLUMNS: Final = "image_id, score, optional dataset, user_id"
REQUIRED: Final = (s.IMAGE, s.SCORE)
OPTIONAL: Final = (s.DATASET, s.USER)
QUARTILES: Final = (0.25, 0.75)
DECIMALS: Final = 6  # at which the evaluation compares scores, once they are scaled
MOST_MERGED: Final = 0.5  # share of the distinct scores that must stay so


@dataclass(frozen=True)
class ExternalScores:
    """One file's scores of pictures (and people) of the project.

    Attributes
    ----------
    rows : `s.SCORES_SCHEMA`, once per picture, or per person and picture; ``user_id`` is null where
        the scores are nobody's own.
    strangers : ids of rows that were left out, as they name no picture or person of the project.
    ignored : columns that mean nothing here.
    """

    rows: pl.DataFrame
    strangers: pl.Series
    ignored: list[str]

    @property
    def personal(self) -> bool:
        """Whether people have scores of their own."""
        return self.rows[s.USER].null_count() == 0

    def told(self, name: str) -> str:
        """Return what was read in one line."""
        n, pictures = self.rows.height, self.rows.select(s.DATASET, s.IMAGE).n_unique()
        whose = f" by {self.rows[s.USER].n_unique():,} people" if self.personal else ""
        line = f"{name}: {n:,} scores of {pictures:,} pictures{whose}"
        if self.strangers.len():
            line += (
                f"; {self.strangers.len():,} rows name none of the project and are left out, such "
                f"as {_examples(self.strangers)}"
            )
        return line + (f"; columns left out: {', '.join(self.ignored)}" if self.ignored else "")


def check_scores(project: Project, name: str, file: str) -> ExternalScores:
    """Check the scores in `file` and write ``data/external/<name>.parquet``.

    Parameters
    ----------
    file : path from the project root.

    Raises
    ------
    PamelaError
        On a file that is missing, lies elsewhere or cannot be read, a missing column, a score that
        is no finite number, an empty id, two scores of one picture, an image id that two datasets
        share, no known id at all, or numbers that are marks of "no score" and hide the others.
    """
    path = project.root / file
    if not path.resolve().is_relative_to(project.root.resolve()):
        raise PamelaError(f"{file}: a link out of the project; put the file there")
    if not path.is_file():
        raise PamelaError(f"{file}: no such file; evaluate.external in params.yaml names it {name}")
    images = read_parquet(project.validated / "images.parquet").select(s.DATASET, s.IMAGE)
    users = read_parquet(project.validated / "users.parquet").select(s.DATASET, s.USER)
    scores = match_ids(read_scores(path, project.root), images, users, file)
    _reject_marks(scores.rows, file)
    write_parquet(project.external / f"{name}.parquet", scores.rows)
    return scores


def read_scores(path: Path, root: Path) -> pl.DataFrame:
    """Return the cells of a file of scores with ``source_row``: ids as text, scores as numbers.

    Raises
    ------
    PamelaError
        On what is wrong with a row, or with the file as a whole.
    """
    name = shown(path, root)
    frame = files.read_table(path, root, reserved=files.RESERVED - {s.DATASET})
    files.require_columns(frame, REQUIRED, path, root)
    present = [c for c in (*REQUIRED, *OPTIONAL) if c in frame.columns]
    files.require_cells(frame, present, path, root)
    if not frame.height:
        raise PamelaError(f"{name}: no rows; give {COLUMNS}")
    ids = [c for c in present if c != s.SCORE]
    number = base.number(s.SCORE).alias("_number")
    frame = base.whole_floats_as_integers(frame, ids).with_columns(*map(s.identifier, ids), number)
    for column in ids:
        base.reject_empty_ids(frame, column)
    bad = frame.filter(pl.col("_number").is_null())
    if bad.height:
        row = bad.row(0, named=True)
        cell = "" if row[s.SCORE] is None else str(row[s.SCORE])
        raise PamelaError(
            f"{name} row {row[s.SOURCE_ROW]}: score {cell!r} is no finite number ({bad.height:,} "
            "such rows); leave the row of a picture without a score out"
        )
    return frame.with_columns(pl.col("_number").alias(s.SCORE)).drop("_number")


def match_ids(
    cells: pl.DataFrame, images: pl.DataFrame, users: pl.DataFrame, name: str
) -> ExternalScores:
    """Keep the rows of known pictures and people.

    Parameters
    ----------
    cells : as `read_scores` returns them.
    images, users : (dataset, image_id) and (dataset, user_id) of the project.
    name : of the file, for messages.
    """
    kept = [c for c in (*REQUIRED, *OPTIONAL, s.SOURCE_ROW) if c in cells.columns]
    known_columns = {*kept, s.SOURCE_FILE}
    rows = cells.select(kept)
    if s.DATASET not in rows.columns:
        rows = _with_dataset(rows, images, name)
    known = rows.join(images, on=[s.DATASET, s.IMAGE], how="semi", maintain_order="left")
    if s.USER in rows.columns:
        known = known.join(users, on=[s.DATASET, s.USER], how="semi", maintain_order="left")
    strange = rows.join(known, on=s.SOURCE_ROW, how="anti", maintain_order="left")
    if not known.height:
        raise _nobody(rows, images, users, name)
    once = _once(known, name)
    return ExternalScores(
        base.conform(scaled(once), s.SCORES_SCHEMA).sort(s.DATASET, s.USER, s.IMAGE),
        strange.select(_key(strange)).to_series(),
        [c for c in cells.columns if c not in known_columns],
    )


def scaled(rows: pl.DataFrame) -> pl.DataFrame:
    """Add ``scaled``: the score less the median, over the interquartile range, per dataset.

    So does `sklearn.preprocessing.RobustScaler`: no order and no correlation changes. Where half of
    the scores are equal the standard deviation stands for the range.
    """
    score = pl.col(s.SCORE)
    low, high = (score.quantile(q, "linear") for q in QUARTILES)
    width = pl.when(high > low).then(high - low).otherwise(score.std(ddof=0))
    usable = pl.when(width > 0).then(width).otherwise(1.0)
    return rows.with_columns(((score - score.median()) / usable).over(s.DATASET).alias(s.SCALED))


def _reject_marks(rows: pl.DataFrame, name: str) -> None:
    """Raise where scores lie so far apart that most others cannot be told from one another."""
    told_apart = pl.col(s.SCALED).cast(pl.Float32).round(DECIMALS).n_unique()
    merged = (
        rows.group_by(s.DATASET)
        .agg(
            told_apart.alias("kept"), n=pl.col(s.SCORE).n_unique(),
            low=pl.col(s.SCORE).min(), high=pl.col(s.SCORE).max(),
        )
        .filter(pl.col("kept") <= MOST_MERGED * pl.col("n"))
    )  # fmt: skip
    if merged.height:
        low, high = merged.select("low", "high").row(0)
        raise PamelaError(
            f"{name}: the scores run from {low:g} to {high:g}, and most of them differ by less "
            "than a millionth of that; leave the rows out whose score is a mark of none, such as "
            "-1e9"
        )


def _with_dataset(rows: pl.DataFrame, images: pl.DataFrame, name: str) -> pl.DataFrame:
    """Add the dataset that each image id belongs to (null: none)."""
    places = images.group_by(s.IMAGE).agg(
        pl.col(s.DATASET).min(), several=pl.col(s.DATASET).unique().sort()
    )
    found = rows.join(places, on=s.IMAGE, how="left", maintain_order="left")
    shared = found.filter(pl.col("several").list.len() > 1)
    if shared.height:
        row = shared.row(0, named=True)
        raise PamelaError(
            f"{name} row {row[s.SOURCE_ROW]}: image_id {row[s.IMAGE]!r} is in datasets "
            f"{' and '.join(row['several'])}; add a column dataset"
        )
    return found.drop("several")


def _once(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return each picture's row (each person's of it); rows that say the same again count once."""
    keys = [c for c in (s.DATASET, s.USER, s.IMAGE) if c in rows.columns]
    once = rows.unique([*keys, s.SCORE], keep="first", maintain_order=True)
    again = once.with_columns(
        _first=pl.col(s.SOURCE_ROW).first().over(keys), _value=pl.col(s.SCORE).first().over(keys)
    ).filter(pl.col(s.SOURCE_ROW) != pl.col("_first"))
    if again.height:
        row = again.with_columns(_key(again)).row(0, named=True)
        raise PamelaError(
            f"{name} row {row[s.SOURCE_ROW]}: {row['_key']!r} has the score {row[s.SCORE]:g}, and "
            f"{row['_value']:g} in row {row['_first']}; give one score"
        )
    return once


def _nobody(
    rows: pl.DataFrame, images: pl.DataFrame, users: pl.DataFrame, name: str
) -> PamelaError:
    """Return the fault of a file of which no row names a picture (or person) of the project."""
    listed, column = images, s.IMAGE
    if rows[s.DATASET].count() and rows.join(images, on=s.DATASET, how="semi").is_empty():
        column = s.DATASET
    elif rows.join(images, on=[s.DATASET, s.IMAGE], how="semi").height:
        listed, column = users, s.USER
    ids, there = (frame[column].unique(maintain_order=True) for frame in (rows, listed))
    alike = loose(ids).is_in(loose(there).implode()).any()
    hint = f"; some would match {ALIKE}: write an id the same everywhere" if alike else ""
    return PamelaError(
        f"{name}: no {column} of it is one of the project's: it has {_examples(ids)}, while there "
        f"is {_examples(there)}{hint}"
    )


def _key(rows: pl.DataFrame) -> pl.Expr:
    """Return what names a row in messages."""
    columns: Sequence[str] = [c for c in (s.USER, s.IMAGE) if c in rows.columns]
    return pl.concat_str(columns, separator=" ").alias("_key")


def _examples(ids: pl.Series) -> str:
    return ", ".join(map(repr, ids.head(EXAMPLES).to_list()))
