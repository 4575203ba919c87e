"""The flagged raters in words and as a table, as plain text: the template lays them out."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.params import ValidateParams
from pamela.reporting.data_docs.describe import DatasetDocs
from pamela.reporting.data_docs.raters import SPEEDER, STRAIGHT
from pamela.reporting.presentation.html import DASH, Cell, Table

SHOWN: Final = 25  # flagged raters in the table; all are in reports/validation.json, up to 100


def flag_sentences(docs: DatasetDocs, params: ValidateParams, flags: dict[str, Any]) -> list[str]:
    """Return how many raters are flagged, by which rule, and what could not be judged."""
    straight, quick = flags["straight_liners"]["n"], flags["speeders"]["n"]
    lines = [
        f"{straight:,} of {flags['judged']:,} users with at least {params.flag_min_ratings} "
        f"ratings are straight-liners: {_straight(docs, params, flags)}"
    ]
    if flags["judged_by_time"]:
        lines.append(
            f"{quick:,} of {flags['judged_by_time']:,} users whose times tell it are speeders: "
            f"a median of less than {params.speeder_seconds:g} s from one rating to the next."
        )
    elif docs.statistics.timed:
        lines.append(
            "Speed cannot be computed: the times are days without a time of day, are all the same "
            "for a user, or are known of too few ratings."
        )
    else:
        lines.append("Speed cannot be computed: the dataset has no times.")
    return [*lines, "Flagged raters stay in the data; leave them out at the source if you want to."]


def _straight(docs: DatasetDocs, params: ValidateParams, flags: dict[str, Any]) -> str:
    if docs.statistics.values.two_values:
        return "one and the same of the two values, always."
    known = flags["judged_by_order"]
    return (
        f"one value in at least {params.straight_line_share:.0%} of the ratings, or "
        f"{params.flag_min_ratings} times in a row"
        + ("." if known == flags["judged"] else f" (the order is known of {known:,}).")
    )


def flagged_table(docs: DatasetDocs) -> Table | None:
    """Return the flagged raters, those with most ratings first, or None where there are none."""
    flagged = docs.raters.filter(pl.col(STRAIGHT) | pl.col(SPEEDER))
    if not flagged.height:
        return None
    shown = flagged.sort(["n", s.USER], descending=[True, False])[:SHOWN]
    rest = flagged.height - shown.height
    return Table(
        title="Flagged raters",
        columns=["user", "why", "ratings", "mean", "sd", "one value", "longest run", "seconds"],
        rows=[_rater_row(row) for row in shown.iter_rows(named=True)],
        caption=(
            "One value: the most frequent rating and its share. Longest run: equal ratings in a "
            "row. Seconds: median from one rating to the next."
            + (f" {rest:,} more are not shown." if rest else "")
        ),
    )


def _rater_row(row: dict[str, Any]) -> list[Cell]:
    why = [name for flag, name in ((STRAIGHT, "straight line"), (SPEEDER, "speed")) if row[flag]]
    run, pace = row["longest_run"], row["median_seconds"]
    return [
        Cell(row[s.USER]),
        Cell(", ".join(why)),
        Cell(f"{row['n']:,}"),
        Cell(f"{row['mean']:.2f}"),
        Cell(f"{row['sd']:.2f}"),
        Cell(f"{row['top_value']:g}", f"{row['top_n'] / row['n']:.0%}"),
        Cell(DASH if run is None else f"{run:,}"),
        Cell(DASH if pace is None else f"{pace:.2f}"),
    ]
