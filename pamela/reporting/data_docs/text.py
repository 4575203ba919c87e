"""The data docs in words and tables, as plain text: the template lays them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.paths import Project
from pamela.reporting.data_docs.choices import text as choice_text
from pamela.reporting.data_docs.describe import TABLES, DatasetDocs
from pamela.reporting.data_docs.statistics import Demographic
from pamela.reporting.presentation.html import DASH, Cell, Table

COUNTS_CAPTION: Final = (
    "Rows that broke no rule. Left: share of the ratings, on the dataset's own scale. Middle and "
    "right: how many users and images have how many ratings; the dashed line is the median."
)
RATERS_CAPTION: Final = (
    "Left: each user with at least two ratings, by the level of the ratings (mean) and the use of "
    "the scale (standard deviation); at the bottom are those who give one value alone. Right: how "
    "much of a user's ratings is the most frequent value."
)


def validation_sentence(report: dict[str, Any]) -> str:
    """Return whether the data passed, in a sentence."""
    bound = report["max_quarantined_share"]
    shares = {
        name: max(entry["share"], entry["choices"]["share"])
        for name, entry in report["datasets"].items()
    }
    worst = [f"{name} {share:.2%}" for name, share in shares.items() if share > bound]
    if worst:
        return (
            f"Stopped: more than {bound:.2%} of the ratings, or choices, break a rule "
            f"({', '.join(worst)}). Mend the dataset, or raise validate.max_quarantined_share in "
            "params.yaml."
        )
    if not report["passed"]:
        return "Stopped: see the expectations below."
    return f"Passed: at most {bound:.2%} of a dataset's ratings, or choices, may break a rule."


def lead(docs: DatasetDocs) -> str:
    """Return the dataset in a sentence, or in one on ratings and one on choices."""
    if docs.choices is None:
        return _lead_on_ratings(docs)
    on_choices = choice_text.lead(docs.choices)
    return f"{_lead_on_ratings(docs)} {on_choices}" if docs.statistics.rows else on_choices


def _lead_on_ratings(docs: DatasetDocs) -> str:
    low, high = docs.statistics.scale
    if not docs.statistics.rows:
        return "No rating is left after quarantine, so there is nothing to describe."
    values = docs.statistics.values
    return (
        f"{docs.statistics.rows:,} ratings on {low:g} to {high:g} by {docs.raters.height:,} users "
        f"of {docs.statistics.images.height:,} images; mean {values.mean:.2f}, standard deviation "
        f"{values.sd:.2f}."
    )


def facts(docs: DatasetDocs) -> dict[str, str]:
    """Return what holds of the whole dataset."""
    return {
        "pictures": "shipped, so each must decode" if docs.meta["has_images"] else "not shipped",
        "splits": "the dataset's own" if docs.meta["own_splits"] else "none; folds are made",
        "odd": "; ".join(docs.checked.get("remarks", [])) or "nothing about the whole",
    }


def rating_facts(docs: DatasetDocs) -> dict[str, str]:
    """Return the counts of the ratings that are no distribution; none where only choices are."""
    statistics, checked = docs.statistics, docs.checked
    if docs.choices is not None and not checked["rows_in"]:
        return {}
    raters, rated = docs.raters.height, statistics.images.height
    cells = max(raters * rated, 1)
    again = docs.retest.more if docs.retest else 0
    return {
        "rows in, kept, quarantined": f"{checked['rows_in']:,}, {checked['rows_kept']:,}, "
        f"{checked['rows_quarantined']:,} ({checked['share']:.2%})",
        "users": f"{raters:,} with ratings, {docs.users - raters:,} without",
        "images": f"{rated:,} with ratings, {docs.images - rated:,} without",
        "user-image pairs rated": f"{(statistics.rows - again) / cells:.2%} of all",
        **(
            {"repeats": f"{again:,} ratings of a picture that the person had rated before"}
            if again
            else {}
        ),
        "times": _times(docs),
        "order": _order(docs),
    }


def _times(docs: DatasetDocs) -> str:
    found = docs.statistics
    if not found.timed or found.first is None or found.last is None:
        return "none is known"
    known = "every rating" if found.timed == found.rows else f"{found.timed / found.rows:.1%}"
    days = f"{found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}"
    return f"{known} has one, {days}" if found.timed == found.rows else f"known of {known}, {days}"


def _order(docs: DatasetDocs) -> str:
    known = docs.raters["longest_run"].count()
    if not known:
        return "no user's order is known: neither times nor positions"
    return f"known of {known:,} of {docs.raters.height:,} users"


# --- checks ---------------------------------------------------------------------------------------


def expectations_table(docs: DatasetDocs) -> Table:
    """Return what every expectation said, with the first rows that broke it."""
    rows: list[list[Cell]] = []
    strong: set[int] = set()
    for record in docs.checked["expectations"]:
        found = docs.examples.get((record["table"], record["rule"]), [])
        if record["failed"] or not record["success"]:
            strong.add(len(rows))
        rows.append(
            [
                Cell(record["table"]),
                Cell(record["rule"], record["says"]),
                Cell("stops" if record["severity"] == "structural" else "quarantine"),
                Cell("ok" if record["success"] else f"{record['failed']:,} rows"),
                *([Cell(_places(found))] if docs.examples else []),
            ]
        )
    columns = ["table", "rule: a row breaks it if", "then", "outcome"]
    return Table(
        title="Expectations",
        columns=[*columns, "first rows"] if docs.examples else columns,
        rows=rows,
        caption=(
            "Great Expectations, from expectations/. A row that breaks several rules counts under "
            "each here, and once, under the first, in the quarantine."
        ),
        strong=strong,
    )


def _places(rows: list[dict[str, Any]]) -> str:
    """Return ``file: 3, 7, 12`` for rows of one file, several of them by semicolons."""
    files: dict[str, list[str]] = {}
    for row in rows:
        files.setdefault(row[s.SOURCE_FILE] or "?", []).append(str(row[s.SOURCE_ROW]))
    return "; ".join(f"{file}: {', '.join(found)}" for file, found in files.items())


def quarantine_table(project: Project, docs: DatasetDocs) -> Table | None:
    """Return the quarantined rows by rule with examples, or None where there are none."""
    rows = []
    for table in TABLES:
        entry = docs.checked if table == "ratings" else docs.checked[table]
        for rule, n in entry["quarantined"].items():
            shown = docs.examples.get((table, rule), [])
            rows.append(
                [
                    Cell(table),
                    Cell(rule),
                    Cell(f"{n:,}", f"{n / max(entry['rows_in'], 1):.2%}"),
                    Cell("; ".join(_example(row) for row in shown) or DASH),
                ]
            )
    if not rows:
        return None
    folder = project.relative(project.quarantine / docs.name)
    return Table(
        title="Quarantine",
        columns=["table", "rule", "rows", "the first of them"],
        rows=rows,
        caption=(
            f"The rows lie in {folder}/ (ratings.parquet, choices.parquet, images.parquet) with "
            f'rule, file and row: polars.read_parquet("{folder}/ratings.parquet").'
        ),
    )


def _example(row: dict[str, Any]) -> str:
    named = (s.USER, s.IMAGE, s.IMAGE_A, s.IMAGE_B, s.CHOICE)
    words = [str(row[key]) for key in named if row.get(key) is not None]
    if s.RATING in row:
        words.append(DASH if row[s.RATING] is None else f"{row[s.RATING]:g}")
    elif row.get(s.FILE):
        words.append(row[s.FILE])
    return f"row {row[s.SOURCE_ROW]} ({', '.join(words)})"


# --- distributions --------------------------------------------------------------------------------


def per_table(docs: DatasetDocs) -> Table | None:
    """Return how many ratings a user and an image have."""
    if not docs.statistics.rows:
        return None
    return counts_table("ratings", docs.raters["n"], docs.statistics.images["n"])


def counts_table(of: str, users: pl.Series, images: pl.Series) -> Table:
    """Return how many `of` (ratings or choices) a user and an image have."""
    rows = []
    for what, counts in (("user", users), ("image", images)):
        spread = [counts.min(), counts.quantile(0.25), counts.median(), counts.quantile(0.75),
                  counts.max()]  # fmt: skip
        cells = [f"{value:,.0f}" for value in spread if isinstance(value, int | float)]
        once = int((counts == 1).sum())
        rows.append([Cell(f"per {what}"), *map(Cell, cells), Cell(f"{once:,}")])
    return Table(
        title=f"{of.capitalize()} per user and per image",
        columns=[of, "min", "lower quarter", "median", "upper quarter", "max", "with one"],
        rows=rows,
    )


@dataclass(frozen=True)
class Bar:
    """One category: its share of the users, for people and as a width in percent."""

    name: str
    share: str
    width: float
    muted: bool = False


@dataclass(frozen=True)
class Card:
    """One demographic as bars."""

    name: str
    bars: list[Bar]


def demographic_card(found: Demographic) -> Card:
    """Return the shares of a demographic's categories, of the others together, and the missing."""

    def bar(name: str, n: int, *, muted: bool = False) -> Bar:
        share = n / max(found.users, 1)
        return Bar(name, f"{share:.1%}", round(100 * share, 2), muted)

    bars = [bar(name, n) for name, n in found.categories]
    further, n = found.others
    if further:
        bars.append(bar(f"{further} others", n, muted=True))
    return Card(found.name, [*bars, bar("missing", found.missing, muted=True)])
