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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.evaluation.provenance import dataset_hashes
from pamela.evaluation.results import Results
from pamela.params import Params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.copies import (
    BUNDLE,
    BUNDLE_HASH,
    content_hash,
    keep_copy,
    locked,
    remember_champion,
    remembered_champion,
)
from pamela.registry.sqlite_reader import PATH, Version
from pamela.registry.tracking.live import owner
from pamela.registry.tracking.publish import HASH, OWNER, client_of, experiment_id, find_run
from pamela.registry.tracking.runs import evaluation_hash
from pamela.registry.version_facts import data_tags, describe, headline, is_measured, model_tags
from pamela.registry.versions import (
    AGAIN,
    CHALLENGER,
    CHAMPION,
    DECISION,
    FIRST,
    HEAL,
    HEALER,
    NAME,
    PREVIOUS,
    PROMOTED_AS,
    PROMOTED_AT,
    PROMOTED_BECAUSE,
    PROMOTED_BY,
    PROMOTED_NTH,
    PROMOTED_OVER,
    PROMOTION,
    aliases_of,
    choose,
    list_versions,
    nth_promotion,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

DESCRIPTION = (
    "Personal reward models: how much a given person likes a given picture. "
    "Load one with `pamela.load('models:/pamela@champion')`. The alias `champion` is what users "
    "get; it moves when a challenger passes the gate, or by `pamela promote`. `previous` is the "
    "version before it, to which `pamela rollback` returns."
)


def register_if_empty(project: Project, params: Params) -> str | None:
    """Register ``models/bundle`` as champion when nothing is registered; return its version.

    Where another version served before the database was lost, that one is registered again. What
    an interrupted attempt has left is mended by `pamela.registry.healing.heal`.
    """
    with locked(project):
        if list_versions(project, params):
            return None
        tags = remembered_champion(project)
        if tags is None:
            version = register(project, params, project.models / BUNDLE)
            move_champion(project, params, version, Promotion(FIRST, action="first"))
        else:
            own = {key: value for key, value in tags.items() if key not in PROMOTION}
            version = register(project, params, project.root / tags[PATH], own)
            why = f"{AGAIN}: {tags.get(PROMOTED_BECAUSE, '').removeprefix(f'{AGAIN}: ')}"
            move_champion(project, params, version, Promotion(why, HEALER, HEAL))
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
    tags : further tags of a version that is made, such as figures where the bundle's model is not
        the one that stage evaluate measured.
    """
    with locked(project):
        version = register(project, params, bundle or project.models / BUNDLE, tags)
        client_of(project, params).set_registered_model_alias(NAME, CHALLENGER, version)
    return version


@dataclass(frozen=True)
class Promotion:
    """Why a version becomes champion; kept in its tags.

    Attributes
    ----------
    reason, by, action : why, who decided, and as what kind of decision.
    decision : its id; one is drawn where there is none.
    over : the version that the decision was about; None: whichever is champion.
    """

    reason: str
    by: str = "gate"
    action: str = "promote"
    decision: str = ""
    over: str | None = None


def set_champion(project: Project, params: Params, version: str, promotion: Promotion) -> None:
    """Move the alias ``champion`` to `version`, and ``previous`` to the version that held it.

    May be repeated: to move it to the version that holds it completes what was interrupted.

    Raises
    ------
    PamelaError
        If there is no such version, or another one than ``promotion.over`` is champion now.
    """
    with locked(project):
        move_champion(project, params, version, promotion)


def move_champion(project: Project, params: Params, version: str, promotion: Promotion) -> None:
    """Do the work of `set_champion`; the caller holds the lock.

    The tags come first, then the one write that counts, then what follows from the tags: an
    interruption leaves either nothing or what `pamela.registry.healing` completes.
    """
    versions = list_versions(project, params)
    mine = choose(f"models:/{NAME}/{version}", versions, None, str(version))
    client = client_of(project, params)
    if CHAMPION not in mine.aliases:
        holder = next((v.version for v in versions if CHAMPION in v.aliases), "")
        _require_holder(holder, promotion.over if promotion.over is not None else holder, version)
        tags = {
            PROMOTED_AT: now_utc(),
            PROMOTED_BY: promotion.by,
            PROMOTED_BECAUSE: promotion.reason,
            PROMOTED_OVER: holder,
            PROMOTED_AS: promotion.action,
            PROMOTED_NTH: str(1 + max(map(nth_promotion, versions))),
            DECISION: promotion.decision or secrets.token_hex(8),  # the last one: all are there
        }
        for key, value in tags.items():
            client.set_model_version_tag(NAME, mine.version, key, value)
        # the lock is this project's: another one that shares the registry may have been faster
        _require_holder(aliases_of(project, params).get(CHAMPION, ""), holder, version)
        client.set_registered_model_alias(NAME, CHAMPION, mine.version)
        mine = Version(mine.version, mine.aliases, mine.tags | tags, mine.source)
    settle_aliases(client, mine, [v.version for v in versions])
    remember_champion(project, mine)


def _require_holder(holder: str, expected: str, version: str) -> None:
    """Raise unless the champion is still the version that another one is to replace."""
    if holder != expected:
        raise PamelaError(
            f"version {version} was to replace version {expected or '(none)'} as "
            f"champion, but {f'version {holder}' if holder else 'no version'} is champion now: "
            "nothing was moved; run it again"
        )


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
    return _make_version(project, params, kept, dict(more or {}))


def _make_version(project: Project, params: Params, kept: Path, more: dict[str, str]) -> str:
    meta = read_json(kept / "bundle.json")
    client = client_of(project, params)
    measured = is_measured(project, meta)
    run = _run_of(client, project, params, meta) if measured else None
    source = kept.as_uri()
    if sqlite_reader.database_file(tracking_uri(params, project.root)) is None:
        run, source = _keep_at_server(client, experiment_id(client, project, params), kept, run)
    run_id = run.info.run_id if run else None
    numbers = headline(project, params, meta) if measured else {}
    tags = model_tags(meta) | data_tags(project, meta) | {k: v for k, (v, _) in numbers.items()}
    tags |= {BUNDLE_HASH: kept.name, PATH: project.relative(kept)} | more
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME, description=DESCRIPTION)
    made = client.create_model_version(
        NAME,
        source,
        run_id=run_id,
        tags=tags,
        description=describe(meta, numbers),
    )
    return str(made.version)


def _keep_at_server(
    client: MlflowClient, experiment: str, kept: Path, run: Any | None
) -> tuple[Any, str]:
    """Upload a bundle for all who share the registry; return its run and where it lies.

    Parameters
    ----------
    run : in which the bundle's model was evaluated; the bundle gets one of its own without.
    """
    identity = f"{BUNDLE} {kept.name}"
    made = None
    if run is None:
        run = find_run(client, experiment, identity)  # all of it, from an earlier attempt
        if run is not None:
            return run, f"{run.info.artifact_uri}/{BUNDLE}"
        tags = {HASH: identity, OWNER: owner()}
        run = made = client.create_run(experiment, tags=tags, run_name=kept.name)
    try:
        client.log_artifacts(run.info.run_id, str(kept), BUNDLE)
    except BaseException:
        if made is not None:
            with suppress(PamelaError):  # the server may be what has failed
                client.delete_run(made.info.run_id)
        raise
    if made is not None:
        client.set_terminated(made.info.run_id)
    return run, f"{run.info.artifact_uri}/{BUNDLE}"


def _run_of(client: MlflowClient, project: Project, params: Params, meta: dict[str, Any]) -> Any:
    """Return the run in which this model was evaluated, or None where it is not published."""
    results = Results(project, params)
    hashes = dataset_hashes(project)
    for dataset in results.datasets:
        if dataset in meta["datasets"]:
            identity = evaluation_hash(results, dataset, meta["model"], hashes[dataset])
            return find_run(client, experiment_id(client, project, params), identity)
    return None
