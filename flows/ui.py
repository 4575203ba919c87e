"""MLflow and Prefect in the browser, on loopback: ``python -m flows.ui`` (``make ui``).

Both run on free ports and on the project's own databases, so that two clones never meet. Ctrl-C
or SIGTERM ends both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from flows import family
from flows.command import take_no_words
from flows.environment import QUIET, environment
from flows.mlflow_app import PATH
from flows.server import free_port, running, server
from pamela.core.errors import PamelaError, hidden, hide_in_tracebacks
from pamela.core.paths import Project
from pamela.params import load_params, tracking_uri

MLFLOW_ENV = {
    "MLFLOW_DISABLE_AGENT_HINT": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # no workers for judges and scorers
}


@contextlib.contextmanager
def mlflow_ui(project: Project) -> Iterator[str]:
    """Start MLflow's page on the project's tracking store, yield its address, stop it.

    A remote tracking server has a page of its own: its address is yielded.
    """
    uri = tracking_uri(load_params(project.params_file), project.root)
    if uri.startswith(("http://", "https://")):
        yield uri
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["-m", "flows.mlflow_app", str(port)]
    log = project.prefect_home / "mlflow.log"
    with running("MLflow", command, url, log, project, environment(project, **MLFLOW_ENV)):
        yield f"{url}{PATH}"


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Serve both pages until stopped."""
    take_no_words()
    hide_in_tracebacks()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    signal.signal(signal.SIGTERM, _stop)
    project = Project.here()
    family.lead(project)
    try:
        print("starting ...", flush=True)
        with server(project) as prefect_api, mlflow_ui(project) as mlflow:
            print(f"MLflow   {hidden(mlflow)}", flush=True)
            print(f"Prefect  {hidden(prefect_api).removesuffix('/api')}/runs", flush=True)
            print("Ctrl-C ends both.", flush=True)
            signal.pause()
    except PamelaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("ended")


if __name__ == "__main__":
    main()
