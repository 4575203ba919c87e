"""MLflow while the pipeline runs: a run for the whole, one per model that is being fitted.

`flows.pipeline` watches what the train stage records (`pamela.core.timeline`): a fit that begins
becomes a run below the pipeline's, its curve arrives epoch by epoch, with MLflow's system metrics
beside it. The stages know nothing of it, so that no change here trains anything again. When the
results are there, `pamela.registry.tracking.publish` completes these runs. What is killed or fails
is shown as such.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psutil

from pamela.core import timeline
from pamela.core.dataset import count_folds
from pamela.core.paths import Project
from pamela.core.timeline import FIT, Event, Timeline
from pamela.params import Params, tracking_uri
from pamela.registry.tracking import publish
from pamela.registry.tracking.publish import LIVE, OWNER, PARENT, milliseconds
from pamela.registry.tracking.run_metrics import live_fit, training_key
from pamela.registry.tracking.runs import PIPELINE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

POLL_S: Final = 1.0  # between two looks at what was recorded
SAMPLE_S: Final = 2.0  # between two samples of the system metrics of a fit
PIPELINE_SAMPLE_S: Final = 15.0
WAIT_S: Final = 30.0  # for MLflow, once the pipeline has ended


@contextmanager
def shown_live(project: Project, params: Params, reason: str) -> Iterator[str]:
    """Show in MLflow what runs inside the block; yield the session's name for the stages."""
    session = uuid.uuid4().hex
    watcher = _Watcher(project, params, reason, session)
    watcher.start()
    try:
        yield session
    except BaseException as error:
        watcher.end("FAILED" if isinstance(error, Exception) else "KILLED")  # or Ctrl-C
        raise
    watcher.end("FINISHED")


class _Watcher(threading.Thread):
    """Brings what is recorded to MLflow, until it is told how the pipeline ended.

    MLflow that fails costs the live view and one line, never the pipeline: the results are
    published by another process.
    """

    def __init__(self, project: Project, params: Params, reason: str, session: str) -> None:
        super().__init__(daemon=True, name="live MLflow")
        self.project, self.params, self.reason, self.session = project, params, reason, session
        self.began = time.time()
        self.over = threading.Event()
        self.status = "FINISHED"

    def end(self, status: str) -> None:
        """Stop, with the status of what is not complete yet."""
        self.status = status
        self.over.set()
        self.join(WAIT_S)

    def run(self) -> None:
        """Follow the train stage."""
        try:
            self._follow()
        except Exception as error:
            why = publish.reason_of(error)
            print(f"MLflow: the run is not shown while it goes on ({why})", file=sys.stderr)

    def _follow(self) -> None:
        client = publish.client_of(self.project, self.params)
        experiment = publish.experiment_id(client, self.project, self.params)
        close_killed(client, experiment)
        tags = {
            LIVE: self.session,
            OWNER: owner(),
            "reason": self.reason,
            "stage": PIPELINE,
            "mlflow.source.name": self.reason,
            "mlflow.source.type": "PROJECT",
        }
        made = client.create_run(experiment, milliseconds(self.began), tags, PIPELINE)
        uri = tracking_uri(self.params, self.project.root)
        fits = _Fits(client, experiment, made.info.run_id, self.project, self.params, uri, tags)
        whole = monitor(made.info.run_id, uri, PIPELINE_SAMPLE_S)
        try:
            while not self.over.wait(POLL_S):
                fits.take(self._news())
            fits.take(self._news())
        finally:
            whole.finish()
            fits.close(self.status)
            close(client, made.info.run_id, self.status)

    def _news(self) -> list[Event]:
        """Return all that this session's train stage has recorded."""
        events = Timeline.of(self.project, "train").events
        return events if events and events[0]["time"] >= self.began else []


