"""What a registered version says of its bundle: tags, figures and description."""

from __future__ import annotations

from typing import Any, Final

from pamela.core.paths import Project
from pamela.core.strict_yaml import read_yaml
from pamela.evaluation.choices.metrics import CHOICE_ACCURACY
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.provenance import dataset_hashes, git_state, model_hashes
from pamela.evaluation.results import POPULATIONS, Results, headline_rows
from pamela.params import Params
from pamela.registry.tracking.run_metrics import note_line, with_interval

MOST_BATCHES: Final = 2000  # that a tag names
FIGURES: Final = {
    SROCC: "SROCC",
    PAIRWISE_ACCURACY: "pairwise accuracy",
    CHOICE_ACCURACY: "choice accuracy",
}


def is_measured(project: Project, meta: dict[str, Any]) -> bool:
    """Tell whether the figures in ``reports/`` are those of this bundle's model."""
    hashes = model_hashes(project, meta["model"])
    return hashes.get("fold_0") == meta.get("evaluated", meta)["model_hash"]


def model_tags(meta: dict[str, Any]) -> dict[str, str]:
    """Return the tags that the bundle itself tells."""
    encoder = meta["encoder"]
    return {
        "model": meta["model"],
        "model_hash": meta["model_hash"],
        **twin_tags(meta),
        "encoder": encoder["encoder"] if isinstance(encoder, dict) else str(encoder),
    }


def data_tags(project: Project, meta: dict[str, Any]) -> dict[str, str]:
    """Return the tags that say what a bundle was just trained on."""
    hashes = dataset_hashes(project)
    return {
        "datasets": ", ".join(f"{n} ({hashes[n]})" if n in hashes else n for n in meta["datasets"]),
        "batches": _batches(project, meta),
        "git_commit": git_state(project).commit,
    }


def _batches(project: Project, meta: dict[str, Any]) -> str:
    """Return the accepted batches of a bundle's datasets, each with DVC's hash."""
    found = []
    for name in sorted(meta["datasets"]):
        for folder in sorted(p for p in (project.batches / name).glob("[!.]*") if p.is_dir()):
            record = folder.with_name(f"{folder.name}.dvc")
            md5 = str(read_yaml(record)["outs"][0]["md5"]) if record.is_file() else ""
            found.append(
                f"{name}/{folder.name}" + (f" ({md5.removesuffix('.dir')})" if md5 else "")
            )
    left_out = len(found) - MOST_BATCHES
    shown = found[max(left_out, 0) :]
    return ", ".join([f"{left_out} more"] * (left_out > 0) + shown)


def twin_tags(meta: dict[str, Any]) -> dict[str, str]:
    """Return what tells a version's served model from the one whose figures stand beside it."""
    evaluated = meta.get("evaluated")
    if evaluated is None:
        return {}
    return {
        "fitted_on": f"{meta['fitted_on']} ({meta['ratings']})",
        **({"choices": str(meta["choices"])} if "choices" in meta else {}),
        "evaluated_model_hash": evaluated["model_hash"],
        "evaluated_model_fitted_on": f"{evaluated['fitted_on']} ({evaluated['ratings']})",
        "figures_of": "the fits of the folds, on held-out ratings; not of the served model",
    }


def headline(project: Project, params: Params, meta: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return ``{population_metric: (value, with interval)}`` on the bundle's first dataset."""
    results = Results(project, params)
    first = next((d for d in results.datasets if d in meta["datasets"]), None)
    rows = results.evaluation.filter(dataset=first, model=meta["model"])
    numbers = {}
    for metric in FIGURES:
        for row in headline_rows(rows, metric, margin=0.0).drop_nulls("value").to_dicts():
            key = f"{row['population']}_{metric}"
            numbers[key] = (f"{row['value']:.3f}", with_interval(row))
    return numbers


def describe(meta: dict[str, Any], numbers: dict[str, tuple[str, str]]) -> str:
    """Return the text that MLflow shows with a version, with its figures."""
    title = f"Model `{meta['model']}` on {', '.join(meta['datasets'])}"
    if not numbers:
        return f"{title}; what the gate found stands in its tags."
    lines = [
        f"{title}; means over users with 95 % bootstrap intervals. The figures are of the fits of "
        "the folds, on rows they did not see; what serves is one more fit, on all rows.",
        "",
    ]
    for metric, name in FIGURES.items():
        figures = {p: numbers.get(f"{p}_{metric}", ("", "–"))[1] for p in POPULATIONS}
        if any(f"{p}_{metric}" in numbers for p in POPULATIONS):
            lines.append(note_line(name, figures))
    return "\n".join(lines)
