"""Publish results to MLflow: find each run by the hash of what produced it, or create it.

A cached stage therefore still shows, nothing is logged twice, and a deleted ``mlflow.db`` heals.
Run by ``python -m flows.publish`` and by the report stage. MLflow is imported only when there is
something to write.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import Params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.reachable import require_server, said_by, shown
from pamela.registry.runs import RunSpec

if TYPE_CHECKING:
    from mlflow import MlflowClient

HASH = "pamela.hash"
ARTIFACTS = "pamela.artifacts"
NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
BATCH = 1000  # metrics that one log_batch call takes
SMALL_BATCH = 100  # params or tags
VIEW = "pamela"  # the name of the saved view of the runs table
COLUMNS = (
    "metrics.`seen_srocc`",
    "metrics.`unseen_srocc`",
    "metrics.`seen_pairwise_accuracy`",
    "metrics.`unseen_pairwise_accuracy`",
    "metrics.`seen_gain_over_population`",
    "attributes.`Dataset`",
    "tags.`reason`",
    "tags.`git_commit`",
)
EXPERIMENT_TAGS = {
    f"mlflow.sharedViewState.{VIEW}": json.dumps({"selectedColumns": COLUMNS}),
    "mlflow.experimentKind": "custom_model_development",
    NOTE: (
        "Personal reward models: one run per evaluated model and dataset, one for steering, and "
        "`pipeline`, which holds the report. A run is found again by the hash of what produced "
        "it (tag `pamela.hash`), so the same result is never logged twice."
    ),
}
T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """A run that MLflow shows now; `created` says whether it is new."""

    name: str
    run_id: str
    created: bool


def client_of(project: Project, params: Params) -> MlflowClient:
    """Return a client of the project's tracking store, with telemetry and chatter off."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_DISABLE_AGENT_HINT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # seconds; 7 take minutes
    uri = tracking_uri(params, project.root)
    require_server(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # after MLflow has set its own
    try:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except MlflowException as error:
        why = str(error).splitlines()[0]
        raise PamelaError(f"{said_by()} {shown(uri)}: MLflow cannot open it ({why})") from None


def artifact_root(project: Project, params: Params) -> str | None:
    """Return where a new experiment keeps its artifacts; None leaves it to a remote server."""
    local = sqlite_reader.database_file(tracking_uri(params, project.root)) is not None
    return (project.mlartifacts / "runs").as_uri() if local else None


def is_published(project: Project, params: Params, specs: Sequence[RunSpec]) -> bool:
    """Return whether these runs are there already, by a glance at the database alone.

    ``False`` also stands for "cannot tell".
    """
    uri, name = tracking_uri(params, project.root), params.report.experiment
    if _moved(project, params, sqlite_reader.known_experiment(uri, name, "artifact_location")):
        return False
    known = {run.tags.get(HASH): run for run in sqlite_reader.known_runs(uri, name) or []}
    for spec in specs:
        run = known.get(spec.hash)
        if run is None or run.tags.get(ARTIFACTS) != spec.artifacts_hash:
            return False
        folder = sqlite_reader.local_path(run.artifact_uri)
        if spec.artifacts and folder is not None and not folder.is_dir():
            return False
    return True


def publish(project: Project, params: Params, specs: Sequence[RunSpec]) -> list[Published]:
    """Find or create these runs, in order, each below its parent."""
    client = client_of(project, params)
    experiment = experiment_id(client, project, params)
    ids: dict[str, str] = {}
    found = []
    for spec in specs:
        if spec.parent:
            spec = replace(spec, tags=spec.tags | {PARENT: ids[spec.parent]})
        found.append(_publish_one(client, experiment, spec))
        ids[spec.hash] = found[-1].run_id
    return found


def experiment_id(client: MlflowClient, project: Project, params: Params) -> str:
    """Return the experiment's id, creating it where needed.

    An experiment whose artifacts lie in another folder (the project was moved or copied with its
    database) keeps its runs under a new name, and a fresh one is made here.
    """
    name = params.report.experiment
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found and _moved(project, params, found.artifact_location):
        client.rename_experiment(found.experiment_id, f"{name}-before-move-{found.experiment_id}")
        found = None
    if found:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_root(project, params), EXPERIMENT_TAGS))


def _moved(project: Project, params: Params, location: str | None) -> bool:
    """Whether artifacts would leave the project although the database is inside it."""
    database = sqlite_reader.database_file(tracking_uri(params, project.root))
    folder = sqlite_reader.local_path(location) if location else None
    if database is None or folder is None or not database.is_relative_to(project.root):
        return False
    return not folder.is_relative_to(project.root)


def find_run(client: MlflowClient, experiment: str, hash_: str) -> Any | None:
    """Return the finished run that was produced by `hash_`, or None."""
    found = client.search_runs(
        [experiment], f"tags.`{HASH}` = '{hash_}' and attributes.status = 'FINISHED'", max_results=1
    )
    return found[0] if found else None


def _publish_one(client: MlflowClient, experiment: str, spec: RunSpec) -> Published:
    run = find_run(client, experiment, spec.hash)
    if run is None:
        return Published(spec.name, create_run(client, experiment, spec), created=True)
    folder = sqlite_reader.local_path(run.info.artifact_uri)
    lost = bool(spec.artifacts) and folder is not None and not folder.is_dir()
    if lost or run.data.tags.get(ARTIFACTS) != spec.artifacts_hash:
        _log_artifacts(client, run.info.run_id, spec)
    return Published(spec.name, run.info.run_id, created=False)


def create_run(client: MlflowClient, experiment: str, spec: RunSpec) -> str:
    """Log a whole run; an interrupted one is deleted, so that none is left half-filled."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    tags = spec.tags | {NOTE: spec.note, HASH: spec.hash}
    run_id: str = client.create_run(experiment, tags=tags, run_name=spec.name).info.run_id
    try:
        points = [Metric(key, value, now, step) for key, value, step in spec.metrics]
        for batch in _batches(points, BATCH):
            client.log_batch(run_id, metrics=batch)
        pairs = [Param(key, value) for key, value in sorted(spec.params.items())]
        for some in _batches(pairs, SMALL_BATCH):
            client.log_batch(run_id, params=some)
        _log_inputs(client, run_id, spec)
        _log_artifacts(client, run_id, spec)
        client.set_terminated(run_id)
    except BaseException:
        client.delete_run(run_id)
        raise
    return run_id


def _log_artifacts(client: MlflowClient, run_id: str, spec: RunSpec) -> None:
    for path, folder in spec.artifacts:
        client.log_artifact(run_id, str(path), folder)
    client.set_tag(run_id, ARTIFACTS, spec.artifacts_hash)


def _log_inputs(client: MlflowClient, run_id: str, spec: RunSpec) -> None:
    """Name the datasets, so that the runs table has its dataset column filled."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(name=name, digest=digest[:8], source_type="local", source="data/validated"),
            [InputTag("mlflow.data.context", "evaluation")],
        )
        for name, digest in spec.datasets.items()
    ]
    client.log_inputs(run_id, datasets=inputs)


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
