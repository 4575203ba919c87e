"""The report's section on demographic groups: whether all are served alike."""

from __future__ import annotations

from typing import Any, Final

from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.image_slices import COLUMN, LEVEL
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SHOTS
from pamela.evaluation.metrics.subgroup_gaps import MIN_GROUP_USERS
from pamela.evaluation.results import Results
from pamela.reporting.presentation.html import DASH, Cell, Section, Table, number_cell
from pamela.reporting.sections.personalisation import rows_by_key
from pamela.reporting.tables import users_name

SIGNIFICANT: Final = 0.05
BEYOND: Final = "beyond chance"


def gaps_section(results: Results, dataset: str) -> Section | None:
    """Return the gap between the best and the worst served group of each demographic."""
    gaps = results.gaps.filter(dataset=dataset)
    if not gaps.height:
        return None
    found = rows_by_key(gaps, COLUMN)
    order = gaps.select(COLUMN, POPULATION, SHOTS, MODEL).unique(maintain_order=True)
    champion = results.params.train.champion
    rows: list[list[Cell]] = []
    strong: set[int] = set()
    for column, population, shots, model in order.iter_rows():
        srocc, accuracy = (
            found.get((model, metric, population, shots, column))
            for metric in (SROCC, PAIRWISE_ACCURACY)
        )
        if srocc is None:
            continue
        if model == champion:
            strong.add(len(rows))
        rows.append(
            [
                Cell(column.replace("_", " ")),
                Cell(users_name((population, shots))),
                Cell(model),
                Cell(srocc["best"], f"{srocc['worst']} is the worst of {srocc['n_groups']}"),
                number_cell(srocc),
                Cell(f"{srocc['by_chance']:.3f}", f"95 % below {srocc['by_chance_95']:.3f}"),
                _told(srocc),
                number_cell(accuracy),
                _told(accuracy),
            ]
        )
    mine = gaps.filter(model=champion, metric=SROCC)
    beyond = [gap for gap in mine.to_dicts() if gap_sentence(gap) == BEYOND]
    named = "; ".join(
        f"{g[COLUMN].replace('_', ' ')}, {users_name((g[POPULATION], g[SHOTS]))}" for g in beyond
    )
    text = (
        f"{champion}: {len(beyond)} of {mine.height} SROCC gaps between demographic groups have an "
        "interval above what chance alone gives"
        + (f" ({named})." if beyond else ": no group is served significantly worse.")
    )
    return Section(
        "Accuracy by demographic group",
        text,
        Table(
            title="Gap between the best and the worst served group",
            columns=["demographic", "users", "model", "best group", "gap in SROCC", "by chance",
                     "", "gap in accuracy", ""],
            rows=rows,
            caption=(
                f"Groups of at least {MIN_GROUP_USERS} users; each group's value is the mean over "
                "its users. The interval resamples users within the two groups. By chance: the "
                "mean gap after dealing the users out to groups of the same sizes anew; p: how "
                "often that gives at least this gap. One p in twenty lies below .05 by chance."
            ),
            strong=strong,
        ),
        folded=[_groups_table(results, dataset)],
    )  # fmt: skip


def gap_sentence(gap: dict[str, Any]) -> str:
    """Say whether a gap is larger than what chance alone gives: by its p and by its interval."""
    if gap["p_value"] >= SIGNIFICANT:
        return "chance gives as much"
    excluded = gap["ci_low"] is not None and gap["ci_low"] > gap["by_chance"]
    return BEYOND if excluded else "unclear: the interval holds chance"


def _told(gap: dict[str, Any] | None) -> Cell:
    return Cell(gap_sentence(gap), f"p = {gap['p_value']:.2g}") if gap else Cell(DASH)


def _groups_table(results: Results, dataset: str) -> Table:
    groups = results.groups.filter(dataset=dataset)
    found = rows_by_key(groups, COLUMN, LEVEL)
    order = groups.select(COLUMN, LEVEL, POPULATION, SHOTS).unique(maintain_order=True)
    models = groups[MODEL].unique(maintain_order=True).to_list()
    rows = []
    for column, level, population, shots in order.iter_rows():
        cells = [
            found.get((model, metric, population, shots, column, level))
            for model in models
            for metric in (SROCC, PAIRWISE_ACCURACY)
        ]
        n = next((c["n_users"] for c in cells if c), 0)
        name = f"{column.replace('_', ' ')}: {level}"
        rows.append([Cell(name), Cell(users_name((population, shots))), Cell(str(n)),
                     *map(number_cell, cells)])  # fmt: skip
    return Table(
        title="Every group",
        columns=["group", "users", "n",
                 *(f"{model}, {what}" for model in models for what in ("SROCC", "accuracy"))],
        rows=rows,
        caption="Mean over the users of a group; 95 % intervals resample them.",
    )  # fmt: skip
