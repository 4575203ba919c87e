"""The model registry: a bundle becomes a version of MLflow's registered model ``pamela``.

A version is a bundle (`pamela.training.bundle`, opaque here) with a copy of its own
(`pamela.registry.copies`). Each version records that folder relative to the project root, so that a
moved project still loads it; MLflow's own source is the fallback. `pamela.registry.versions` finds
it again. Each step may be the last before a crash: what is then amiss, `pamela.registry.healing`
mends.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.core.strict_yaml import read_yaml
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.provenance import dataset_hashes, git_state, model_hashes
from pamela.evaluation.results import POPULATIONS, Results, headline_rows
from pamela.params import Params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.copies import BUNDLE, BUNDLE_HASH, content_hash, keep_copy, locked
from pamela.registry.publish import client_of, experiment_id, find_run
from pamela.registry.run_metrics import with_interval
from pamela.registry.runs import evaluation_hash
from pamela.registry.sqlite_reader import PATH, Version
from pamela.registry.versions import CHALLENGER, CHAMPION, NAME, PREVIOUS, choose, list_versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Tags of a version that serves or served, of the last time that it came to it.
PROMOTED_AT: Final = "promoted_at"
PROMOTED_BY: Final = "promoted_by"
PROMOTED_BECAUSE: Final = "promoted_because"
PROMOTED_OVER: Final = "promoted_over"  # the version that served before; empty where none did
PROMOTED_AS: Final = "promoted_as"  # what kind of decision it was
DECISION: Final = "decision"  # its id in the records; written last of these
FIRST: Final = "the first registered model"
MOST_BATCHES: Final = 2000  # that a tag names
DESCRIPTION = (
    "Personal reward models: how much a given person likes a given picture. "
    "Load one with `pamela.load('models:/pamela@champion')`. The alias `champion` is what users "
    "get; it moves when a challenger passes the gate, or by `pamela promote`. `previous` is the "
    "version before it, to which `pamela rollback` returns."
)


def register_if_empty(project: Project, params: Params) -> str | None:
    """Register ``models/bundle`` as champion when nothing is registered; return its version.

    What an interrupted attempt has left is mended by `pamela.registry.healing.heal`.
    """
    with locked(project):
        if list_versions(project, params):
            return None
        version = register(project, params, project.models / BUNDLE)
        move_champion(project, params, version, reason=FIRST, action="first")
        return version


def register_challenger(
    project: Project,
    params: Params,
    *,
    bundle: Path | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Register a bundle under the alias ``challenger`` and return its version.

    A bundle that is registered already keeps its version.

    Parameters
    ----------
    bundle : default ``models/bundle``.
    tags : further tags of a version that is made.
    """
    with locked(project):
        version = register(project, params, bundle or project.models / BUNDLE, tags or {})
        client_of(project, params).set_registered_model_alias(NAME, CHALLENGER, version)
    return version


def set_champion(
    project: Project,
    params: Params,
    version: str,
    *,
    reason: str = "",
    by: str = "gate",
    action: str = "promote",
    decision: str = "",
    at: str | None = None,
    over: str | None = None,
) -> None:
    """Move the alias ``champion`` to `version`, and ``previous`` to the version that held it.

    May be repeated: to move it to the version that holds it completes what was interrupted.

    Parameters
    ----------
    reason, by, action, decision, at : kept as tags: why, who, what kind of decision, its id, when
        (ISO 8601; default now).
    over : the version that the decision was about.

    Raises
    ------
    PamelaError
        If there is no such version, or another one than `over` holds the alias now.
    """
    with locked(project):
        move_champion(
            project, params, version, reason=reason, by=by, action=action, decision=decision,
            at=at, over=over,
        )  # fmt: skip


def move_champion(
    project: Project,
    params: Params,
    version: str,
    *,
    reason: str,
    by: str = "gate",
    action: str = "promote",
    decision: str = "",
    at: str | None = None,
    over: str | None = None,
) -> None:
    """Do the work of `set_champion`; the caller holds the lock.

    The tags come first, then the one write that counts, then what follows from the tags: an
    interruption leaves either nothing or what `pamela.registry.healing` completes.
    """
    versions = list_versions(project, params)
    mine = choose(f"models:/{NAME}/{version}", versions, None, str(version))
    client = client_of(project, params)
    if CHAMPION not in mine.aliases:
        holder = next((v.version for v in versions if CHAMPION in v.aliases), "")
        if over is not None and holder != over:
            raise PamelaError(
                f"version {version} was to replace version {over or '(none)'} as champion, but "
                f"{f'version {holder}' if holder else 'no version'} is champion now: nothing was "
                "moved; run it again"
            )
        tags = {
            PROMOTED_AT: at or now_utc(),
            PROMOTED_BY: by,
            PROMOTED_BECAUSE: reason,
            PROMOTED_OVER: holder,
            PROMOTED_AS: action,
            DECISION: decision or secrets.token_hex(8),
        }
        for key, value in tags.items():
            client.set_model_version_tag(NAME, mine.version, key, value)
        client.set_registered_model_alias(NAME, CHAMPION, mine.version)
        mine = Version(mine.version, mine.aliases, mine.tags | tags, mine.source)
    settle_aliases(client, mine, [v.version for v in versions])


