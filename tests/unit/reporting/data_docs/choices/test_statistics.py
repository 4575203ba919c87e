"""What the data docs say of choices, held to the definitions row by row."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.reporting.data_docs.choices import consistency
from pamela.reporting.data_docs.choices.consistency import coefficient
from pamela.reporting.data_docs.choices.shares import UNITS, shares
from pamela.reporting.data_docs.choices.statistics import (
    ChoiceStatistics,
    summarise,
    win_rates,
)

PICTURES = "pqrst"
START = datetime(2026, 3, 1, 9, 30)
Row = tuple[str, str, str, str]  # user, image_a, image_b, choice


def table(rows: list[Row], **columns: list[Any]) -> pl.DataFrame:
    """Return choices of one session; what is not given is null."""
    ids = dict(zip((s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE), zip(*rows, strict=True), strict=True))
    none = {c: [None] * len(rows) for c in s.CHOICES_SCHEMA}
    named = {s.DATASET: ["d"] * len(rows), s.SOURCE_FILE: ["choices.csv"] * len(rows)}
    return pl.DataFrame(none | named | ids | columns, schema=s.CHOICES_SCHEMA)


def told(rows: list[Row], **columns: list[Any]) -> ChoiceStatistics:
    found = summarise(table(rows, **columns))
    assert found is not None
    return found


def winner(row: Row) -> str | None:
    _, a, b, choice = row
    return {s.CHOSE_A: a, s.CHOSE_B: b}.get(choice)


def same_answers(rows: list[Row], *, one_person: bool) -> tuple[int, int]:
    """Return how many pairs of answers to one pair of pictures there are, and how many agree."""
    compared = [
        winner(p) == winner(q)
        for p, q in combinations(rows, 2)
        if {*p[1:3]} == {*q[1:3]} and (p[0] == q[0]) == one_person
    ]
    return len(compared), sum(compared)


def triads_of(rows: list[Row]) -> tuple[int, int]:
    """Return one person's closed and circular triads."""
    net: Counter[tuple[str, str]] = Counter()
    for row in rows:
        x, y = sorted(row[1:3])
        net[x, y] += {x: 1, y: -1, None: 0}[winner(row)]
    beats = {pair if n > 0 else pair[::-1] for pair, n in net.items() if n}
    closed = circular = 0
    for three in combinations(PICTURES, 3):
        wins = [p for p in beats if {*p} <= {*three}]
        closed += len(wins) == 3
        circular += len(wins) == 3 and len({w for w, _ in wins}) == 3
    return closed, circular


pairs = st.permutations(PICTURES).map(lambda p: (p[0], p[1]))
choices = st.lists(
    st.tuples(st.sampled_from("uvw"), pairs, st.sampled_from(list(s.OUTCOMES))).map(
        lambda r: (r[0], *r[1], r[2])
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(choices)
def test_counts_are_those_of_the_definitions(rows: list[Row]) -> None:
    found = told(rows)
    decided = [row for row in rows if row[3] != s.TIE]
    assert found.rows == len(rows)
    assert found.pairs == len({frozenset(row[1:3]) for row in rows})
    assert found.ties.value == pytest.approx(1 - len(decided) / len(rows))
    first = [row[3] == s.CHOSE_A for row in decided]
    assert found.first_named.value == (pytest.approx(np.mean(first)) if first else None)
    for row in found.users.iter_rows(named=True):
        own = [r for r in rows if r[0] == row[s.USER]]
        assert (row["n"], row["decided"]) == (len(own), sum(r[3] != s.TIE for r in own))
        assert (row["closed"], row["circular"]) == triads_of(own)
    rates = dict(zip(found.images[s.IMAGE], win_rates(found.images), strict=True))
    for image, rate in rates.items():
        own = [r for r in rows if image in r[1:3]]
        points = sum({image: 1.0, None: 0.5}.get(winner(r), 0.0) for r in own)
        assert rate == pytest.approx(points / len(own))
    within, between = found.repeats.within.value, found.repeats.between.value
    for value, one_person in ((within, True), (between, False)):
        n, same = same_answers(rows, one_person=one_person)
        assert value == (pytest.approx(same / n) if n else None)


def test_triads_are_counted_the_same_in_any_number_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    rows = [("u", f"i{a}", f"i{b}", rng.choice(["a", "b"])) for a in range(9) for b in range(a)]
    whole = told(rows).users.row(0, named=True)
    assert whole["closed"] == 84  # every three of nine
    monkeypatch.setattr(consistency, "STEPS_AT_ONCE", 70)
    assert told(rows).users.row(0, named=True) == whole


def test_the_coefficient_of_consistency_is_1_without_circles_and_0_by_chance() -> None:
    ordered = [("u", a, b, s.CHOSE_A) for a, b in combinations(PICTURES, 2)]
    circular = told(ordered).triads.circular.value
    assert circular == 0
    assert coefficient(circular) == 1
    rng = np.random.default_rng(0)
    coins = [
        (f"u{k}", a, b, rng.choice(["a", "b"]))
        for k in range(200)
        for a, b in combinations(PICTURES, 2)
    ]
    found = told(coins).triads.circular
    assert found.value is not None
    assert abs(coefficient(found.value)) < 0.1
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.ci_low < 0.25 < found.ci_high


def test_answers_by_chance_agree_as_often_as_said() -> None:
    rng = np.random.default_rng(1)
    said = rng.choice(["a", "b", "tie"], 3000, p=[0.4, 0.4, 0.2])
    found = told([(f"u{k}", "p", "q", answer) for k, answer in enumerate(said)]).repeats
    assert found.chance == pytest.approx(0.2**2 + 0.8**2 / 2, abs=0.02)
    assert found.between.value == pytest.approx(found.chance, abs=0.02)
    assert found.within.value is None
    assert found.asked_again == 0


def test_the_position_bias_is_told_over_the_places_of_a_session() -> None:
    places = np.tile(np.arange(40), 30)
    rows = [(f"u{k // 40}", "p", "q", s.CHOSE_A if place >= 20 else s.CHOSE_B)
            for k, place in enumerate(places)]  # fmt: skip
    by_position = told(rows, **{s.POSITION: (100 + 3 * places).tolist()}).stretches
    assert by_position["n"].sum() == len(rows)
    assert by_position["start"].to_list() == [0, *(by_position["end"] + 1)[:-1]]
    late = by_position["start"] >= 20
    assert by_position["first"].to_list() == late.cast(pl.Float64).to_list()
    times = [START + timedelta(minutes=int(place)) for place in places]
    assert told(rows, **{s.CHOSEN_AT: times}).stretches.equals(by_position)
    assert told(rows).stretches.is_empty()
    some: list[Any] = [None, *(places[1:].tolist())]  # nobody knows where u0's choices stand
    assert told(rows, **{s.POSITION: some}).ordered == len(rows) - 40


def test_many_units_are_resampled_in_groups_with_the_same_spread() -> None:
    rng = np.random.default_rng(2)
    top = rng.integers(0, 2, 3 * UNITS).astype(float)
    (found,) = shares(top, np.ones_like(top))
    assert found.value == pytest.approx(top.mean())
    assert found.n == len(top)
    assert found.ci_low is not None
    assert found.ci_high is not None
    width = 2 * 1.96 * np.sqrt(0.25 / len(top))
    assert found.ci_high - found.ci_low == pytest.approx(width, rel=0.15)


def test_no_choices_say_nothing() -> None:
    assert summarise(pl.DataFrame(schema=s.CHOICES_SCHEMA)) is None
