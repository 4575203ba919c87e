"""Publish results to MLflow: find each run by the hash of what produced it, or create it.

A cached stage therefore still shows, nothing is logged twice, and a deleted ``mlflow.db`` heals,
with the recorded times. A run that was made while it went on (`pamela.registry.tracking.live`) is
completed. Run by ``python -m flows.publish`` and by the report stage. MLflow is imported only when
there is something to write.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import scan_table, writing_to
from pamela.core.paths import Project
from pamela.params import Params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.mlflow_logging import quieten_mlflow
from pamela.registry.reachable import is_database, require_server, said_by, shown
from pamela.registry.tracking.local_client import saying_where
from pamela.registry.tracking.remote_client import reason_of, telling, told
from pamela.registry.tracking.runs import RunSpec
from pamela.registry.tracking.runs_table import EXPERIMENT_TAGS, NOTE

if TYPE_CHECKING:
    from mlflow import MlflowClient

HASH = "pamela.hash"
ARTIFACTS = "pamela.artifacts"
PARENT = "mlflow.parentRunId"
CONTEXT = "training and evaluation"  # of the datasets
BATCH = 1000  # metrics that one log_batch call takes
SMALL_BATCH = 100  # params or tags
LIVE = "pamela.live"  # the tag of a run that is not complete yet
OWNER = "pamela.owner"  # the tag that says which process makes a live run
T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """A run that MLflow shows now; `created` says whether it is new."""

    name: str
    run_id: str
    created: bool


def client_of(project: Project, params: Params) -> MlflowClient:
    """Return a client of the project's tracking store, with telemetry and chatter off."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # seconds; 7 take minutes
    uri = tracking_uri(params, project.root)
    require_server(uri)
    quieten_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    database, place = sqlite_reader.database_file(uri), f"{said_by()} {shown(uri)}"
    try:
        with writing_to(database.parent) if database else told(place):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    except (MlflowException, ImportError) as error:  # or no driver of that database
        raise PamelaError(f"{place}: MLflow cannot open it ({reason_of(error)})") from None
    if database:
        client = saying_where(client, database, project.mlartifacts)
    shared = database is None or params.tracking.artifacts is not None
    return telling(client, place) if shared else client


def artifact_root(project: Project, params: Params) -> str | None:
    """Return where a new experiment keeps its artifacts; None leaves it to a tracking server.

    Raises
    ------
    PamelaError
        Where nothing says it: MLflow would take a folder that nobody else has.
    """
    uri, asked = tracking_uri(params, project.root), params.tracking.artifacts
    if asked is not None:
        folder = sqlite_reader.local_path(asked)
        return asked if folder is None else (project.root / folder).as_uri()
    if sqlite_reader.database_file(uri) is not None:
        return (project.mlartifacts / "runs").as_uri()
    if is_database(uri):
        raise PamelaError(
            f"params.yaml: tracking.artifacts is null, and {shown(uri)} is a database, which keeps "
            "no files: name a place that all who share it reach, such as s3://bucket/mlflow "
            "(docs/scale.md)"
        )
    return None


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
        found.append(_publish_one(client, experiment, spec, project))
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
    try:
        return str(client.create_experiment(name, artifact_root(project, params), EXPERIMENT_TAGS))
    except PamelaError:
        made_meanwhile = client.get_experiment_by_name(name)  # by another project that shares it
        if made_meanwhile is None:
            raise
        return str(made_meanwhile.experiment_id)


def _moved(project: Project, params: Params, location: str | None) -> bool:
    """Whether artifacts would leave the project although the database is inside it."""
    database = sqlite_reader.database_file(tracking_uri(params, project.root))
    folder = sqlite_reader.local_path(location) if location else None
    if database is None or folder is None or not database.is_relative_to(project.root):
        return False
    if location == artifact_root(project, params):
        return False
    return not folder.is_relative_to(project.root)


def find_run(client: MlflowClient, experiment: str, hash_: str) -> Any | None:
    """Return the finished run that was produced by `hash_`, or None."""
    found = client.search_runs(
        [experiment], f"tags.`{HASH}` = '{hash_}' and attributes.status = 'FINISHED'", max_results=1
    )
    return found[0] if found else None


def live_runs(client: MlflowClient, experiment: str, what: str) -> list[Any]:
    """Return the runs that were made while `what` went on and are not complete yet."""
    if not what:
        return []
    return list(client.search_runs([experiment], f"tags.`{LIVE}` = '{what}'"))


def _publish_one(
    client: MlflowClient, experiment: str, spec: RunSpec, project: Project
) -> Published:
    run, live = find_run(client, experiment, spec.hash), live_runs(client, experiment, spec.live)
    if run is None and live:
        return Published(spec.name, _complete(client, live[0], spec, project), created=True)
    if run is None:
        return Published(spec.name, create_run(client, experiment, spec, project), created=True)
    for double in live:  # it came to the same result
        client.delete_run(double.info.run_id)
    folder = sqlite_reader.local_path(run.info.artifact_uri)
    lost = bool(spec.artifacts) and folder is not None and not folder.is_dir()
    if lost or run.data.tags.get(ARTIFACTS) != spec.artifacts_hash:
        _log_artifacts(client, run.info.run_id, spec)
    return Published(spec.name, run.info.run_id, created=False)


