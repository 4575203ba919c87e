"""What a command started ends with it, however it ends; nobody else's process is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flows import family
from pamela.core.paths import Project
from tests.conftest import command_env
from tests.paths import ROOT

# under nohup SIGHUP is ignored, also by what is started there
HEAD = """
import signal, subprocess, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from flows import family
from pamela.core.paths import Project
family.lead(Project.here())
child = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
one = subprocess.Popen(child, start_new_session=True, stdout=subprocess.PIPE)
one.stdout.readline()
print(one.pid, flush=True)
{last}
"""
WATCHER = "flows.family"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "params.yaml").touch()
    return Project(tmp_path)


@pytest.fixture
def started() -> Iterator[list[psutil.Process]]:
    processes: list[psutil.Process] = []
    yield processes
    for process in processes:
        if process.is_running():
            process.kill()


def start(project: Project, last: str, started: list[psutil.Process]) -> tuple[int, psutil.Process]:
    """Start a head with one child in a session of its own; return both."""
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD.format(last=last)],
        cwd=project.root, env=command_env(PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert head.stdout is not None
    child = psutil.Process(int(head.stdout.readline()))
    started += [psutil.Process(head.pid), child]
    started += [p for p in psutil.Process(head.pid).children() if WATCHER in p.cmdline()]
    return head.pid, child


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGHUP", "its end"])
def test_a_command_that_is_gone_leaves_nothing_running(
    project: Project, started: list[psutil.Process], how: str
) -> None:
    head, child = start(project, "time.sleep(0 if %r else 600)" % (how == "its end"), started)
    if how != "its end":
        os.kill(head, getattr(signal, how))
    psutil.wait_procs(started, timeout=20)
    assert not child.is_running()
    assert not any(process.is_running() for process in started)


def test_where_the_watcher_was_killed_too_the_next_command_ends_what_is_left(
    project: Project, started: list[psutil.Process], tmp_path: Path
) -> None:
    _, orphan = start(project, "time.sleep(600)", started)
    for process in started:
        if process != orphan:
            process.kill()
    other = tmp_path / "other"
    other.mkdir()
    (other / "params.yaml").touch()
    _, foreign = start(Project(other), "time.sleep(600)", started)
    assert family.end_orphans(Project(other)) == 0, "of another project, and of one that lives"
    assert orphan.is_running()
    assert family.end_orphans(project) == 1
    assert not orphan.is_running()
    assert foreign.is_running()
