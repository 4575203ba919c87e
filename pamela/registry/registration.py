"""The model registry: a bundle becomes a version of MLflow's registered model ``pamela``.

A version is a bundle (`pamela.training.bundle`, opaque here) copied to
``mlartifacts/registry/<hash>/``, because ``models/`` is overwritten by the next run. Each version
records that folder relative to the project root, so that a moved project still loads it; MLflow's
own source is the fallback. `pamela.registry.versions` finds it again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, folder_sha256, read_json
from pamela.core.paths import Project
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.provenance import SHORT, dataset_hashes, git_state
from pamela.evaluation.results import POPULATIONS, Results, headline_rows
from pamela.params import Params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.mlflow_model import DESCRIPTION_FILE, write_mlflow_files
from pamela.registry.publish import client_of, experiment_id, find_run
from pamela.registry.run_metrics import note_line, with_interval
from pamela.registry.runs import evaluation_hash
from pamela.registry.sqlite_reader import PATH
from pamela.registry.versions import CHAMPION, NAME, choose, list_versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER = "challenger"
BUNDLE_HASH = "bundle_hash"
DESCRIPTION = (
    "Personal reward models: how much a given person likes a given picture. "
    "Load one with `pamela.load('models:/pamela@champion')`. The alias `champion` is what users "
    "get; it moves only when a challenger is not worse on the same hold-out."
)


def register_if_empty(project: Project, params: Params) -> str | None:
    """Register ``models/bundle`` as champion when nothing is registered; return its version.

    A registered copy that was deleted is restored where ``models/bundle`` still is that model.
    """
    versions = list_versions(project, params)
    if not versions:
        version = _register(project, params, project.models / "bundle")
        set_champion(project, params, version, reason="the first registered model")
        return version
    lost = [project.root / v.path for v in versions if v.path]
    lost = [folder for folder in lost if not _is_whole(folder)]
    if lost:
        bundle, digest = project.models / "bundle", bundle_hash(project.models / "bundle")
        for folder in lost:
            if folder.name == digest:
                _keep_copy(project, bundle, digest)
            elif folder.is_dir():  # kept before copies were MLflow models
                write_mlflow_files(folder)
    return None


def is_registered(project: Project, params: Params) -> bool:
    """Return whether the champion and its files are there (no MLflow import with SQLite)."""
    found = list_versions(project, params)
    return bool(found) and all(not v.path or _is_whole(project.root / v.path) for v in found)


def register_challenger(project: Project, params: Params, *, bundle: Path | None = None) -> str:
    """Register a bundle under the alias ``challenger`` and return its version.

    A bundle that is registered already keeps its version.

    Parameters
    ----------
    bundle : default ``models/bundle``.
    """
    bundle = bundle or project.models / "bundle"
    digest = bundle_hash(bundle)
    known = [v for v in list_versions(project, params) if v.tags.get(BUNDLE_HASH) == digest]
    version = known[-1].version if known else _register(project, params, bundle)
    _keep_copy(project, bundle, digest)
    client_of(project, params).set_registered_model_alias(NAME, CHALLENGER, version)
    return version


def set_champion(project: Project, params: Params, version: str, *, reason: str = "") -> None:
    """Move the alias ``champion`` to `version`; `reason` is kept as the version's tag."""
    versions = list_versions(project, params)
    mine = choose(f"models:/{NAME}/{version}", versions, None, str(version))
    client = client_of(project, params)
    client.set_registered_model_alias(NAME, CHAMPION, mine.version)
    if CHALLENGER in mine.aliases:
        client.delete_registered_model_alias(NAME, CHALLENGER)
    if reason:
        client.set_model_version_tag(NAME, mine.version, "promoted_because", reason)


def bundle_hash(bundle: Path) -> str:
    """Return the hash that names a bundle's registered copy."""
    if not (bundle / "bundle.json").is_file():
        raise PamelaError(
            f"{bundle}: no bundle.json, so nothing to register; run `dvc repro train`"
        )
    return folder_sha256(bundle)[:SHORT]


def _keep_copy(project: Project, bundle: Path, digest: str) -> Path:
    """Copy a bundle to its content-addressed folder, as an MLflow model, unless it is there."""
    kept = project.mlartifacts / "registry" / digest
    if not _is_whole(kept):
        with atomic_folder(kept) as aside:
            shutil.copytree(bundle, aside, dirs_exist_ok=True)
            write_mlflow_files(aside)
    return kept


