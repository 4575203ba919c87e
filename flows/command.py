"""What every command of ``flows`` shares: the project, its params, and how a command ends.

Prefect is not imported here, so that a command with nothing to do ends within a second.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from flows import family
from flows.environment import refuse_shared_secrets, require_given_server
from pamela.core import timeline
from pamela.core.errors import (
    PamelaError,
    hidden,
    hide_in_tracebacks,
    show_warnings_as_lines,
)
from pamela.core.paths import Project
from pamela.params import Params, load_params

STOPPED = "stopped; what was done stays, run it again to go on"
ROOM = "make room and run the command again, it goes on from what was done"
TEMPORARY = "TMPDIR"
step_seconds: dict[str, float] = {}  # own work of each step, for `make bench`


def here() -> tuple[Project, Params]:
    """Return the project around the working directory and its params."""
    project = Project.here()
    refuse_shared_secrets(project)
    return project, load_params(project.params_file)


def main(
    flow: Callable[..., Any],
    *,
    leads: bool = True,
    words: Sequence[str] | None = None,
    arguments: Sequence[Any] = (),
) -> None:
    """Run `flow`; a `PamelaError` becomes one line on stderr and exit status 1.

    Parameters
    ----------
    words : what of the command line nobody has read yet; None: all of it.
    leads : whether what this process starts is to end with it from the beginning; else it is from
        the first server or lock on.
    arguments : of `flow`.
    """
    import psutil

    take_no_words(words)
    started = psutil.Process().create_time()
    imports_s = time.time() - started
    name = getattr(flow, "name", "flow")
    with ends_in_a_line():
        require_given_server()
        project = Project.here()
        if leads and not os.environ.get(family.MARK):  # else the command that started it leads
            family.lead(project)
        timeline.begin(project, name, started)
        flow(*arguments)
        timeline.record(timeline.END)
        _record_timing(name, imports_s)


def take_no_words(words: Sequence[str] | None = None) -> None:
    """Show for ``--help`` what the command does; any other word is an error, before anything runs.

    Parameters
    ----------
    words : of the command line; None: all of it.
    """
    module = sys.modules["__main__"]
    name = getattr(module.__spec__, "name", None) or "flows"
    argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(words)


@contextlib.contextmanager
def ends_in_a_line() -> Iterator[None]:
    """End this process with one line where the user can mend the fault, or has stopped it."""
    hide_in_tracebacks()
    show_warnings_as_lines()
    try:
        yield
    except PamelaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        from pamela.core.files import tells_full

        if not tells_full(error):
            raise
        where = f"{name}: " if (name := getattr(error, "filename", None)) else ""
        said = hidden(str(error).strip().splitlines()[0])
        print(f"error: {where}no space is left ({said}); {ROOM}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, Stopped) as stop:
        print(STOPPED, file=sys.stderr)
        sys.exit(stop.code if isinstance(stop, Stopped) else 130)


def temporary_folder() -> str:
    """Return where temporary files go: Python passes over a full folder, SQLite does not."""
    named = os.environ.get(TEMPORARY, "")
    return named if named and Path(named).is_dir() else tempfile.gettempdir()


def stop_when_asked() -> None:
    """Let SIGTERM, and a terminal that closes, unwind this process as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop)


class Stopped(SystemExit):
    """SIGTERM or SIGHUP: on its way out this process ends what it started."""


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(128 + number)


def timings_folder(project: Project) -> Path:
    """Return where each stage's last timing lies (git-ignored, no output of any stage)."""
    return project.timings


def _record_timing(name: str, imports_s: float) -> None:
    """Write the stage's own work: interpreter start and imports, and every step."""
    from pamela.core.files import write_json

    record = {"stage": name, "imports_s": round(imports_s, 3), "steps_s": step_seconds}
    write_json(timings_folder(Project.here()) / f"{name}.json", record)
