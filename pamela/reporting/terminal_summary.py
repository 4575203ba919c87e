"""The short tables printed at the end of ``make repro``: models by users and margins, and Elo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from pamela.core import schema as s
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.evaluation.choices.metrics import CHOICE_ACCURACY
from pamela.evaluation.comparators.population_user_mean import POPULATION_USER_MEAN
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.intervals import POOLED, USER
from pamela.evaluation.metrics.schema import (
    KNOWN_PICTURES,
    MODEL,
    NEW_PICTURES,
    PICTURES,
    POPULATION,
    SEEN,
    SHOTS,
    UNSEEN,
)
from pamela.params import load_params
from pamela.registry.tracking.run_metrics import elo_by_arm
from pamela.reporting.presentation.terminal import PlainConsole, PlainTable

NARROW = 72  # terminal columns below which the table drops margins
MODEL_WIDTH = 19
MISSING = "-"


def summary_table(
    evaluation: pl.DataFrame,
    *,
    dataset: str,
    margin_groups: Sequence[Sequence[float]],
    shots: int = 0,
    width: int = 80,
) -> Table:
    """Return model x seen/unseen x (SROCC, pairwise accuracy by margin), mean over users.

    Parameters
    ----------
    evaluation : ``reports/evaluation.parquet``.
    margin_groups : margins that coincide on this rating scale share a column
        (`pamela.evaluation.metrics.definitions.coinciding_margins`).
    shots : ratings shown of unseen users.
    width : columns of the terminal; below `NARROW` every other margin is dropped.
    """
    groups = [list(group) for group in margin_groups]
    if width < NARROW and len(groups) > 4:
        groups = groups[::2]
    rows = evaluation.filter(
        (pl.col(s.DATASET) == dataset)
        & (pl.col(PICTURES) == NEW_PICTURES)
        & (pl.col("aggregation") == USER)
        & pl.col("metric").is_in([m.SROCC, m.PAIRWISE_ACCURACY])
        & (pl.col(SHOTS).is_null() | (pl.col(SHOTS) == shots))
    )
    value = {
        row[:4]: row[4]
        for row in rows.select(MODEL, POPULATION, "metric", "margin", "value").iter_rows()
    }
    table = PlainTable(
        title=f"{dataset}: mean over users (unseen at {shots} shots)",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    table.add_column("model", max_width=MODEL_WIDTH, overflow="ellipsis", no_wrap=True)
    table.add_column("users", no_wrap=True)
    table.add_column("SROCC", justify="right", no_wrap=True)
    for group in groups:
        table.add_column(_margin_header(group), justify="right", no_wrap=True)
    # its order is `population`'s: only its level differs, which these columns do not show
    for model in rows.filter(pl.col(MODEL) != POPULATION_USER_MEAN)[MODEL].unique(
        maintain_order=True
    ):
        for population in (SEEN, UNSEEN):
            numbers = [value.get((model, population, m.SROCC, None))]
            numbers += [
                value.get((model, population, m.PAIRWISE_ACCURACY, group[0])) for group in groups
            ]
            table.add_row(
                model if population == SEEN else "",
                population,
                *(MISSING if x is None else f"{x:.3f}" for x in numbers),
            )
    table.caption = "@m: pairwise accuracy at margin m of a 1..5 scale"
    table.caption_justify = "left"
    return table


def choice_summary_table(evaluation: pl.DataFrame, *, dataset: str) -> Table | None:
    """Return model x place of the accuracy of choices; None where nobody chose.

    Parameters
    ----------
    evaluation : ``reports/evaluation.parquet``.
    """
    rows = evaluation.filter(
        pl.col(SHOTS).is_null() | (pl.col(SHOTS) == 0),
        pl.col("n_users") > 0,
        dataset=dataset,
        aggregation=POOLED,
        metric=CHOICE_ACCURACY,
    )
    if rows.is_empty():
        return None
    value = {row[:3]: row[3] for row in rows.select(MODEL, PICTURES, POPULATION, "value").rows()}
    table = PlainTable(
        title=f"{dataset}: choices foreseen, all in one pool (unseen at 0 shots)",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    table.add_column("model", max_width=MODEL_WIDTH, overflow="ellipsis", no_wrap=True)
    places = [(NEW_PICTURES, SEEN), (NEW_PICTURES, UNSEEN), (KNOWN_PICTURES, UNSEEN)]
    for pictures, population in places:
        table.add_column(f"{population}, {pictures}", justify="right", no_wrap=True)
    for model in rows[MODEL].unique(maintain_order=True):
        cells = [value.get((model, *place)) for place in places]
        table.add_row(model, *(MISSING if x is None else f"{x:.3f}" for x in cells))
    return table


def _margin_header(group: Sequence[float]) -> str:
    low, high = f"{group[0]:g}", f"{group[-1]:g}"
    return f"@{low}" if low == high else f"@{low}-{high}"


def elo_table(steering: Mapping[str, Any]) -> Table | None:
    """Return arm, Elo with its interval, and how often `self` wins; None if steering was skipped.

    Parameters
    ----------
    steering : ``metrics/steering.json``.
    """
    elo = elo_by_arm(steering)
    if not elo:
        return None
    table = PlainTable(
        title=f"Steering: {int(steering['n_judgments'])} judgments by the simulated users",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    table.add_column("arm", no_wrap=True)
    for header in ("Elo", "95 %", "self wins", "95 %"):
        table.add_column(header, justify="right", no_wrap=True)
    for arm in sorted(elo, key=lambda arm: -elo[arm]):
        table.add_row(
            arm,
            f"{elo[arm]:.0f}",
            _interval(steering, f"elo_{arm}", ".0f"),
            _number(steering, f"win_self_{arm}", ".3f"),
            _interval(steering, f"win_self_{arm}", ".3f"),
        )
    return table


def _number(values: Mapping[str, Any], key: str, form: str) -> str:
    found = values.get(key)
    return MISSING if found is None else format(found, form)


def _interval(values: Mapping[str, Any], key: str, form: str) -> str:
    low, high = values.get(f"{key}_ci_low"), values.get(f"{key}_ci_high")
    return MISSING if low is None or high is None else f"{low:{form}} to {high:{form}}"


def print_summary(project: Project, console: Console | None = None) -> None:
    """Print the tables of the last run, one block per dataset."""
    console = console or PlainConsole()
    params = load_params(project.params_file)
    evaluation = read_parquet(project.reports / "evaluation.parquet")
    ratings = read_parquet(
        project.reports / "predictions.parquet", columns=[s.DATASET, s.RATING, PICTURES]
    )
    ratings = ratings.filter(pl.col(PICTURES) == NEW_PICTURES).unique()
    for dataset in params.ingest.datasets:
        seen = ratings.filter(pl.col(s.DATASET) == dataset)[s.RATING].to_numpy()
        groups = m.coinciding_margins(seen, params.evaluate.margins)
        if len(seen):
            console.print(
                summary_table(
                    evaluation, dataset=dataset, margin_groups=groups, width=console.width
                )
            )
        of_choices = choice_summary_table(evaluation, dataset=dataset)
        if of_choices is not None:
            console.print(of_choices)
    elo = elo_table(read_json(project.metrics / "steering.json"))
    console.print(elo if elo is not None else "Steering: skipped; the report says why.")
