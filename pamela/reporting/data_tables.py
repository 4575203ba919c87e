"""The report's tables of the data: what validation kept, and how it was split."""

from __future__ import annotations

from typing import Any

from pamela.core import schema as s
from pamela.data.leakage import describe_overlaps
from pamela.evaluation.results import Results
from pamela.reporting.presentation.html import Cell, Table


def validation_table(results: Results) -> Table:
    """Return rows in, kept and quarantined per dataset and table, and by which rule."""
    rows = []
    for dataset, found in results.validation["datasets"].items():
        for name, counts in (("ratings", found), ("choices", found.get("choices")),
                             ("users", found.get("users")),
                             ("images", found.get("images"))):  # fmt: skip
            if not counts or "rows_in" not in counts:
                continue
            rules = counts.get("quarantined") or {}
            reasons = ", ".join(f"{rule}: {n:,}" for rule, n in rules.items()) or "none"
            rows.append(
                [
                    Cell(dataset),
                    Cell(name),
                    *(Cell(f"{counts[k]:,}") for k in ("rows_in", "rows_kept", "rows_quarantined")),
                    Cell(reasons),
                ]
            )
    return Table(
        title="Validation",
        columns=["dataset", "table", "rows in", "kept", "quarantined", "by rule"],
        rows=rows,
        caption=(
            "Quarantined rows lie in data/quarantine/ with rule and source row; each under the "
            "first rule that it breaks. At most "
            f"{results.params.validate_.max_quarantined_share:.0%} of the ratings may be "
            "quarantined before the pipeline stops."
        ),
    )


def splits_table(results: Results, dataset: str) -> Table:
    """Return rows, users and images of every part (fold 0 of several), with its hash."""
    entry = results.splits[dataset]
    of_choices = entry.get("choices", {}).get("0", {})
    rows = [
        [Cell(part + what), *(Cell(f"{counts[k]:,}") for k in ("rows", "users", "images")),
         Cell(counts["sha256"][:12])]
        for parts, what in ((entry["parts"]["0"], ""), (of_choices, ", choices"))
        for part in s.PARTS
        if (counts := parts.get(part))
    ]  # fmt: skip
    how = (
        "The release's own split files, used as they are."
        if entry["own"]
        else f"{entry['folds']} folds: each user is unseen in one, each prompt is test in one; "
        "fold 0 is shown, the evaluation pools all."
    )
    return Table(
        title="Splits",
        columns=["part", "rows", "users", "images", "hash"],
        rows=rows,
        caption=f"{how} {_overlap_words(entry)}",
    )


def _overlap_words(entry: dict[str, Any]) -> str:
    """Return what lies on two sides, in the fold where most does."""
    folds = entry["overlaps"].values()
    most = {kind: max(fold[kind] for fold in folds) for kind in next(iter(folds))}
    lines = describe_overlaps(most)
    if not lines:
        return "Nothing lies on two sides."
    where = "On two sides" if len(folds) == 1 else "On two sides (the most of any fold)"
    return f"{where}: {'; '.join(lines)}."
