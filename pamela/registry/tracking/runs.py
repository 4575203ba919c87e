"""What MLflow should show: a run of the pipeline and below it one per model and dataset, and
steering.

A `RunSpec` is plain data; `pamela.registry.tracking.publish` finds or creates it. Its hash is over
what produced it (params, data, models, numbers), so that the same result is never logged twice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from pamela.core.files import file_sha256, read_json
from pamela.core.timeline import Span, Timeline
from pamela.evaluation.provenance import (
    dataset_hashes,
    encoder_info,
    frame_hash,
    git_state,
    model_hashes,
    stable_hash,
)
from pamela.evaluation.results import Results
from pamela.registry.tracking.artifact_tables import model_table, number_table, search_table
from pamela.registry.tracking.flat_params import flat, flat_params
from pamela.registry.tracking.run_metrics import (
    curve_metrics,
    elo_sentence,
    evaluation_note,
    gain_metrics,
    gain_tags,
    headline_metrics,
    known_pictures_metrics,
    live_fit,
    model_span,
    most_important_first,
    pipeline_span,
    training_metrics,
    training_times,
)

REASON_ENV = "PAMELA_REASON"
SESSION_ENV = "PAMELA_SESSION"  # names the run of `make repro` that is going on
DEFAULT_REASON = "dvc repro"
# What trains other models, or draws other pictures, does not make this result another one; nor do
# the files of scores from elsewhere, whose own results have their numbers hashed.
NOT_HASHED = ("train.models", "train.champion", "ingest.datasets")
EXTERNAL = "evaluate.external."
PIPELINE = "pipeline"
SCORES = ("cv", "cv_correlation")  # keys of what was chosen that hold scores of what was tried


@dataclass(frozen=True)
class RunSpec:
    """One MLflow run.

    Attributes
    ----------
    hash : of what produced it; the run's identity.
    metrics : (key, value, step), in the order of importance.
    artifacts : (file, folder in the run's artifacts).
    datasets : ``{name: hash}`` of what it was computed on.
    parent : hash of the run under which MLflow shows it, which must come before it; empty: none.
    span : from when to when it ran; None: not recorded.
    times : (metric key, step) -> when that point came, in seconds since 1970.
    tables : ``{file: rows}`` that MLflow shows as tables.
    live : what names the run that was made while it went on (`pamela.registry.tracking.live`), if
        any.
    """

    name: str
    hash: str
    note: str
    params: dict[str, str]
    metrics: list[tuple[str, float, int]]
    tags: dict[str, str]
    datasets: dict[str, str]
    artifacts: list[tuple[Path, str]] = field(default_factory=list)
    parent: str = ""
    span: Span | None = None
    times: Mapping[tuple[str, int], float] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    live: str = ""

    @property
    def artifacts_hash(self) -> str:
        """Hash of the artifacts' names and contents."""
        return stable_hash([[f"{to}/{p.name}", file_sha256(p)] for p, to in self.artifacts])


def run_specs(results: Results) -> list[RunSpec]:
    """Return the pipeline's runs: its own, then those below it."""
    hashes = dataset_hashes(results.project)
    common = common_tags(results)
    specs = [
        _evaluation_spec(results, dataset, model, hashes, common)
        for dataset in reversed(results.datasets)
        for model in reversed(_asked(results, dataset))
    ]
    if results.steered:
        specs.append(_steering_spec(results, hashes, common))
    whole = _pipeline_spec(results, specs, hashes, common)
    return [whole, *(replace(spec, parent=whole.hash) for spec in specs)]


def _asked(results: Results, dataset: str) -> list[str]:
    """Return every model with a number of its own, the best known first."""
    return list(dict.fromkeys([*results.models(dataset), *results.known_models(dataset, None)]))


def common_tags(results: Results) -> dict[str, str]:
    """Return the tags that every run carries."""
    git, encoder = git_state(results.project), encoder_info(results.project)
    return {
        "git_commit": git.commit,
        "git_dirty": str(git.dirty).lower(),
        "encoder": f"{encoder['encoder']} ({str(encoder['fingerprint'])[:8]})",
        "reason": os.environ.get(REASON_ENV) or DEFAULT_REASON,
        "mlflow.source.name": "dvc repro",
        "mlflow.source.type": "PROJECT",
    } | ({"mlflow.source.git.commit": git.commit} if git.commit != "none" else {})


# --- one model on one dataset ---------------------------------------------------------------------


def evaluation_hash(results: Results, dataset: str, model: str, data_hash: str) -> str:
    """Return the identity of one model's evaluation on one dataset."""
    sections = ("split", "embed", "train", "evaluate")
    params = flat_params(results, sections)
    rows = results.numbers.filter(dataset=dataset, model=model)
    return stable_hash(
        {
            "kind": "evaluation",
            "dataset": [dataset, data_hash],
            "model": [model, model_hashes(results.project, model)],
            "encoder": encoder_info(results.project)["fingerprint"],
            "params": {
                k: v
                for k, v in params.items()
                if k not in NOT_HASHED and not k.startswith(EXTERNAL)
            },
            "numbers": frame_hash(rows),
        }
    )


def _evaluation_spec(
    results: Results, dataset: str, model: str, hashes: dict[str, str], common: dict[str, str]
) -> RunSpec:
    rows = results.evaluation.filter(dataset=dataset, model=model)
    known = results.known_evaluation.filter(dataset=dataset, model=model).drop_nulls("value")
    fitted = model_hashes(results.project, model)
    metrics = [
        *headline_metrics(rows),
        *gain_metrics(results, dataset, model),
        *curve_metrics(rows),
        *known_pictures_metrics(results, dataset, model),
    ]
    plots = sorted((results.project.reports / "plots").glob(f"{dataset}_*.png"))
    plots += [results.project.reports / "plots" / f"training_{model}.png"]
    chosen = _chosen(results, model)
    return RunSpec(
        name=f"{model} · {dataset}",
        hash=evaluation_hash(results, dataset, model, hashes[dataset]),
        note=evaluation_note(results, dataset, model, rows),
        params=flat_params(results, ("ingest", "split", "embed", "train", "evaluate"))
        | flat("chosen", _without_scores(chosen)),
        metrics=most_important_first([*metrics, *training_metrics(results, model)]),
        tags=common
        | {"stage": "evaluate", "model": model, "dataset": dataset}
        | {"dataset_hash": hashes[dataset]}
        | ({"model_hash": stable_hash(fitted)} if fitted else {})
        | gain_tags(results, dataset, model),
        datasets={dataset: hashes[dataset]},
        artifacts=[(path, "plots") for path in plots if path.is_file()],
        span=model_span(results.project, model, external=model in results.external),
        times=training_times(results.project, model),
        tables={"evaluation.json": number_table(pl.concat([rows, known]))}
        | search_table(chosen.get("cv") or chosen.get("cv_correlation")),
        live=live_fit(results.project, model) if dataset == results.datasets[0] else "",
    )


def _chosen(results: Results, model: str) -> dict[str, Any]:
    """Return what fitting chose on fold 0, with the scores of what it tried."""
    path = results.project.models / model / "fold_0" / "fit.json"
    return (read_json(path).get("chosen") or {}) if path.is_file() else {}


def _without_scores(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was chosen alone; scores of what was tried are no params."""
    return {
        key: _without_scores(value) if isinstance(value, Mapping) else value
        for key, value in chosen.items()
        if key not in SCORES
    }


# --- steering and the pipeline --------------------------------------------------------------------


def _steering_spec(results: Results, hashes: dict[str, str], common: dict[str, str]) -> RunSpec:
    champion = results.params.train.champion
    params = flat_params(results, ("steer", "embed")) | {"train.champion": champion}
    models = {name: model_hashes(results.project, name) for name in (champion, "population")}
    reports = results.project.reports
    plots = ("steering_elo.png", "steering_rounds.png")
    files = [(reports / "plots" / name, "plots") for name in plots]
    if results.sheet:
        files.append((results.sheet, "steering"))
    metrics = results.steering
    data = {"synthetic": hashes["synthetic"]} if "synthetic" in hashes else hashes
    return RunSpec(
        name="steering · synthetic",
        hash=stable_hash(
            {
                "kind": "steering",
                "params": params,
                "models": models,
                "numbers": metrics,
                "datasets": data,
            }
        ),
        note=(
            "Prompts steered by a reward and judged blind by the simulated users, never by the "
            "reward that was optimised. An arm says whose reward steers; `chance` has no feedback, "
            f"`truth` is the known utility.\n\nElo: {elo_sentence(metrics)}. Self beats none in "
            f"{metrics.get('win_self_none', math.nan):.0%} of comparisons, another user's in "
            f"{metrics.get('win_self_other', math.nan):.0%}."
        ),
        params=params,
        metrics=[(_steering_key(k), v, 0) for k, v in metrics.items() if math.isfinite(v)],
        tags=common | {"stage": "steer", "model": champion, "dataset": "synthetic"},
        datasets=data,
        artifacts=[(path, to) for path, to in files if path.is_file()],
        span=Timeline.of(results.project, "steer").whole,
    )


def _steering_key(key: str) -> str:
    return f"intervals/{key}" if key.endswith(("_ci_low", "_ci_high")) else key


def _pipeline_spec(
    results: Results, specs: list[RunSpec], hashes: dict[str, str], common: dict[str, str]
) -> RunSpec:
    project = results.project
    params = flat_params(results, tuple(results.params.model_dump(by_alias=True)))
    reports = project.reports
    files = [(reports / "index.html", "report"), (project.root / "MODEL_CARD.md", "report")]
    files += [(reports / "validation.json", "report"), (reports / "data.html", "report")]
    files += [(path, "plots") for path in sorted((reports / "plots").glob("*.png"))]
    if results.sheet:
        files.append((results.sheet, "steering"))
    champion, first = results.params.train.champion, results.datasets[0]
    rows = results.evaluation.filter(dataset=first, model=champion)
    metrics = [m for m in headline_metrics(rows) if "/" not in m[0]]
    metrics += gain_metrics(results, first, champion)
    metrics += [(f"headline/{k}", v, 0) for k, v in results.headline.items() if math.isfinite(v)]
    if results.steered:
        metrics += [(k, v, 0) for k, v in results.steering.items() if "_ci_" not in k]
    return RunSpec(
        name=PIPELINE,
        hash=stable_hash({"kind": PIPELINE, "runs": [s.hash for s in specs], "params": params}),
        note=(
            f"One run of the whole pipeline on {', '.join(results.datasets)}; champion "
            f"`{champion}`. Under Artifacts: `report/index.html` (everything in one page), the "
            f"model card, the validation summary and all plots. Metrics without a prefix are the "
            f"champion's on {first}."
        ),
        params=params,
        metrics=most_important_first(metrics),
        tags=common
        | {"stage": "report", "model": champion, "dataset": ", ".join(hashes)}
        | gain_tags(results, first, champion),
        datasets=hashes,
        artifacts=[(path, to) for path, to in files if path.is_file()],
        span=pipeline_span(project),
        tables={"models.json": model_table(results)},
        live=os.environ.get(SESSION_ENV, ""),
    )
