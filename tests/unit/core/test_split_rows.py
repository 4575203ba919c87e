"""Several ratings of one picture by one person, reduced before anything is learned."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.split_rows import reduce_repeats

SCHEMA = {
    s.DATASET: pl.String,
    s.USER: pl.String,
    s.IMAGE: pl.String,
    s.RATING: pl.Float64,
    s.RATED_AT: pl.Datetime("us"),
    s.POSITION: pl.Int64,
    s.PART: pl.String,
}


def rows_of(*rows: tuple[str, str, float, int | None, int | None, str]) -> pl.DataFrame:
    """Return rows of (dataset, image, rating, day, position, part), all by one person."""
    days = {n: dt.datetime(2026, 1, n) for n in range(1, 10)}
    full = [(d, "u", i, r, days.get(day or 0), p, part) for d, i, r, day, p, part in rows]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


@pytest.mark.parametrize(("mode", "expected"), [("mean", 3.0), ("first", 1.0), ("last", 5.0)])
@pytest.mark.parametrize(
    "order",
    [[(1, 9), (2, 8), (3, 7)], [(None, 1), (2, 2), (3, 3)], [(None, None), (None, 2), (1, 1)]],
    ids=["time, not position", "position where a time is missing", "else their order"],
)
def test_each_mode_by_the_order_that_all_ratings_have(mode, expected, order):
    ratings = [1.0, 3.0, 5.0]
    rows = rows_of(*(("d", "i", r, *at, s.TRAIN) for r, at in zip(ratings, order, strict=True)))
    if order[0] != (None, None):
        rows = rows.reverse()
    assert reduce_repeats(rows, {"d": mode})[s.RATING].to_list() == [expected]


def test_only_what_a_dataset_says_is_reduced_and_parts_stay_apart():
    rows = rows_of(
        ("a", "i", 1.0, None, 1, s.TRAIN), ("a", "i", 2.0, None, 2, s.TRAIN),
        ("b", "i", 1.0, None, 1, s.TRAIN), ("b", "i", 2.0, None, 2, s.TRAIN),
        ("b", "i", 4.0, None, 3, s.TEST_SEEN), ("b", "j", 5.0, None, 4, s.TRAIN),
    )  # fmt: skip
    found = reduce_repeats(rows, {"b": "mean", "a": "all"})
    assert found.columns == rows.columns
    assert found[s.RATING].to_list() == [1.0, 2.0, 1.5, 4.0, 5.0]
    assert reduce_repeats(rows, {"a": "all", "b": None}).equals(rows)
