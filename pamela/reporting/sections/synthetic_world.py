"""The report's tables of the embedded world: its calibration, and where the ideal was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pamela.core import schema as s
from pamela.evaluation.comparisons import trained
from pamela.evaluation.metrics.definitions import CONFLICT_SIDE, PAIRWISE_ACCURACY, PLCC, SROCC
from pamela.evaluation.metrics.intervals import IMAGE, POOLED, USER
from pamela.evaluation.metrics.schema import SEEN, UNSEEN, WORLD
from pamela.evaluation.observers import FEATURE_OBSERVER, IDEAL_OBSERVER, IDEAL_POPULATION
from pamela.evaluation.results import POPULATIONS, Results, as_published, headline_rows
from pamela.reporting import paper_figures
from pamela.reporting import synthetic_calibration as cal
from pamela.reporting.admirers import count_admirers
from pamela.reporting.sections.personalisation import rows_by_key
from pamela.reporting.tables import Cell, Table, Where, number_cell, users_name
from pamela.synthetic.design import PART_ROWS
from pamela.synthetic.published_facts import (
    ADMIRED,
    ADMIRED_ABOVE_OWN,
    ELIGIBLE_FROM,
    GROUP_ADMIRERS,
    STYLE_ADMIRERS,
    STYLE_ELIGIBLE,
    STYLES_ELIGIBLE,
)

PAPER = "paper"
LEVELS = ("global_mean", "user_mean", "group_mean")  # see no picture: no question of the encoder
SIZED = 0.02  # a world with as many ratings as the release, within this share, is held to its facts


# --- calibration ----------------------------------------------------------------------------------
def calibration_table(results: Results) -> Table | None:
    """Return the world's facts beside the release's; None where no world was rated in parts."""
    rated = _rated(results)
    if rated is None:
        return None
    total = sum(PART_ROWS.values())
    sized = abs(rated.height / total - 1) < SIZED
    facts = [*cal.rating_facts(rated), *_correlations(results)]
    return Table(
        title="The embedded world beside the release",
        columns=["", "published", "here", "wanted", ""],
        rows=[_fact(fact, sized) for fact in facts],
        caption=(
            "Simulated people, set up to behave like the release's. ✓ within what is wanted, ✗ "
            "not. "
            + ("" if sized else "This world is not of the release's size: nothing is judged. ")
            + "What has no published figure is our own choice (docs/synthetic.md). Unseen users "
            "are asked about all they rated, as in the paper; the evaluation's own tables ask the "
            "rows that remain beside the shots. Accuracy and "
            "conflict pairs follow from the correlations; the paper's rule for ties is not known."
        ),
    )


def admirers_table(results: Results) -> Table | None:
    """Return who can and does admire each group and style, beside the release; None as above."""
    rated = _rated(results)
    if rated is None:
        return None
    train = rated.filter(pl.col(s.PART) == s.TRAIN)
    least, most = STYLE_ELIGIBLE
    groups = {name: (str(people), count) for name, (people, count) in GROUP_ADMIRERS.items()}
    styles = {name: (f"{least} to {most}", count) for name, count in STYLE_ADMIRERS.items()}
    of_groups = sum(people for people, _ in GROUP_ADMIRERS.values())
    return Table(
        title="Who admires what",
        columns=["", "can, published", "can, here", "admire, published", "admire, here"],
        rows=[*_admirer_rows(train, s.GROUP, groups, of_groups),
              *_admirer_rows(train, s.STYLE, styles, STYLES_ELIGIBLE)],
        caption=(
            "People of the training part. Who can admire a group or style has at least "
            f"{ELIGIBLE_FROM} ratings in it; who does gives it {ADMIRED:g} or more on average, and "
            f"{ADMIRED_ABOVE_OWN:g} more than everything they rated. Set after the release are the "
            "mix of raters and the totals; single groups and styles are as they come."
        ),
        strong={0, 1 + len(groups)},
    )  # fmt: skip


def _admirer_rows(
    train: pl.DataFrame, by: str, published: Mapping[str, tuple[str, int]], eligible: int
) -> list[list[Cell]]:
    """Return the total of all groups or styles, and a row for each."""
    counted = {name: counts for name, *counts in count_admirers(train, by).iter_rows()}
    can, does = (sum(counts[i] for counts in counted.values()) for i in (0, 1))
    total = [f"all {by}s", f"{eligible:,}", f"{can:,}",
             str(sum(count for _, count in published.values())), str(does)]  # fmt: skip
    rows = [total]
    for name, (people, count) in published.items():
        here_can, here_does = counted.get(name, (0, 0))
        rows.append([name, people, str(here_can), str(count), str(here_does)])
    return [[Cell(text) for text in row] for row in rows]


def _rated(results: Results) -> pl.DataFrame | None:
    """Return the release's ratings with what is known of picture and person."""
    if WORLD not in results.datasets:
        return None
    validated = results.project.validated
    ratings, images, users = (
        pl.read_parquet(validated / f"{name}.parquet", glob=False).filter(
            pl.col(s.DATASET) == WORLD
        )
        for name in ("ratings", "images", "users")
    )
    rows = ratings.filter(pl.col(s.SPLIT).is_in(list(PART_ROWS)))
    if s.TRAIN not in rows[s.SPLIT] or not set(cal.DEMOGRAPHICS) <= set(users.columns):
        return None
    return (
        rows.select(s.USER, s.IMAGE, s.RATING, pl.col(s.SPLIT).alias(s.PART))
        .join(images.select(s.IMAGE, s.TYPE, s.GROUP, s.STYLE), on=s.IMAGE, how="left")
        .join(users.select(s.USER, *cal.DEMOGRAPHICS), on=s.USER, how="left")
    )


