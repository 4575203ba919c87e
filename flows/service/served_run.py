"""One served cycle: a process that runs a flow run of Prefect, and how it ended."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.environment import environment
from pamela.core.paths import Project

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State
    from prefect.client.schemas.responses import FlowRunResponse

ENTRYPOINT = "flows.retrain.retrain"
STOP_S = 30.0
INBOX = "inbox"  # tag of a run that a batch started; its name says which
PREFIX = "retrain · "


@dataclass
class ServedRun:
    """A cycle in a process of its own."""

    run: FlowRunResponse
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, project: Project, url: str, run: FlowRunResponse) -> ServedRun:
        """Start the process that runs `run`."""
        env = environment(
            project,
            PREFECT_API_URL=url,
            PREFECT__FLOW_RUN_ID=str(run.id),
            PREFECT__FLOW_ENTRYPOINT=ENTRYPOINT,
            PAMELA_REASON=run.name.removeprefix(PREFIX) if INBOX in run.tags else "scheduled",
        )
        return cls(run, subprocess.Popen(
            [sys.executable, "-m", "prefect.engine"],
            cwd=project.root, env=env, stdin=subprocess.DEVNULL, start_new_session=True,
        ))  # fmt: skip

    def ended(self, client: SyncPrefectClient) -> bool:
        """Return whether it has ended; how is told, and Prefect's page says so too."""
        from prefect.states import Cancelled, Crashed

        if self.process.poll() is None:
            state = client.read_flow_run(self.run.id).state
            if state is None or not state.is_cancelling():
                return False
            self._end()  # somebody asked for it on the page
            _set(client, self.run, Cancelled(message="cancelled on Prefect's page"))
            return True
        found = client.read_flow_run(self.run.id)
        if found.state is None or not found.state.is_final():
            message = f"its process ended with status {self.process.returncode}"
            _set(client, self.run, Crashed(message=message))
            print(f"{found.name}: {message}", file=sys.stderr, flush=True)
        elif not found.state.is_completed():
            print(f"{found.name}: {found.state.message}", file=sys.stderr, flush=True)
        return True

    def stop(self, client: SyncPrefectClient) -> None:
        """End it before its time; what was done stays, and the next cycle goes on from there."""
        from prefect.states import Cancelled

        self._end()
        with contextlib.suppress(Exception):  # on the way out: the page matters less
            found = client.read_flow_run(self.run.id)
            if found.state is None or not found.state.is_completed():
                _set(client, self.run, Cancelled(message="the service was stopped"))

    def _end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()  # what it started ends with it
            self.process.wait()


def _set(client: SyncPrefectClient, run: FlowRunResponse, state: State[None]) -> None:
    client.set_flow_run_state(run.id, state, force=True)
