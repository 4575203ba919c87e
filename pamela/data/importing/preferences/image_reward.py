"""ImageRewardDB: ranked pictures of a prompt, as rows or as lists; 1 is the best rank.

Rows stand in a JSON file beside the pictures of each archive (``train_1/train_1.json``), and for
the whole in ``metadata-train.parquet``; lists in the ``test.json`` of the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import base, files
from pamela.data.importing.preferences import rankings
from pamela.data.importing.preferences.rankings import NAMED, NO_ORDER, RANK, RANKING
from pamela.data.importing.preferences.release import ChoiceRelease, images_of

PATH: Final = "image_path"
CLASS: Final = "classification"
PEOPLE: Final = ("annotator_id", "user_id")  # who ranked, where a table tells it
ROWS: Final = (s.PROMPT_ID, s.PROMPT, PATH, RANK)
LISTS: Final = {"id": s.PROMPT_ID, "generations": PATH, "ranking": RANK}  # their name: ours
COLUMNS: Final = """\
the .json beside the pictures of each archive, else metadata-*.parquet, or SRC
  itself: prompt_id, prompt, image_path, rank (1 is the best; equal: a tie);
  optional classification, annotator_id; or id, prompt, generations, ranking,
  the last two as lists
images/: the pictures, in any folder; else --pictures FOLDER"""


def read(src: Path) -> ChoiceRelease:
    """Read the release at `src`: its folder, or one of its files.

    Raises
    ------
    PamelaError
        If there is no such file, or a row cannot be read.
    """
    root = src.parent
    paths = [src] if src.is_file() else _released(src)
    parts = [_read_file(path, root) for path in paths]
    others = sorted({column for _, columns in parts for column in columns})
    ranked = pl.concat([rows for rows, _ in parts]).with_columns(
        pl.struct(s.USER, s.PROMPT_ID).rank("dense").alias(RANKING)
    )
    rankings.reject_ranked_twice(ranked)
    choices = rankings.pairs_of(ranked).drop(RANKING)
    images, conflicts = images_of(ranked, (s.PROMPT, s.PROMPT_ID, s.GROUP))
    nobody = ranked.filter(~pl.col(NAMED)).get_column(s.USER).unique()
    unnamed = choices.get_column(s.USER).filter(choices.get_column(s.USER).is_in(nobody.implode()))
    return ChoiceRelease(
        choices=choices,
        images=images,
        folder=src if src.is_dir() else root,
        files=tuple(paths),
        notes=(NO_ORDER, *rankings.unnamed_note(unnamed, choices.height)),
        ignored={"rankings": others, "images": conflicts},
    )


def _released(folder: Path) -> list[Path]:
    """Return the files beside the pictures; without any those of the whole."""
    beside = sorted(p for p in folder.rglob("*.json") if p.stem == p.parent.name)
    whole = sorted(
        p for home in (folder, *folder.iterdir()) for p in home.glob("metadata-*.parquet")
    )
    if not beside and not whole:
        raise PamelaError(
            f"{folder.name}: neither train_1/train_1.json and the like nor metadata-train.parquet "
            "there; give ImageRewardDB's folder, or one of its files"
        )
    return beside or whole


def _read_file(path: Path, root: Path) -> tuple[pl.DataFrame, list[str]]:
    """Return a row per picture of a ranking, and the columns that are left out."""
    is_json = path.suffix.lower() == ".json"
    rows = rankings.read_records(path, root) if is_json else files.read_table(path, root)
    others = [c for c in rows.columns if c not in (*ROWS, *LISTS, CLASS, *PEOPLE, *base.SOURCE)]
    if set(LISTS) <= set(rows.columns):
        for column in ("generations", "ranking"):
            rankings.require_list(rows, column, path, root)
        rows = rankings.spread(rows, "generations", "ranking").rename(LISTS)
    files.require_columns(rows, ROWS, path, root)
    person = next((c for c in PEOPLE if c in rows.columns), None)
    who = pl.lit(rankings.file_rater(path)) if person is None else s.identifier(person)
    found = base.whole_floats_as_integers(rows, [c for c in PEOPLE if c in rows.columns]).select(
        who.alias(s.USER),
        pl.lit(person is not None).alias(NAMED),
        s.identifier(s.PROMPT_ID),
        base.said(s.PROMPT),
        base.text(PATH).str.replace_all("\\", "/", literal=True).alias(s.IMAGE),
        base.text(PATH).str.replace_all("\\", "/", literal=True).alias(s.FILE),
        base.number(RANK),
        (base.category(CLASS) if CLASS in rows.columns else pl.lit(None, pl.String)).alias(s.GROUP),
        *base.SOURCE,
    )
    _reject_holes(found)
    return found, others


def _reject_holes(rows: pl.DataFrame) -> None:
    """Raise on the first row without a prompt_id, a picture or a rank."""
    names = {s.PROMPT_ID: s.PROMPT_ID, s.IMAGE: PATH, RANK: RANK}
    broken = rows.filter(pl.any_horizontal(pl.col(c).is_null() for c in names))
    if broken.height:
        row = broken.row(0, named=True)
        hole = next(name for c, name in names.items() if row[c] is None)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: {hole} is empty or cannot be read; "
            "correct it"
        )