def _is_whole(folder: Path) -> bool:
    """Tell whether a registered copy is there, and one that MLflow can serve."""
    return (folder / DESCRIPTION_FILE).is_file()


def _register(project: Project, params: Params, bundle: Path) -> str:
    meta = read_json(bundle / "bundle.json")
    digest = bundle_hash(bundle)
    kept = _keep_copy(project, bundle, digest)
    client = client_of(project, params)
    run = _run_of(client, project, params, meta)
    source = kept.as_uri()
    if sqlite_reader.database_file(tracking_uri(params, project.root)) is None and run is not None:
        client.log_artifacts(run.info.run_id, str(kept), "bundle")  # a remote server keeps its own
        source = f"{run.info.artifact_uri}/bundle"
    numbers = _headline(project, params, meta)
    tags = _tags(project, meta) | {k: v for k, (v, _) in numbers.items()}
    tags |= {BUNDLE_HASH: digest, PATH: project.relative(kept)}
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME, description=DESCRIPTION)
    made = client.create_model_version(
        NAME,
        source,
        run_id=run.info.run_id if run else None,
        tags=tags,
        description=_describe(meta, numbers),
    )
    return str(made.version)


def _run_of(client: MlflowClient, project: Project, params: Params, meta: dict[str, Any]) -> Any:
    """Return the run in which this model was evaluated, or None where it is not published."""
    results = Results(project, params)
    hashes = dataset_hashes(project)
    for dataset in results.datasets:
        if dataset in meta["datasets"]:
            identity = evaluation_hash(results, dataset, meta["model"], hashes[dataset])
            return find_run(client, experiment_id(client, project, params), identity)
    return None


def _tags(project: Project, meta: dict[str, Any]) -> dict[str, str]:
    hashes = dataset_hashes(project)
    encoder = meta["encoder"]
    return {
        "model": meta["model"],
        "model_hash": meta["model_hash"],
        **twin_tags(meta),
        "encoder": encoder["encoder"] if isinstance(encoder, dict) else str(encoder),
        "datasets": ", ".join(f"{n} ({hashes[n]})" if n in hashes else n for n in meta["datasets"]),
        "git_commit": git_state(project).commit,
    }


def twin_tags(meta: dict[str, Any]) -> dict[str, str]:
    """Return what tells a version's served model from the one whose figures stand beside it."""
    evaluated = meta.get("evaluated")
    if evaluated is None:
        return {}
    return {
        "fitted_on": f"{meta['fitted_on']} ({meta['ratings']})",
        "evaluated_model_hash": evaluated["model_hash"],
        "evaluated_model_fitted_on": f"{evaluated['fitted_on']} ({evaluated['ratings']})",
        "figures_of": "the fits of the folds, on held-out ratings; not of the served model",
    }


def _headline(project: Project, params: Params, meta: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Return ``{population_metric: (value, with interval)}`` on the bundle's first dataset."""
    results = Results(project, params)
    first = next((d for d in results.datasets if d in meta["datasets"]), None)
    rows = results.evaluation.filter(dataset=first, model=meta["model"])
    numbers = {}
    for metric in (SROCC, PAIRWISE_ACCURACY):
        for row in headline_rows(rows, metric, margin=0.0).drop_nulls("value").to_dicts():
            key = f"{row['population']}_{metric}"
            numbers[key] = (f"{row['value']:.3f}", with_interval(row))
    return numbers


def _describe(meta: dict[str, Any], numbers: dict[str, tuple[str, str]]) -> str:
    lines = [
        f"Model `{meta['model']}` on {', '.join(meta['datasets'])}; means over users with 95 % "
        "bootstrap intervals. The figures are of the fits of the folds, on ratings they did not "
        "see; what serves is one more fit, on all ratings.",
        "",
    ]
    for metric, title in ((SROCC, "SROCC"), (PAIRWISE_ACCURACY, "pairwise accuracy")):
        figures = {p: numbers.get(f"{p}_{metric}", ("", "–"))[1] for p in POPULATIONS}
        lines.append(note_line(title, figures))
    return "\n".join(lines)
