"""The report's tables of results, as plain text in rows: `report` lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pamela.evaluation.ceilings.measured import SINGLE
from pamela.evaluation.metrics.definitions import (
    CONFLICT_BOTH,
    CONFLICT_SIDE,
    PAIRWISE_ACCURACY,
    PLCC,
    RMSE,
    SROCC,
)
from pamela.evaluation.metrics.intervals import IMAGE, POOLED, USER
from pamela.evaluation.metrics.pooled import RMSE_POOLED_RELATIVE
from pamela.evaluation.metrics.schema import NOISE_CEILING, SEEN, UNSEEN
from pamela.evaluation.observers import FEATURE_OBSERVER, IDEAL_OBSERVER
from pamela.evaluation.results import POPULATIONS, Results, as_published, headline_rows
from pamela.reporting import paper_figures
from pamela.reporting.presentation.html import DASH, Cell, Table, number_cell

Where = tuple[str, int | None]  # population, shots
NAMES = {
    SROCC: "SROCC",
    PLCC: "PLCC",
    RMSE: "RMSE (1..5)",
    PAIRWISE_ACCURACY: "pairwise accuracy",
    CONFLICT_SIDE: "conflict pairs, one order right",
    CONFLICT_BOTH: "conflict pairs, both right",
    "coverage_90": "90 % interval holds",
    RMSE_POOLED_RELATIVE: "RMSE",
}
CONFLICTS = (CONFLICT_SIDE, CONFLICT_BOTH)  # counted over pairs of users, so only pooled
FURTHER = (PLCC, RMSE, CONFLICT_SIDE, CONFLICT_BOTH, "coverage_90")


def users_name(where: Where) -> str:
    """Return ``seen``, or ``unseen, 20 shots``."""
    population, shots = where
    return population if shots is None else f"{population}, {shots} shots"


def margin_name(group: list[float]) -> str:
    """Return ``0 to 1`` for margins that coincide, ``3`` for one alone."""
    return f"{group[0]:g}" if len(group) == 1 else f"{group[0]:g} to {group[-1]:g}"


def results_table(results: Results, dataset: str) -> Table:
    """Return model x seen/unseen x (SROCC, pairwise accuracy by margin)."""
    rows = results.evaluation.filter(dataset=dataset)
    groups = results.margin_groups(dataset)
    accuracy = {
        (r["model"], r["population"], r["margin"]): r
        for r in headline_rows(rows, PAIRWISE_ACCURACY).to_dicts()
    }
    srocc = {(r["model"], r["population"]): r for r in headline_rows(rows, SROCC).to_dicts()}
    table = []
    for model in results.models(dataset):
        for population in POPULATIONS:
            cells = [Cell(model if population == SEEN else ""), Cell(population)]
            cells.append(number_cell(srocc.get((model, population))))
            cells += [number_cell(accuracy.get((model, population, g[0]))) for g in groups]
            table.append(cells)
    merged = [margin_name(g) for g in groups if len(g) > 1]
    note = (
        f" Margins {' and '.join(merged)} select the same pairs on this rating scale: they share "
        "a column." if merged else ""
    )  # fmt: skip
    note += _likes_note(results, dataset) + _ceiling_note(results, dataset)
    note += _external_note(results, dataset)
    return Table(
        title="Every model, seen and unseen users",
        columns=[
            "model",
            "users",
            "SROCC",
            *(f"accuracy, margin {margin_name(g)}" for g in groups),
        ],
        rows=table,
        caption=(
            "Mean over users; 95 % bootstrap interval below. Seen: training users on new images. "
            "Unseen: users absent from training, none of their ratings shown (0 shots). A margin "
            "counts only pairs whose ratings differ by at least that much, in points of a 1..5 "
            f"scale. A dash: one value per user, so no order to correlate.{note}"
        ),
        strong={0, 1},
    )


def _likes_note(results: Results, dataset: str) -> str:
    """Return how to read the numbers of two-valued ratings."""
    if not results.two_values(dataset):
        return ""
    return (
        " There are two ratings alone: accuracy is the share of pairs of a liked and a disliked "
        "picture that are ordered rightly (the area under the ROC curve); as liked pictures tie "
        "among themselves, the SROCC of a score without ties is at most .87."
    )


def _external_note(results: Results, dataset: str) -> str:
    """Return what the rows of scores from elsewhere are."""
    names = [name for name in results.models(dataset) if name in results.external]
    if not names:
        return ""
    return (
        f" {', '.join(names)}: scores from elsewhere, of which the order alone counts; no value "
        "where pictures have no score."
    )


def _ceiling_note(results: Results, dataset: str) -> str:
    """Return where a measured noise ceiling comes from."""
    rows = results.evaluation.filter(dataset=dataset, model=NOISE_CEILING)
    single = headline_rows(rows, SINGLE + SROCC).drop_nulls("value").to_dicts()
    if not single:
        return ""
    return (
        " noise_ceiling: the best that any score reaches with the mean of a person's ratings of a "
        "picture, from how far people agree with themselves (test-retest, Spearman-Brown); with "
        f"one rating {single[0]['value']:.3f}. It has no order of its own, so no accuracy."
    )


def further_table(results: Results, dataset: str) -> Table:
    """Return the other metrics of all models, seen and unseen, and against image means."""
    rows = results.evaluation.filter(dataset=dataset)
    wanted = [m for m in FURTHER if m in rows["metric"].unique()]
    columns = [(m, POOLED if m in CONFLICTS else USER) for m in wanted] + [
        (m, IMAGE)
        for m in (PLCC, PAIRWISE_ACCURACY)
        if rows.filter(metric=m, aggregation=IMAGE).height
    ]
    found = {}
    for metric, aggregation in columns:
        margin = 0.0 if metric == PAIRWISE_ACCURACY else None
        for r in headline_rows(rows, metric, margin=margin, aggregation=aggregation).to_dicts():
            found[r["model"], r["population"], metric, aggregation] = r
    table = [
        [Cell(model if population == SEEN else ""), Cell(population)]
        + [number_cell(found.get((model, population, *key))) for key in columns]
        for model in results.models(dataset)
        for population in POPULATIONS
    ]
    titles = [NAMES[m] + (", image means" if a == IMAGE else "") for m, a in columns]
    return Table(
        title="Further measures",
        columns=["model", "users", *titles],
        rows=table,
        caption=(
            "Conflict pairs are two users who order the same two images in opposite ways: a "
            "non-personal model gets exactly .50 of single orders right. Image means: predictions "
            "and ratings averaged over users first."
        ),
        strong={0, 1},
    )


def differences_table(results: Results, dataset: str) -> Table | None:
    """Return paired differences of two models at 0 shots, with a verdict in words."""
    rows = results.differences.filter(
        (pl.col("dataset") == dataset)
        & (pl.col("shots").is_null() | (pl.col("shots") == 0))
        & pl.col("metric").is_in([SROCC, PAIRWISE_ACCURACY, RMSE_POOLED_RELATIVE])
        & (pl.col("baseline") != FEATURE_OBSERVER)  # stands in a table of its own
        & (pl.col("baseline") != IDEAL_OBSERVER)
    )
    if not rows.height:
        return None
    found: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
    for r in rows.to_dicts():
        found.setdefault((r["model"], r["baseline"]), {})[r["population"], r["metric"]] = r
    forms = {SROCC: "+.3f", PAIRWISE_ACCURACY: "+.3f", RMSE_POOLED_RELATIVE: "+.1%"}
    columns = [(p, m) for m in forms for p in POPULATIONS]
    table = [
        [
            Cell(model, f"minus {baseline}"),
            *(signed(cells.get((p, m)), forms[m]) for p, m in columns),
        ]
        for (model, baseline), cells in found.items()
    ]
    return Table(
        title="Differences on the same users",
        columns=["model", *(f"{NAMES[m]}, {p}" for p, m in columns)],
        rows=table,
        caption=(
            "Paired bootstrap over users, margin 0 for accuracy. ▲ the interval lies above zero, "
            "▼ below, · it holds zero. RMSE: all rows in one pool, relative (-2 % is an error two "
            "per cent lower); population_user_mean is population plus each user's shrunken mean "
            "residual, which takes off the level of a person's ratings and nothing else."
        ),
        strong={i for i, key in enumerate(found) if key[0] == results.params.train.champion},
    )


def signed(row: dict[str, Any] | None, form: str = "+.3f") -> Cell:
    """Return a difference with its sign and what its interval says."""
    cell = number_cell(row, form)
    return Cell(f"{cell.text} {sign(row)}", cell.small) if row and cell.text != DASH else cell


def sign(row: dict[str, Any]) -> str:
    """Return ▲, ▼ or · for an interval above, below or around zero."""
    if row["ci_low"] is not None and row["ci_low"] > 0:
        return "▲"
    return "▼" if row["ci_high"] is not None and row["ci_high"] < 0 else "·"


def paper_table(results: Results) -> Table:
    """Return the paper's held-out users beside ours at 0 shots, on all rows of theirs."""
    rows = [
        [Cell(p.name), Cell("paper"), *(Cell(f"{v:.3f}") for v in p[1:])]
        for p in paper_figures.HELD_OUT_USERS
    ]
    strong = set()
    for dataset in results.datasets:
        published = as_published(results.evaluation.filter(dataset=dataset))
        frame = published.filter(population=UNSEEN)
        for model in results.models(dataset):
            cells = []
            for metric in (SROCC, PLCC, PAIRWISE_ACCURACY):
                got = headline_rows(frame.filter(model=model), metric, margin=0.0).to_dicts()
                cells.append(number_cell(got[0] if got else None))
            if model == results.params.train.champion:
                strong.add(len(rows))
            rows.append([Cell(model), Cell(f"here: {dataset}"), *cells])
    return Table(
        title="Unseen users: the paper's figures beside ours",
        columns=["reward", "figures from", "SROCC", "PLCC", "pairwise accuracy"],
        rows=rows,
        caption=(
            "Ours are at 0 shots on all test rows of the unseen users, as the paper's; the other "
            "tables ask the query alone. " + " ".join(paper_figures.CAVEATS)
        ),
        strong=strong,
    )


def flat_row(flat: Mapping[str, float], key: str) -> dict[str, Any]:
    """Return a flat metric and its interval as an evaluation row has them."""
    return {
        "value": flat.get(key),
        "ci_low": flat.get(f"{key}_ci_low"),
        "ci_high": flat.get(f"{key}_ci_high"),
    }
