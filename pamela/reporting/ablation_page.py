"""``reports/ablation.html``: what user, demographics and metadata are worth, in one page.

Written by the ablation (``make ablation``); the main report shows the same tables
where the ablation was run on its data.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.evaluation.ablation import FULL, RECORD, TABLE, VARIANT, variant_name
from pamela.evaluation.metrics import definitions as m
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SEEN, SHOTS
from pamela.evaluation.provenance import dataset_hashes, encoder_info
from pamela.reporting import paper_figures
from pamela.reporting.presentation.html import DASH, Cell, Table, inline, number_cell, write_page
from pamela.reporting.tables import NAMES, Where, sign, signed, users_name

PAGE = "ablation.html"
COMMAND = "make ablation"
GAP = ("difference", "difference_ci_low", "difference_ci_high")
Row = dict[str, Any]


def write_ablation_page(project: Project, title: str) -> None:
    """Write the page from ``reports/ablation.parquet`` and its record."""
    table = read_parquet(project.reports / TABLE)
    record = read_json(project.reports / RECORD)
    context = {
        "title": title,
        "command": COMMAND,
        "datasets": [_dataset(name, rows) for name, rows in by_dataset(table)],
        "finding": paper_figures.ABLATION_FINDING,
        "made": {
            "encoder": "{encoder} ({fingerprint:.12})".format(**record["encoder"]),
            **{f"dataset {name}": digest for name, digest in record["datasets"].items()},
        },
        "params": {
            f"{section}.{key}": value
            for section, values in record["params"].items()
            for key, value in values.items()
        },
    }
    write_page(project.reports / PAGE, "ablation.html.j2", context)


def by_dataset(table: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Return the table's datasets with their rows, in order."""
    names = table[s.DATASET].unique(maintain_order=True)
    return [(name, table.filter(pl.col(s.DATASET) == name)) for name in names]


