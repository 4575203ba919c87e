"""What a stage starts before its own imports, so that both go on at once: its processes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from flows import family
from flows.environment import QUIET
from pamela.compute.processes import start_server
from pamela.compute.sizing import PRELOAD, process_count
from pamela.core.errors import PamelaError
from pamela.core.paths import Project


def start_processes(preload: Sequence[str] = PRELOAD) -> None:
    """Start what the stage's processes come from, where it will open any.

    Whatever is wrong with the project, the stage itself says.

    Parameters
    ----------
    preload : as the stage opens them with.
    """
    if len(sys.argv) > 1:  # it is asked what it does
        return
    with contextlib.suppress(PamelaError, OSError):
        project = Project.here()
        count = process_count(project)
        if count > 1:
            if not os.environ.get(family.MARK):  # else the command that started it leads
                family.lead(project)
            for name, value in QUIET.items():
                os.environ.setdefault(name, value)
            start_server(count, preload)
