"""Who admires a category: the published rule, at its edges."""

from __future__ import annotations

import polars as pl

from pamela.core import schema as s
from pamela.reporting.admirers import count_admirers
from pamela.synthetic import published_facts as facts


def test_who_can_and_does_admire() -> None:
    rows = {
        "keen": [(4, "a"), (4, "a"), (4, "a"), (3, None)],  # .25 above the own mean of 3.75
        "mild": [(4, "a"), (4, "a"), (4, "a"), (4, "b"), (3, None)],  # .2 above 3.8: just so
        "level": [(4, "a"), (4, "a"), (4, "a"), (4, None)],
        "cool": [(3, "a"), (4, "a"), (4, "a"), (1, None)],  # below 4
        "rare": [(5, "a"), (5, "a"), (1, None)],  # two ratings
    }
    frame = pl.DataFrame(
        [(user, rating, style) for user, rated in rows.items() for rating, style in rated],
        schema=[s.USER, s.RATING, s.STYLE],
        orient="row",
    )
    assert count_admirers(frame, s.STYLE).rows() == [("a", 4, 2)]


def test_the_published_counts_add_up_to_the_published_totals() -> None:
    assert sum(people for people, _ in facts.GROUP_ADMIRERS.values()) == 1591
    assert sum(admirers for _, admirers in facts.GROUP_ADMIRERS.values()) == 119
    assert sum(facts.STYLE_ADMIRERS.values()) == 178
    assert set(facts.STYLE_ADMIRERS) == set(facts.STYLE_FACTS)
    assert set(facts.GROUP_ADMIRERS) == {group for _, group in facts.GROUP_FACTS}
    low, high = facts.STYLE_ELIGIBLE
    assert low <= facts.STYLES_ELIGIBLE / len(facts.STYLE_ADMIRERS) <= high
    assert sum(facts.RATERS.values()) - facts.RATERS_OF_BOTH == 156