def _dataset(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    from pamela.reporting.plots.ablation import draw_differences  # matplotlib: for the page alone

    return {
        "name": name,
        "simulated": name == "synthetic",
        "sentences": ablation_sentences(rows),
        "figure": inline(
            draw_differences(rows.filter(metric=m.SROCC)),
            "SROCC of every variant minus the full model on the same users, with 95 % intervals.",
        ),
        "tables": [srocc_table(rows), other_metrics_table(rows)],
    }


def section(project: Project) -> dict[str, Any] | None:
    """Return what the main report shows, or none where the ablation was not run.

    One that was run on other data or features is named as such and not shown.
    """
    if not (project.reports / TABLE).is_file() or not (project.reports / RECORD).is_file():
        return None
    if is_stale(project):
        return {"page": None, "command": COMMAND, "tables": []}
    table = read_parquet(project.reports / TABLE)
    tables = [srocc_table(rows, name) for name, rows in by_dataset(table)]
    return {"page": PAGE, "command": COMMAND, "tables": tables}


def is_stale(project: Project) -> bool:
    """Return whether the ablation that lies there was run on other data or features."""
    record = read_json(project.reports / RECORD)
    same = record["encoder"]["fingerprint"] == encoder_info(project)["fingerprint"]
    return not same or record["datasets"] != dataset_hashes(project)


def srocc_table(rows: pl.DataFrame, dataset: str = "") -> Table:
    """Return model x variant x (SROCC and its difference to the full model, by users)."""
    found = rows.filter(metric=m.SROCC)
    places = _places(found)
    table: list[list[Cell]] = []
    strong: set[int] = set()
    for (model, variant), by_place in _by_variant(found).items():
        if variant == FULL:
            strong.add(len(table))
        cells = [Cell(model if variant == FULL else ""), Cell(variant_name(variant))]
        for place in places:
            cells += [number_cell(by_place[place]), _gap(by_place[place])]
        cells.append(_published(model, variant))
        table.append(cells)
    seeds = ", ".join(
        f"{row[MODEL]} {row['n_seeds']}"
        for row in found.select(MODEL, "n_seeds").unique(maintain_order=True).to_dicts()
    )
    titles = [title for place in places for title in (users_name(place), "minus all three")]
    return Table(
        title=f"The ablation: SROCC{f' on {dataset}' if dataset else ''}",
        columns=["model", "variant", *titles, "the paper, unseen"],
        rows=table,
        caption=(
            "SROCC, mean over users; 95 % bootstrap interval below. Every variant is trained again "
            "and chooses its own sizes inside train. Differences are paired over the same users: "
            "▲ the interval lies above zero, ▼ below, · it holds zero. Values are averaged over "
            f"seeds ({seeds}); intervals are over users, not seeds. "
            f"{paper_figures.ABLATION_FINDING}"
        ),
        strong=strong,
    )


def other_metrics_table(rows: pl.DataFrame) -> Table:
    """Return the differences in the other metrics, and what that in SROCC varies by over seeds."""
    metrics = [name for name in rows["metric"].unique(maintain_order=True) if name != m.SROCC]
    found = {name: _by_variant(rows.filter(metric=name)) for name in (m.SROCC, *metrics)}
    table: list[list[Cell]] = []
    for (model, variant), by_place in found[m.SROCC].items():
        if variant == FULL:
            continue
        for place in _places(rows):
            gaps = [_gap(found[name][model, variant][place]) for name in metrics]
            head = [Cell(model), Cell(variant_name(variant)), Cell(users_name(place))]
            table.append([*head, *gaps, _sd(by_place[place])])
    return Table(
        title="Other measures: each variant minus the full model",
        columns=["model", "variant", "users", *map(NAMES.__getitem__, metrics), "SROCC, SD"],
        rows=table,
        caption=(
            "Paired as above; accuracy at the first margin. RMSE: above zero is worse. SROCC, SD: "
            "of the difference in SROCC between seeds."
        ),
    )


def ablation_sentences(rows: pl.DataFrame) -> list[str]:
    """Say, per model and kind of users, which variants differ from the full model."""
    lines = []
    found = rows.filter(pl.col("metric") == m.SROCC)
    for model in rows[MODEL].unique(maintain_order=True):
        mine = {key: row for key, row in _by_variant(found).items() if key[0] == model}
        parts = [
            f"{users_name(place)}: {', '.join(clear)}"
            for place in _places(rows)
            if (
                clear := [
                    _loss(by_place[place])
                    for key, by_place in mine.items()
                    if key[1] != FULL and _is_clear(by_place[place])
                ]
            )
        ]
        lines.append(
            f"{model}, SROCC against the full model: {'; '.join(parts)}."
            if parts
            else f"{model}: no variant differs significantly from the full model."
        )
    return lines


def _is_clear(row: Row) -> bool:
    return row["difference"] is not None and sign(_as_row(row)) != "·"


def _loss(row: Row) -> str:
    value, low, high = (row[key] for key in GAP)
    return f"{variant_name(row[VARIANT])} {value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _places(rows: pl.DataFrame) -> list[Where]:
    """Return the (population, shots) of the table, seen first."""
    found = rows.select(POPULATION, SHOTS).unique(maintain_order=True).rows()
    return sorted(found, key=lambda place: (place[0] != SEEN, place[1] or 0))


def _by_variant(rows: pl.DataFrame) -> dict[tuple[str, str], dict[Where, Row]]:
    found: dict[tuple[str, str], dict[Where, Row]] = {}
    for row in rows.to_dicts():
        found.setdefault((row[MODEL], row[VARIANT]), {})[row[POPULATION], row[SHOTS]] = row
    return found


def _as_row(row: Row) -> Row:
    """Return the difference as rows of the evaluation hold a value."""
    return dict(zip(("value", "ci_low", "ci_high"), (row[key] for key in GAP), strict=True))


def _gap(row: Row) -> Cell:
    if row[VARIANT] == FULL or row["difference"] is None:
        return Cell(DASH)
    return signed(_as_row(row))


def _sd(row: Row) -> Cell:
    return Cell(DASH if row["seed_sd"] is None else f"{row['seed_sd']:.3f}")


def _published(model: str, variant: str) -> Cell:
    """Return the paper's SROCC for held-out users, known of its full model alone."""
    known = model == "paper" and variant == FULL
    return Cell(f"{paper_figures.HELD_OUT_USERS[0].srocc:.3f}" if known else DASH)