def _correlations(results: Results) -> list[cal.Fact]:
    asked = results.evaluation.filter(dataset=WORLD, model=PAPER)
    rows = as_published(asked)
    values = {
        metric: {
            r["population"]: r["value"]
            for r in headline_rows(rows, metric).drop_nulls("value").to_dicts()
        }
        for metric in (SROCC, PLCC)
    }
    if any(set(found) != set(POPULATIONS) for found in values.values()):
        return []
    more = {
        f"paper model, {name} ({said} in the paper)": value
        for name, said, metric, aggregation, population in (
            ("accuracy of unseen users", paper_figures.HELD_OUT_USERS[0].pairwise_accuracy,
             PAIRWISE_ACCURACY, USER, UNSEEN),
            ("PLCC with image means", paper_figures.AGAINST_IMAGE_MEANS["plcc"], PLCC, IMAGE,
             UNSEEN),
            ("conflict pairs of seen users", paper_figures.CONFLICT_SIDE[SEEN], CONFLICT_SIDE,
             POOLED, SEEN),
            ("conflict pairs of unseen users", paper_figures.CONFLICT_SIDE[UNSEEN], CONFLICT_SIDE,
             POOLED, UNSEEN),
        )
        if (value := _value(rows, metric, aggregation, population)) is not None
    }  # fmt: skip
    query = f"{results.params.evaluate.query_size} rows each"
    more |= {
        f"paper model, {metric.upper()} of unseen users, {query}": value
        for metric in (SROCC, PLCC)
        if (value := _value(asked, metric, USER, UNSEEN)) is not None
    }
    return cal.correlation_facts(values[SROCC], values[PLCC], more=more)


def _value(rows: pl.DataFrame, metric: str, aggregation: str, population: str) -> float | None:
    found = headline_rows(rows, metric, margin=0.0, aggregation=aggregation)
    values = found.filter(population=population)["value"].to_list()
    return values[0] if values else None


def _fact(fact: cal.Fact, sized: bool) -> list[Cell]:
    form = f",.{fact.digits}f"
    ends = [format(end, form) for end in (fact.low, fact.high) if end is not None]
    wanted = " to ".join(ends) if len(ends) == 2 else f"at most {ends[0]}" if ends else ""
    mark = ("✓" if fact.holds else "✗") if sized and fact.wanted else ""
    return [Cell(fact.name), Cell(fact.published), Cell(format(fact.here, form)), Cell(wanted),
            Cell(mark)]  # fmt: skip


# --- what was lost where --------------------------------------------------------------------------
def ideal_table(results: Results, dataset: str) -> Table | None:
    """Return, per model, what the encoder and what the model lost of the ideal observer's SROCC."""
    rows = results.evaluation.filter(dataset=dataset, aggregation=USER)
    if IDEAL_OBSERVER not in rows["model"].unique():
        return None
    found = rows_by_key(rows.filter(metric=SROCC))
    gaps = {
        (r["model"], r["baseline"], r["population"], r["shots"]): r
        for r in results.differences.filter(dataset=dataset, metric=SROCC).to_dicts()
    }
    slices = _slices(found)
    observers = [
        [Cell(name), *(number_cell(found.get((name, SROCC, *where))) for where in slices)]
        for name in (IDEAL_OBSERVER, FEATURE_OBSERVER, IDEAL_POPULATION)
    ]
    lost = [[Cell("lost by the encoder"), *(
        number_cell(_turned(gaps.get((FEATURE_OBSERVER, IDEAL_OBSERVER, *where))), "+.3f")
        for where in slices
    )]]  # fmt: skip
    names = [name for name in trained(results.models(dataset)) if name not in LEVELS]
    for name in names:
        if any((name, FEATURE_OBSERVER, *where) in gaps for where in slices):
            lost.append([Cell(f"lost by {name}"), *(
                number_cell(_turned(gaps.get((name, FEATURE_OBSERVER, *where))), "+.3f")
                for where in slices
            )])  # fmt: skip
    return Table(
        title="What could be known, and where it was lost",
        columns=["", *map(users_name, slices)],
        rows=[*observers, *lost],
        caption=(
            "SROCC, mean over users. ideal_observer: Bayesian on the true attributes and the "
            "world's priors, given the same rating rows as the models; feature_observer: the same, "
            "given only the best linear reconstruction of the attributes from the features; "
            "ideal_population: without users. Lost by the encoder: ideal minus feature observer; "
            "lost by a model: feature observer minus the model (below zero: the model found in the "
            "features what is not linear in them)."
        ),
        strong=set(range(len(observers))),
    )


def _slices(found: dict[tuple[Any, ...], Any]) -> list[Where]:
    """Return seen, and the numbers of shots of unseen users at which somebody is left."""
    shots = {
        key[3] for key, row in found.items()
        if key[2] == UNSEEN and row["value"] is not None
    }  # fmt: skip
    return [(SEEN, None), *((UNSEEN, k) for k in sorted(shots))]


def _turned(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a difference with its sign turned: what the first of the two lost."""
    if row is None or row["value"] is None:
        return row
    low, high = row["ci_low"], row["ci_high"]
    return row | {
        "value": -row["value"],
        "ci_low": None if high is None else -high,
        "ci_high": None if low is None else -low,
    }
