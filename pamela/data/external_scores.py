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

SCORE: Final = "score"
SCORES_SCHEMA: Final = pl.Schema(
    {s.DATASET: pl.String, s.USER: pl.String, s.IMAGE: pl.String, SCORE: pl.Float64}
)
COLUMNS: Final = "image_id, score, optional dataset, user_id"
REQUIRED: Final = (s.IMAGE, SCORE)
OPTIONAL: Final = (s.DATASET, s.USER)


@dataclass(frozen=True)
class ExternalScores:
    """One file's scores of pictures (and people) of the project.

    Attributes
    ----------
    rows : `SCORES_SCHEMA`, once per picture, or per person and picture; ``user_id`` is null where
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
        share, or no known id at all.
    """
    path = project.root / file
    if not path.resolve().is_relative_to(project.root.resolve()):
        raise PamelaError(f"{file}: a link out of the project; put the file there")
    if not path.is_file():
        raise PamelaError(f"{file}: no such file; evaluate.external in params.yaml names it {name}")
    images = read_parquet(project.validated / "images.parquet").select(s.DATASET, s.IMAGE)
    users = read_parquet(project.validated / "users.parquet").select(s.DATASET, s.USER)
    scores = match_ids(read_scores(path, project.root), images, users, file)
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
    ids = [c for c in present if c != SCORE]
    number = base.number(SCORE).alias("_number")
    frame = base.whole_floats_as_integers(frame, ids).with_columns(*map(s.identifier, ids), number)
    for column in ids:
        base.reject_empty_ids(frame, column)
    bad = frame.filter(pl.col("_number").is_null())
    if bad.height:
        row = bad.row(0, named=True)
        cell = "" if row[SCORE] is None else str(row[SCORE])
        raise PamelaError(
            f"{name} row {row[s.SOURCE_ROW]}: score {cell!r} is no finite number ({bad.height:,} "
            "such rows); leave the row of a picture without a score out"
        )
    return frame.with_columns(pl.col("_number").alias(SCORE)).drop("_number")


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
        base.conform(once, SCORES_SCHEMA).sort(s.DATASET, s.USER, s.IMAGE),
        strange.select(_key(strange)).to_series(),
        [c for c in cells.columns if c not in known_columns],
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
    once = rows.unique([*keys, SCORE], keep="first", maintain_order=True)
    again = once.with_columns(
        _first=pl.col(s.SOURCE_ROW).first().over(keys), _value=pl.col(SCORE).first().over(keys)
    ).filter(pl.col(s.SOURCE_ROW) != pl.col("_first"))
    if again.height:
        row = again.row(0, named=True)
        raise PamelaError(
            f"{name} row {row[s.SOURCE_ROW]}: {row[_named(rows)]!r} has the score {row[SCORE]:g}, "
            f"and {row['_value']:g} in row {row['_first']}; give one score"
        )
    return once


def _nobody(
    rows: pl.DataFrame, images: pl.DataFrame, users: pl.DataFrame, name: str
) -> PamelaError:
    """Return the fault of a file of which no row names a picture (or person) of the project."""
    of_pictures = rows.join(images, on=[s.DATASET, s.IMAGE], how="semi").is_empty()
    column, listed = (s.IMAGE, images) if of_pictures else (s.USER, users)
    ids, there = rows[column], listed[column]
    alike = loose(ids).is_in(loose(there).implode()).any()
    hint = f"; some would match {ALIKE}: write an id the same everywhere" if alike else ""
    datasets = listed[s.DATASET].unique().sort().to_list()
    return PamelaError(
        f"{name}: no {column} of it is in {', '.join(datasets)}: it has {_examples(ids)}, while "
        f"there is {_examples(there)}{hint}"
    )


def _named(rows: pl.DataFrame) -> str:
    return s.IMAGE if s.USER not in rows.columns else s.USER


def _key(rows: pl.DataFrame) -> pl.Expr:
    """Return what names a row in messages."""
    columns: Sequence[str] = [c for c in (s.USER, s.IMAGE) if c in rows.columns]
    return pl.concat_str(columns, separator=" ").alias("_key")


def _examples(ids: pl.Series) -> str:
    return ", ".join(map(repr, ids.head(EXAMPLES).to_list()))