class _Fits:
    """The runs of the models that are being fitted."""

    def __init__(
        self,
        client: MlflowClient,
        experiment: str,
        parent: str,
        project: Project,
        params: Params,
        uri: str,
        tags: dict[str, str],
    ) -> None:
        self.client, self.experiment, self.parent = client, experiment, parent
        self.project, self.params, self.uri, self.tags = project, params, uri, tags
        self.taken = 0
        self.runs: dict[str, str] = {}  # model -> run
        self.done: dict[str, int] = {}  # model -> fits that are done
        self.current: tuple[str, int] | None = None  # the fit that began last
        self.monitors: dict[str, SystemMetricsMonitor] = {}  # of models that are being fitted

    def take(self, events: list[Event]) -> None:
        """Bring to MLflow what is new of `events`."""
        for event in events[self.taken :]:
            about = event.get("name") == FIT and len(event["what"]) == 2
            if event["kind"] == timeline.STEP_BEGINS and about:
                self._begin(*event["what"], at=event["time"])
            elif event["kind"] == timeline.METRICS:
                self._measured(event)
            elif event["kind"] == timeline.STEP and about:
                self._end(event["what"][0], at=event["time"])
        self.taken = len(events)

    def _begin(self, model: str, fold: int, *, at: float) -> None:
        self.current = (model, fold)
        again = model in self.runs
        if not again:
            dataset = self.params.ingest.datasets[0]
            name = f"{model} · {dataset}"
            tags = self.tags | {"stage": "train", "model": model, "dataset": dataset}
            tags |= {LIVE: f"{self.tags[LIVE]} {model}", PARENT: self.parent}
            made = self.client.create_run(self.experiment, milliseconds(at), tags, name)
            self.runs[model] = made.info.run_id
        self._stop_monitor(model)
        self.monitors[model] = monitor(self.runs[model], self.uri, SAMPLE_S, resume=again)

    def _measured(self, event: Event) -> None:
        from mlflow.entities import Metric

        model, fold = event.get("what", self.current) or ("", 0)
        if model not in self.runs:
            return
        points = [
            Metric(training_key(fold, key), value, milliseconds(event["time"]), event["step"])
            for key, value in event["values"].items()
            if value == value  # no NaN
        ]
        self.client.log_batch(self.runs[model], metrics=points)

    def _end(self, model: str, *, at: float) -> None:
        self._stop_monitor(model)
        self.current = None
        self.done[model] = self.done.get(model, 0) + 1
        if model in self.runs and self.done[model] == count_folds(self.project):
            self.client.set_tag(self.runs[model], LIVE, live_fit(self.project, model))
            self.client.set_terminated(self.runs[model], end_time=milliseconds(at))

    def _stop_monitor(self, model: str) -> None:
        if model in self.monitors:
            self.monitors.pop(model).finish()

    def close(self, status: str) -> None:
        """End what is left: fits that were not finished."""
        for model in list(self.monitors):
            self._stop_monitor(model)
        for run_id in self.runs.values():
            close(self.client, run_id, status)


def monitor(run_id: str, uri: str, every_s: float, *, resume: bool = False) -> SystemMetricsMonitor:
    """Start MLflow's own monitor of the machine for a run."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    found = SystemMetricsMonitor(
        run_id, sampling_interval=every_s, resume_logging=resume, tracking_uri=uri
    )
    found.start()
    return found


def close(client: MlflowClient, run_id: str, status: str) -> None:
    """End a run that is still going on; one that was completed or deleted stays as it is."""
    info = client.get_run(run_id).info
    if info.status == "RUNNING" and info.lifecycle_stage == "active":
        client.set_terminated(run_id, status)


def owner() -> str:
    """Return what names this process: its machine, its number, when it was started."""
    process = psutil.Process()
    return f"{socket.gethostname()} {os.getpid()} {process.create_time():.0f}"


def close_killed(client: MlflowClient, experiment: str) -> None:
    """End the runs of processes of this machine that were killed: nobody else will."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        words = run.data.tags.get(OWNER, "").split()
        if len(words) == 3 and words[0] == socket.gethostname() and not _alive(*words[1:]):
            client.set_terminated(run.info.run_id, "KILLED")


def _alive(number: str, started: str) -> bool:
    try:
        return abs(psutil.Process(int(number)).create_time() - float(started)) < 2
    except (psutil.Error, ValueError):
        return False
