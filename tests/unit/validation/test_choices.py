"""Choices held to their rules, against a plain reading of them; nothing is lost."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.validation import choices, division, duplicates
from pamela.validation.choices import ChoiceRules, check_choices
from pamela.validation.expectations import load_suite
from tests.paths import ROOT

Given = tuple[str | None, str | None, str | None, str | None, int | None, int | None]
LATEST = dt.date(2026, 1, 2)  # time 3 lies after it
PICTURES = {"x": True, "y": True, "lost": False}  # and whether the file is there
SOUND = st.tuples(
    st.sampled_from("pq"),
    st.just("x"),
    st.just("y"),
    st.sampled_from(["a", "b", "tie"]),
    st.none() | st.integers(0, 1),
    st.none() | st.integers(0, 1),
)
# Every row there can be, but for its position.
EVERY = list(
    itertools.product(
        ["p", None],
        [*PICTURES, "unknown", None],
        [*PICTURES, "unknown", None],
        ["a", "b", "tie", "left", None],
        [None, 0, 3],
        [None],
    )
)
SUITES = {
    name: load_suite(ROOT / "expectations", name)
    for name in (choices.CHOICES, choices.CHOICE_REPEATS)
}


def rules() -> ChoiceRules:
    there = pl.Series(PICTURES.values())
    images = pl.DataFrame(
        {s.IMAGE: list(PICTURES), "image_present": there, "image_decodes": there},
        schema_overrides={"image_decodes": pl.Boolean},
    ).with_columns(image_decodes=pl.when("image_present").then(pl.lit(True)))
    return ChoiceRules.of(images, SUITES, LATEST)


def frame_of(rows: list[Given], file: str = "choices.csv") -> pl.LazyFrame:
    """Return rows as a canonical table; a time is a number of days after the first of January."""
    started = dt.datetime(2026, 1, 1)
    told = [
        ("d", *row[:4], None if row[4] is None else started + dt.timedelta(row[4]), row[5], file, n)
        for n, row in enumerate(rows, start=1)
    ]
    return pl.LazyFrame(told, schema=s.CHOICES_SCHEMA, orient="row")


def plainly(row: Given) -> str | None:
    """Return the first rule that a row breaks by itself, as data/README.md has it."""
    user, a, b, choice, days, _ = row
    pair = (a, b)
    broken = {
        "user_missing": user is None,
        "choice_missing": choice is None,
        "choice_unknown": choice == "left",
        "picture_against_itself": a is not None and a == b,
        "chosen_in_future": days == 3,
        "unknown_image": not set(pair) <= set(PICTURES),
        "image_missing": "lost" in pair,
    }
    return next((rule for rule, breaks in broken.items() if breaks), None)


def rules_of(result: division.TableResult) -> dict[int, str]:
    return dict(result.quarantined.select(s.SOURCE_ROW, division.RULE).iter_rows())


def test_each_row_is_kept_or_set_apart_by_its_first_rule_in_any_order() -> None:
    source = frame_of(EVERY)
    result = check_choices("d", [source], rules())
    expected = {n: rule for n, row in enumerate(EVERY, start=1) if (rule := plainly(row))}
    assert rules_of(result) == expected
    (kept,) = result.kept
    assert kept.collect()[s.SOURCE_ROW].to_list() == [
        n for n in range(1, len(EVERY) + 1) if n not in expected
    ]
    assert result.rows_in == result.rows_kept + result.quarantined.height == len(EVERY)
    assert rules_of(check_choices("d", [source.reverse()], rules())) == expected


@settings(max_examples=100, deadline=None)
@given(sources=st.lists(st.lists(SOUND, max_size=8), min_size=1, max_size=4))
def test_what_a_later_source_says_again_is_a_repeat_as_often_as_an_earlier_one_says_it(
    sources: list[list[Given]],
) -> None:
    told = [
        frame_of(rows).with_columns(pl.lit(n, pl.Int32).alias(duplicates.SOURCE))
        for n, rows in enumerate(sources)
    ]
    found = pl.concat(told).select(again=choices.delivered_again()).collect()["again"].to_list()
    expected, most = [], Counter[Given]()
    for rows in sources:
        here = Counter[Given]()
        for row in rows:
            here[row] += 1
            expected.append(here[row] <= most[row])
        most |= here
    assert found == expected


def test_a_batch_is_held_against_what_was_accepted() -> None:
    said: Given = ("p", "x", "y", "a", 0, None)
    later: Given = ("p", "x", "y", "a", 1, None)
    accepted, batch = frame_of([said, later]), frame_of([said, ("p", "y", "x", "a", 0, None), said])
    result = check_choices("d", [batch], rules(), [accepted])
    assert rules_of(result) == {1: "choice_repeated"}
    assert result.faulty == 0