def settle_aliases(client: MlflowClient, champion: Version, versions: list[str]) -> None:
    """Let ``previous`` name what `champion` replaced; nobody is champion and challenger."""
    over = champion.tags.get(PROMOTED_OVER)
    if over in versions and over != champion.version:
        client.set_registered_model_alias(NAME, PREVIOUS, over)
    if CHALLENGER in champion.aliases:
        client.delete_registered_model_alias(NAME, CHALLENGER)


def now_utc() -> str:
    """Return the time as ``2026-11-29T03:00:00Z``."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def register(
    project: Project, params: Params, bundle: Path, more: Mapping[str, str] | None = None
) -> str:
    """Return the version of a bundle, which is made where there is none; the caller has the lock.

    The copy comes first, then the version with all its tags in one write.
    """
    digest = content_hash(bundle)
    kept = keep_copy(project, bundle, digest)
    known = [v for v in list_versions(project, params) if v.tags.get(BUNDLE_HASH) == digest]
    if known:
        return known[-1].version
    return _make_version(project, params, kept, digest, dict(more or {}))


def _make_version(
    project: Project, params: Params, kept: Path, digest: str, more: dict[str, str]
) -> str:
    meta = read_json(kept / "bundle.json")
    client = client_of(project, params)
    evaluated = _is_evaluated(project, meta)
    run = _run_of(client, project, params, meta) if evaluated else None
    source = kept.as_uri()
    if sqlite_reader.database_file(tracking_uri(params, project.root)) is None and run is not None:
        client.log_artifacts(run.info.run_id, str(kept), "bundle")  # a remote server keeps its own
        source = f"{run.info.artifact_uri}/bundle"
    numbers = _headline(project, params, meta) if evaluated else {}
    tags = model_tags(meta) | _data_tags(project, meta) | {k: v for k, (v, _) in numbers.items()}
    tags |= {BUNDLE_HASH: digest, PATH: project.relative(kept)} | more
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


def _is_evaluated(project: Project, meta: dict[str, Any]) -> bool:
    """Tell whether the figures in ``reports/`` are those of this bundle's model."""
    hashes = model_hashes(project, meta["model"])
    return hashes.get("fold_0") == meta.get("evaluated", meta)["model_hash"]


def _run_of(client: MlflowClient, project: Project, params: Params, meta: dict[str, Any]) -> Any:
    """Return the run in which this model was evaluated, or None where it is not published."""
    results = Results(project, params)
    hashes = dataset_hashes(project)
    for dataset in results.datasets:
        if dataset in meta["datasets"]:
            identity = evaluation_hash(results, dataset, meta["model"], hashes[dataset])
            return find_run(client, experiment_id(client, project, params), identity)
    return None


def model_tags(meta: dict[str, Any]) -> dict[str, str]:
    """Return the tags that the bundle itself tells."""
    encoder = meta["encoder"]
    return {
        "model": meta["model"],
        "model_hash": meta["model_hash"],
        **twin_tags(meta),
        "encoder": encoder["encoder"] if isinstance(encoder, dict) else str(encoder),
    }


def _data_tags(project: Project, meta: dict[str, Any]) -> dict[str, str]:
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
    title = f"Model `{meta['model']}` on {', '.join(meta['datasets'])}"
    if not numbers:
        return f"{title}; what the gate found stands in its tags."
    lines = [
        f"{title}; mean over users, "
        "95 % intervals, unseen users at 0 shots. The figures are of the fits of the folds, on "
        "ratings they did not see; what serves is one more fit, on all ratings.",
        "",
        "| | seen users | unseen users |",
        "|---|---:|---:|",
    ]
    for metric, title in ((SROCC, "SROCC"), (PAIRWISE_ACCURACY, "pairwise accuracy")):
        cells = (numbers.get(f"{p}_{metric}", ("", "–"))[1] for p in POPULATIONS)
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)
