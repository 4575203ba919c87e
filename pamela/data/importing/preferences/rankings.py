"""From rankings to choices: each two pictures of one ranking are one choice."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.formats import files
from pamela.data.formats.files import shown
from pamela.data.importing.open_tables import scan_json

RANKING: Final = "ranking"  # which rows are of one ranking
NAMED: Final = "named"  # whether a row says who it is of
RANK: Final = "rank"  # 1 is the best; equal ranks are a tie
NO_ORDER: Final = (
    "which picture was shown first is not known: a choice names its two pictures in the order of "
    "their ids, so the position bias says nothing"
)


def read_records(path: Path, root: Path) -> pl.DataFrame:
    """Read a JSON list of records, with source_file and source_row.

    Raises
    ------
    PamelaError
        If it is no such list, or has no record.
    """
    with files.reading(path, root, kind="JSON"):
        return scan_json(path, root, lines=False).collect()


def file_rater(path: Path) -> str:
    """Return whom choices count as that name nobody: the part of the release they stand in."""
    return re.sub(r"_\d+$", "", path.stem.removeprefix("metadata-"))


def unnamed_note(users: pl.Series, n: int) -> list[str]:
    """Return a remark on the choices that do not say whose they are, if there are any.

    Parameters
    ----------
    users : whom each of them counts as.
    n : number of all choices.
    """
    if not users.len():
        return []
    counts = users.value_counts(name="n").sort("n", users.name, descending=[True, False])
    raters = ", ".join(f"{user!r} ({k:,})" for user, k in counts.iter_rows())
    one = "one user" if counts.height == 1 else "one user each"
    return [
        f"{users.len():,} of {n:,} choices do not say who chose; they count as those of {one}: "
        f"{raters}, so nothing personal can be learned from them"
    ]


def pairs_of(ranked: pl.DataFrame) -> pl.DataFrame:
    """Return a choice for each two pictures of a ranking.

    Parameters
    ----------
    ranked : DataFrame (ranking, user_id, image_id, rank): a row per picture of a ranking.

    Returns
    -------
    DataFrame (ranking, user_id, image_a, image_b, choice), ranking by ranking; `image_a` is the
    picture whose id sorts first. Equal ranks are a tie.
    """
    one = ranked.select(RANKING, s.USER, pl.col(s.IMAGE).alias(s.IMAGE_A), rank_a=RANK)
    other = ranked.select(RANKING, pl.col(s.IMAGE).alias(s.IMAGE_B), rank_b=RANK)
    both = one.join(other, on=RANKING).filter(pl.col(s.IMAGE_A) < pl.col(s.IMAGE_B))
    return both.sort(RANKING, s.IMAGE_A, s.IMAGE_B).select(
        RANKING, s.USER, s.IMAGE_A, s.IMAGE_B, outcome("rank_b", "rank_a").alias(s.CHOICE)
    )


def outcome(of_a: str, of_b: str) -> pl.Expr:
    """Return the choice by two columns, of which the larger one wins; a null leaves it unknown."""
    a, b = pl.col(of_a), pl.col(of_b)
    return (
        pl.when(a > b).then(pl.lit(s.CHOSE_A)).when(a < b).then(pl.lit(s.CHOSE_B))
        .when(a == b).then(pl.lit(s.TIE))
    )  # fmt: skip


def spread(rows: pl.DataFrame, pictures: str, ranks: str) -> pl.DataFrame:
    """Return a row per picture for rows that hold lists of pictures and of their ranks.

    Raises
    ------
    PamelaError
        At the first row whose lists differ in length, or hold an empty or unreadable entry.
    """
    number = pl.col(ranks).list.eval(pl.element().cast(pl.Float64, strict=False))
    text = pl.col(pictures).cast(pl.List(pl.String))
    lists = rows.with_columns(number.alias(ranks), text.alias(pictures))
    lengths = [pl.col(c).list.len().fill_null(0) for c in (pictures, ranks)]
    holes = [pl.col(c).list.eval(pl.element().is_null()).list.any() for c in (pictures, ranks)]
    broken = lists.filter(
        (lengths[0] != lengths[1]) | (lengths[0] < 2) | pl.any_horizontal(*holes).fill_null(True)
    )
    if broken.height:
        row = broken.row(0, named=True)
        named, numbered = (len(row[c] or []) for c in (pictures, ranks))
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} record {row[s.SOURCE_ROW]}: {pictures} has {named} entries and "
            f"{ranks} {numbered}; give a path and a number for each of two or more pictures"
        )
    return lists.explode(pictures, ranks)


def require_list(rows: pl.DataFrame, column: str, path: Path, root: Path) -> None:
    """Raise if a column of records does not hold lists."""
    dtype = rows.schema[column]
    if not isinstance(dtype, pl.List):
        raise PamelaError(f"{shown(path, root)}: {column} holds {dtype}; a list is expected")


def reject_ranked_twice(ranked: pl.DataFrame) -> None:
    """Raise on the first picture that one ranking holds twice."""
    twice = ranked.filter(pl.struct(RANKING, s.IMAGE).is_duplicated())
    if twice.height:
        row = twice.row(0, named=True)
        raise PamelaError(
            f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: {row[s.IMAGE]} is ranked twice by "
            f"{row[s.USER]!r}; where several people ranked it, a column annotator_id must tell "
            "them apart"
        )


def with_prompt_ids(images: pl.DataFrame) -> pl.DataFrame:
    """Return `images` with a prompt_id that follows from the prompt alone.

    Pictures of one prompt are compared with each other, so a split keeps them together.
    """
    prompts = images.get_column(s.PROMPT).drop_nulls().unique()
    hashes = [hashlib.sha256(prompt.encode()).hexdigest()[:16] for prompt in prompts]
    ids = pl.DataFrame({s.PROMPT: prompts, s.PROMPT_ID: hashes}, schema_overrides={
        s.PROMPT: pl.String, s.PROMPT_ID: pl.String})  # fmt: skip
    return images.drop(s.PROMPT_ID, strict=False).join(
        ids, on=s.PROMPT, how="left", maintain_order="left"
    )
