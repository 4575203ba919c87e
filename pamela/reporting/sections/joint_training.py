"""The report's part on joint training: what the other datasets add to each, and what they weigh."""

from __future__ import annotations

from typing import Any

from pamela.core import schema as s
from pamela.core.files import read_json
from pamela.evaluation.joint_training import RECORD
from pamela.evaluation.results import Results
from pamela.reporting.tables import Cell, Table, number_cell, signed


def joint_table(results: Results) -> Table | None:
    """Return each dataset alone beside all together, where ``reports/joint.json`` says it.

    The record is made on request (``python -m benchmarks.joint --here``); rows on datasets that
    this run does not hold are left out.
    """
    path = results.project.reports / RECORD
    if len(results.datasets) < 2 or not path.is_file():
        return None
    found = [row for row in read_json(path) if row["dataset"] in results.datasets]
    if not found:
        return None
    return Table(
        title="Do the other datasets help?",
        columns=["dataset", "model", "users", "alone", "joint", "joint minus alone", "verdict"],
        rows=[_row(row) for row in found],
        caption=(
            "SROCC, mean over users (unseen at 0 shots), of a model trained on this dataset alone "
            "and on all of them, on the same folds and test rows; paired bootstrap over users. "
            f"Made by python -m benchmarks.joint --here. {weights_sentence(results)}"
        ).strip(),
    )


def _row(row: dict[str, Any]) -> list[Cell]:
    return [
        Cell(row["dataset"]),
        Cell(row["model"]),
        Cell(row["population"]),
        *(number_cell({"value": row[side]}) for side in ("alone", "joint")),
        signed(row["difference"]),
        Cell(row["verdict"]),
    ]


def weights_sentence(results: Results) -> str:
    """Say what one rating of each dataset counted in fold 0, per model that weighs them."""
    lines = []
    for model in results.params.train.models:
        path = results.project.models / model / "fold_0" / "fit.json"
        weights = read_json(path)["chosen"].get("dataset_weights") if path.is_file() else None
        if weights:
            each = ", ".join(f"{name} {value:.2f}" for name, value in weights.items())
            lines.append(f"{model}: {each}")
    return f"One rating counted, in fold 0: {'; '.join(lines)}." if lines else ""


def held_out_note(results: Results) -> str:
    """Say how many ratings were not learned from for another dataset's sake; empty where none."""
    champion = results.project.models / results.params.train.champion
    counts = [
        read_json(path)["rows"].get(s.HELD_OUT_ELSEWHERE, 0)
        for path in sorted(champion.glob("fold_*/fit.json"))
    ]
    if not any(counts):
        return ""
    return (
        f"joint training: {', '.join(f'{n:,}' for n in counts)} ratings (by fold) were not learned "
        "from, because another dataset tests on a picture of the same content"
    )
