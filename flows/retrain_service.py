"""How a retrain is run: one cycle now, or cycles by schedule and inbox.

Prefect is imported only where there is something to run: nothing to do is decided within a second.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator

from flows.command import Stopped, here, main, stop_when_asked
from flows.environment import QUIET
from flows.lock import one_service
from flows.server import server
from pamela.core.paths import Project
from pamela.retraining.waiting import nothing_to_do, work_waits


def once() -> None:
    """Run one cycle now; no Prefect server is started when there is nothing to do."""
    project, params = here()
    if not work_waits(project, params):
        print(nothing_to_do(project, params))
        return
    stop_when_asked()
    with server(project) as url, connected(project, url):
        from flows.retrain import retrain

        retrain()


def serve() -> None:
    """Run cycles on the schedule ``retrain.cron`` and for new batches, until stopped."""
    stop_when_asked()
    project, params = here()
    try:
        with one_service(project), server(project) as url, connected(project, url):
            from flows.service.cycles import serve_cycles

            serve_cycles(project, params, url)
    except (KeyboardInterrupt, Stopped):  # as asked: no failure
        print("stopped")


@contextlib.contextmanager
def connected(project: Project, url: str) -> Iterator[None]:
    """Make this process, and the commands it runs, talk to the Prefect server at `url`."""
    before = dict(os.environ)
    for name, value in {**QUIET, "PREFECT_HOME": str(project.prefect_home)}.items():
        os.environ.setdefault(name, value)
    os.environ["PREFECT_API_URL"] = url
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def command() -> None:
    """Do what ``python -m flows.retrain`` was asked for."""
    main(once if _arguments().once else serve, leads=False, words=())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--once", action="store_true", help="one cycle now")
    mode.add_argument("--serve", action="store_true", help="on schedule and for new batches")
    return parser.parse_args()
