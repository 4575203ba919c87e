"""Choices as whole numbers, turned so that a pair of pictures is one pair whichever came first."""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s

LOW: Final = "low"  # the pair's two pictures by number, the lower first
HIGH: Final = "high"
TOWARD: Final = "toward"  # 1: the low picture was chosen, -1: the high one, 0: a tie
FIRST: Final = "first"  # whether the picture that was named first was chosen; null at a tie
PLACE: Final = "place"  # how many choices a person had made before, in one session; null: unknown
PAIR: Final = (LOW, HIGH)


def as_numbers(choices: pl.DataFrame) -> pl.DataFrame:
    """Return `choices` with a number for every id.

    Parameters
    ----------
    choices : rows with `pamela.core.schema.CHOICES_SCHEMA`, sound: two pictures, one of
        `pamela.core.schema.OUTCOMES`.

    Returns
    -------
    DataFrame (user, low, high, toward, first, place), in the order of the rows; ids are numbered
    as they sort.
    """
    pictures = pl.concat([choices.get_column(s.IMAGE_A), choices.get_column(s.IMAGE_B)])
    number = pl.Enum(pictures.unique().sort())
    user = pl.Enum(choices.get_column(s.USER).unique().sort())
    a, b = (pl.col(c).cast(number).to_physical().cast(pl.Int64) for c in (s.IMAGE_A, s.IMAGE_B))
    outcome = pl.col(s.CHOICE).replace_strict({s.CHOSE_A: 1, s.CHOSE_B: -1, s.TIE: 0})
    turned = pl.when(pl.col("a") < pl.col("b")).then(1).otherwise(-1)
    return (
        choices.with_columns(_place().alias(PLACE))
        .select(pl.col(s.USER).cast(user).to_physical().cast(pl.Int64).alias("user"),
                a.alias("a"), b.alias("b"), outcome.cast(pl.Int8).alias("outcome"), PLACE)
        .select(
            "user",
            pl.min_horizontal("a", "b").alias(LOW),
            pl.max_horizontal("a", "b").alias(HIGH),
            (pl.col("outcome") * turned).cast(pl.Int8).alias(TOWARD),
            pl.when(pl.col("outcome") != 0).then(pl.col("outcome") == 1).alias(FIRST),
            PLACE,
        )
    )  # fmt: skip


def _place() -> pl.Expr:
    """Return where a choice stands in its session: a person's rows of one file.

    Positions tell it where all rows of the session have one, else times where all have one.
    """
    session = [s.USER, s.SOURCE_FILE]

    def rank(column: str) -> tuple[pl.Expr, pl.Expr]:
        known = pl.col(column).is_not_null().all().over(session)
        return known, pl.col(column).rank("ordinal").over(session).cast(pl.Int64) - 1

    (placed, by_position), (timed, by_time) = rank(s.POSITION), rank(s.CHOSEN_AT)
    return pl.when(placed).then(by_position).when(timed).then(by_time)
