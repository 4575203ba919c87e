"""The report's sections on kinds of pictures, and on whether the deviations are right."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from pamela.evaluation.comparisons import BASELINE, LEVELS, trained
from pamela.evaluation.metrics.definitions import COVERAGE_90, PAIRWISE_ACCURACY
from pamela.evaluation.metrics.image_slices import COLUMN, FIRST_SLICES, LEVEL, MAX_LEVELS
from pamela.evaluation.metrics.schema import POPULATION, SEEN, SHOTS
from pamela.evaluation.observers import IDEAL_OBSERVER
from pamela.evaluation.results import Results, headline_rows, personal_models
from pamela.reporting.presentation.html import Cell, Picture, Section, Table, number_cell
from pamela.reporting.sections.personalisation import rows_by_key
from pamela.reporting.tables import users_name

FEWEST_PAIRS: Final = 30  # a share of fewer says nothing


def slices_section(results: Results, dataset: str) -> Section | None:
    """Return accuracy by type, group and style of the pictures, every model."""
    rows = results.slices.filter(
        pl.col("n_pairs") >= FEWEST_PAIRS, dataset=dataset, metric=PAIRWISE_ACCURACY
    )
    columns = rows[COLUMN].unique(maintain_order=True).to_list()
    if not columns:
        return None
    tables = [_levels_table(results, dataset, rows.filter(column=c), c) for c in columns]
    return Section(
        "By kind of picture",
        _slices_text(results, rows),
        tables[0],
        folded=tables[1:],
    )


def _levels_table(results: Results, dataset: str, rows: pl.DataFrame, column: str) -> Table:
    names = results.models(dataset)
    shown = [m for m in trained(names) if m not in LEVELS]
    shown += [IDEAL_OBSERVER] if IDEAL_OBSERVER in names else []
    found = rows_by_key(rows, LEVEL)
    levels = rows[LEVEL].unique().sort().to_list()
    table: list[list[Cell]] = []
    for level in levels:
        for where in FIRST_SLICES:
            cells = [found.get((m, PAIRWISE_ACCURACY, *where, level)) for m in shown]
            pairs = next((c["n_pairs"] for c in cells if c), 0)
            if not pairs:
                continue
            first = not table or all(row[0].text != level for row in table)
            table.append([Cell(level if first else ""), Cell(users_name(where)),
                          Cell(f"{pairs:,}"), *map(number_cell, cells)])  # fmt: skip
    return Table(
        title=f"By {column}",
        columns=[column, "users", "pairs", *shown],
        rows=table,
        caption=(
            "Pairwise accuracy, margin 0: of all pairs of pictures of one kind that one person "
            "rated differently, the share ordered rightly. Intervals resample users. "
            f"At most the {MAX_LEVELS} kinds with the most ratings. With fewer than "
            f"{FEWEST_PAIRS} pairs, and RMSE: in reports/slices.parquet."
        ),
    )


def _slices_text(results: Results, rows: pl.DataFrame) -> str:
    champion = results.params.train.champion
    seen = rows.filter((pl.col(POPULATION) == SEEN) & pl.col(SHOTS).is_null()).drop_nulls("value")
    keys = [COLUMN, LEVEL]
    both = seen.filter(model=champion).join(
        seen.filter(model=BASELINE).select(*keys, other="value"), on=keys
    )
    if not both.height:
        return "Accuracy within each kind of picture."
    lines = []
    for (column,), mine in both.group_by(COLUMN, maintain_order=True):
        above = mine.filter(pl.col("value") > pl.col("other")).height
        low = mine.sort("value").row(0, named=True)
        lines.append(
            f"in {above} of {mine.height} {'kinds' if mine.height != 1 else 'kind'} of {column} "
            f"(lowest: {low[LEVEL]}, {low['value']:.3f})"
        )
    return f"For seen users {champion} orders pairs better than {BASELINE} {'; '.join(lines)}."


def reliability_section(results: Results, dataset: str, picture: Picture | None) -> Section | None:
    """Return the coverage of the personal models, with the figure."""
    if picture is None:
        return None
    models = personal_models(results, dataset)
    rows = results.evaluation.filter(dataset=dataset)
    covered = headline_rows(rows, COVERAGE_90)
    champion = covered.filter(model=results.params.train.champion, population=SEEN).to_dicts()
    return Section("Are the predictive deviations right?", _covered(results, champion, models),
                   picture=picture)  # fmt: skip


def _covered(results: Results, champion: list[dict[str, Any]], models: list[str]) -> str:
    if not champion or champion[0]["value"] is None:
        return f"Coverage and error by predicted deviation of {', '.join(models)}."
    row = champion[0]
    text = (
        f"The 90 % interval of {results.params.train.champion} holds {row['value']:.1%} of seen "
        "users' ratings"
    )
    if row["ci_low"] is not None:
        text += f" ({row['ci_low']:.1%} to {row['ci_high']:.1%})"
    return text + "."