def create_run(
    client: MlflowClient, experiment: str, spec: RunSpec, project: Project | None = None
) -> str:
    """Log a whole run; an interrupted one is deleted, so that none is left half-filled."""
    now = time.time()
    start, end = (spec.span.start, spec.span.end) if spec.span else (now, None)
    made = client.create_run(
        experiment, milliseconds(start), spec.tags | {NOTE: spec.note, HASH: spec.hash}, spec.name
    )
    run_id: str = made.info.run_id
    try:
        _fill(client, run_id, spec, set(), project)
        client.set_terminated(run_id, end_time=milliseconds(end or time.time()))
    except BaseException:
        client.delete_run(run_id)
        raise
    return run_id


def _complete(client: MlflowClient, run: Any, spec: RunSpec, project: Project) -> str:
    """Add to a run that was made while it went on what it lacks.

    It gets its hash last: a completion that is interrupted is gone on with by the next one.
    """
    from mlflow.entities import RunTag

    run_id = str(run.info.run_id)
    present = {
        (key, point.step)
        for key in run.data.metrics
        if key.startswith("training/")
        for point in client.get_metric_history(run_id, key)
    }
    _fill(client, run_id, spec, present | {(key, 0) for key in run.data.metrics}, project)
    client.update_run(run_id, name=spec.name)
    tags = spec.tags | {NOTE: spec.note, HASH: spec.hash}
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    for tag in (LIVE, OWNER):
        if tag in run.data.tags:
            client.delete_tag(run_id, tag)
    client.set_terminated(run_id, end_time=run.info.end_time or milliseconds(time.time()))
    return run_id


def _fill(
    client: MlflowClient,
    run_id: str,
    spec: RunSpec,
    present: set[tuple[str, int]],
    project: Project | None,
) -> None:
    """Log metrics but those that are `present`, params, datasets, artifacts and tables."""
    from mlflow.entities import Metric, Param

    end = spec.span.end if spec.span else time.time()
    points = [
        Metric(key, value, milliseconds(spec.times.get((key, step), end)), step)
        for key, value, step in spec.metrics
        if (key, step) not in present
    ]
    for batch in _batches(points, BATCH):
        client.log_batch(run_id, metrics=batch)
    pairs = [Param(key, value) for key, value in sorted(spec.params.items())]
    for some in _batches(pairs, SMALL_BATCH):
        client.log_batch(run_id, params=some)
    _log_inputs(client, run_id, spec, project)
    _log_artifacts(client, run_id, spec)


def milliseconds(seconds: float) -> int:
    """Return a time since 1970 as MLflow counts it."""
    return int(seconds * 1000)


def _log_artifacts(client: MlflowClient, run_id: str, spec: RunSpec) -> None:
    for path, folder in spec.artifacts:
        client.log_artifact(run_id, str(path), folder)
    there = {one.path for one in client.list_artifacts(run_id)}
    for name, rows in spec.tables.items():
        if name not in there:  # MLflow would append
            client.log_table(run_id, rows.to_dict(as_series=False), name)
    client.set_tag(run_id, ARTIFACTS, spec.artifacts_hash)


def _log_inputs(client: MlflowClient, run_id: str, spec: RunSpec, project: Project | None) -> None:
    """Name the datasets, with their columns and their size where the tables are at hand."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for name, digest in spec.datasets.items():
        schema, profile = described(project, name, digest) if project else (None, None)
        made = Dataset(name, digest[:8], "local", '{"uri": "data/validated"}', schema, profile)
        inputs.append(DatasetInput(made, [InputTag("mlflow.data.context", CONTEXT)]))
    client.log_inputs(run_id, datasets=inputs)


@lru_cache(maxsize=32)
def described(project: Project, name: str, _digest: str) -> tuple[str, str]:
    """Return the columns of a dataset's ratings and its size, as MLflow shows them: JSON."""
    from mlflow.data.polars_dataset import infer_schema

    own = pl.col(s.DATASET) == name
    rows = scan_table(project.validated / "ratings.parquet", s.RATINGS_SCHEMA).filter(own).collect()
    choices = scan_table(project.validated / "choices.parquet", s.CHOICES_SCHEMA).filter(own)
    chosen = choices.select(s.USER, s.IMAGE_A, s.IMAGE_B).collect()
    users = pl.concat([rows[s.USER], chosen[s.USER]])
    images = pl.concat([rows[s.IMAGE], chosen[s.IMAGE_A], chosen[s.IMAGE_B]])
    counts = {"ratings": rows.height, "users": users.n_unique(), "images": images.n_unique()}
    counts |= {"choices": chosen.height} if chosen.height else {}
    return json.dumps({"mlflow_colspec": infer_schema(rows).to_dict()}), json.dumps(counts)


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
