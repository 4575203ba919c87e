"""Cycles that nobody starts: on the schedule, when a batch is complete, and again after a fault.

The runs are those of a Prefect deployment: its page shows them, and starts and cancels them too.
This process asks for what is due and runs it, one at a time. It is no Prefect runner, for three
reasons: a cycle with nothing to do needs no process of its own; runs that were missed are one
run; and Prefect keeps who holds a deployment's slot in the server's memory, so that after a crash
the slot is never free again. Here the kernel frees the lock (`flows.lock`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectException
from prefect.states import Cancelled, Completed, Pending, Running

from flows.service import run_page
from flows.service.dead_runs import end_dead_runs
from flows.service.inbox_watch import Watch, waits
from flows.service.served_run import ENTRYPOINT, INBOX, PREFIX, ServedRun
from pamela.core.errors import PamelaError, hidden
from pamela.core.paths import Project
from pamela.params import Params, load_params
from pamela.retraining.lock import why_busy
from pamela.retraining.waiting import nothing_to_do

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State
    from prefect.client.schemas.responses import FlowRunResponse
    from prefect.deployments.runner import RunnerDeployment

DEPLOYMENT = "new-ratings"
PATIENCE_S = 180.0  # without an answer of the server
JUMP_S = 60.0  # of the clock
EARLY = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
GONE = (httpx.HTTPError, PrefectException)


def serve_cycles(project: Project, params: Params, url: str) -> None:
    """Run what is due until this process is stopped.

    Raises
    ------
    PamelaError
        If ``retrain.cron`` is no cron line, or the server does not answer for minutes.
    """
    with get_client(sync_client=True) as client:
        deployment = deploy(params.retrain.cron)
        end_dead_runs(client, deployment)
        print(
            f"serving retrain/{DEPLOYMENT} ({params.retrain.cron}, UTC; data/inbox every "
            f"{params.retrain.watch_s:g} s) at {hidden(url)}",
            flush=True,
        )
        service = Service(project, params, url, client, deployment)
        try:
            service.serve()
        finally:
            service.stop()


def deploy(cron: str) -> UUID:
    """Create or renew the deployment and its schedule; runs planned before are planned again."""
    from flows.retrain import retrain

    try:
        made = cast("Flow[[], str]", retrain).to_deployment(
            name=DEPLOYMENT, cron=cron, description=retrain.__doc__
        )
    except ValueError:
        raise PamelaError(
            f'params.yaml: retrain.cron: {cron!r} is no cron line; e.g. "0 3 * * *" is 03:00 UTC'
        ) from None
    deployment = cast("RunnerDeployment", made)  # a coroutine only inside an event loop
    deployment.entrypoint = ENTRYPOINT
    return cast(UUID, deployment.apply())


@dataclass
class Service:
    """The loop, and what it has to remember."""

    project: Project
    params: Params
    url: str
    client: SyncPrefectClient
    deployment: UUID
    watch: Watch = field(init=False)
    running: ServedRun | None = None

    def __post_init__(self) -> None:
        self.watch = Watch(self.project)
        self._answered = time.monotonic()
        self._clock = time.time() - time.monotonic()

    def serve(self) -> None:
        """Look every ``retrain.watch_s`` seconds, for ever."""
        while True:
            try:
                self.look()
                self._answered = time.monotonic()
            except GONE as error:
                if time.monotonic() - self._answered > PATIENCE_S:
                    raise PamelaError(
                        f"the Prefect server at {hidden(self.url)} has not answered for "
                        f"{PATIENCE_S:.0f} s ({error or type(error).__name__}); start it and this "
                        "command again"
                    ) from None
            time.sleep(self.params.retrain.watch_s)

    def look(self) -> None:
        """Note how a run ended, see what has come, and start what is due."""
        if self._clock_was_set():
            self.deployment = deploy(self.params.retrain.cron)
        if self.running is not None:
            if not self.running.ended(self.client):
                self._due()  # the deployment's page says "ready" to who keeps asking
                return
            self.running = None
            self.watch.ran(self._read_params())
        if reason := self.watch.reason(self._read_params()):
            self.client.create_flow_run_from_deployment(
                self.deployment, name=f"{PREFIX}{reason}", tags=[INBOX]
            )
            self.watch.planned()
        if run := self._due():
            self._start(run)

    def stop(self) -> None:
        """End what runs."""
        if self.running is not None:
            self.running.stop(self.client)

    def _due(self) -> FlowRunResponse | None:
        """Return the newest run that is due; the others are done with it."""
        due = self.client.get_scheduled_flow_runs_for_deployments(
            [self.deployment], scheduled_before=dt.datetime.now(dt.UTC)
        )
        runs = sorted(due, key=lambda run: run.expected_start_time or EARLY)
        for missed in runs[:-1]:
            self.client.set_flow_run_state(
                missed.id, Cancelled(name="Missed", message="a later run stands for it"), force=True
            )
        return runs[-1] if runs else None

    def _start(self, run: FlowRunResponse) -> None:
        params = self._read_params()
        if busy := why_busy(self.project):
            self._say(run, Cancelled(name="Skipped", message=busy), ["skipped"])
        elif waits(self.project, params):
            self.client.set_flow_run_state(run.id, Pending())
            self.running = ServedRun.start(self.project, self.url, run)
            return
        else:
            self.client.set_flow_run_state(run.id, Running())
            line = nothing_to_do(self.project, params)
            self._say(run, Completed(message=line), [run_page.IDLE])
        self.watch.ran(params)

    def _say(self, run: FlowRunResponse, state: State[None], titles: list[str]) -> None:
        line = state.message or ""
        run_page.show_run(self.client, run.id, run_page.name_of(titles), [line])
        self.client.set_flow_run_state(run.id, state, force=True)
        print(line, flush=True)

    def _read_params(self) -> Params:
        with contextlib.suppress(PamelaError):  # the cycle says what is wrong
            self.params = load_params(self.project.params_file)
        return self.params

    def _clock_was_set(self) -> bool:
        clock = time.time() - time.monotonic()
        jump, self._clock = clock - self._clock, clock
        if abs(jump) <= JUMP_S:
            return False
        print(f"the clock was set by {jump:+.0f} s: the schedule is planned again", file=sys.stderr)
        return True
