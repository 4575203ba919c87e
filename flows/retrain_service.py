"""How a retrain is run: one cycle now, or cycles on a schedule (``python -m flows.retrain``)."""

from __future__ import annotations

import argparse
import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from flows.runtime import here, main
from flows.server import server
from pamela.core.errors import PamelaError, hidden
from pamela.retraining.waiting import nothing_to_do, work_waits

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

DEPLOYMENT = "new-ratings"


def once() -> None:
    """Run one cycle now; no Prefect server is started when there is nothing to do."""
    project, params = here()
    if not work_waits(project, params):
        print(nothing_to_do(project, params))
        return
    from flows.retrain import retrain

    with server(project) as url, connected(url):
        retrain()


def serve_schedule() -> None:
    """Serve `retrain` on the schedule ``retrain.cron`` until stopped (Ctrl-C or SIGTERM)."""
    from prefect import serve

    project, params = here()
    # Prefect's own handler of SIGTERM drops a coroutine on its way out; it stops all the same
    warnings.filterwarnings("ignore", "coroutine 'Runner.astop' was never awaited")
    with server(project) as url, connected(url):
        deployment = _deployment(params.retrain.cron)
        print(
            f"serving retrain/{DEPLOYMENT} ({params.retrain.cron}, UTC) at {hidden(url)}",
            flush=True,
        )
        serve(deployment, limit=1, print_starting_message=False)


def _deployment(cron: str) -> RunnerDeployment:
    from flows.retrain import retrain

    try:
        made = cast("Flow[[], str]", retrain).to_deployment(
            name=DEPLOYMENT, cron=cron, concurrency_limit=1, description=__doc__
        )
        return cast("RunnerDeployment", made)  # a coroutine only inside an event loop
    except ValueError:
        raise PamelaError(
            f'params.yaml: retrain.cron: {cron!r} is no cron line; e.g. "0 3 * * *" is 03:00 UTC'
        ) from None


@contextlib.contextmanager
def connected(url: str) -> Iterator[None]:
    """Make this process and the commands it runs talk to the Prefect server at `url`."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    before = os.environ.get("PREFECT_API_URL")
    os.environ["PREFECT_API_URL"] = url
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    finally:
        if before is None:
            del os.environ["PREFECT_API_URL"]
        else:
            os.environ["PREFECT_API_URL"] = before


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--once", action="store_true", help="one cycle now")
    mode.add_argument("--serve", action="store_true", help="serve the schedule retrain.cron")
    return parser.parse_args()


def command() -> None:
    """Do what ``python -m flows.retrain`` was asked for."""
    main(once if _arguments().once else serve_schedule)
