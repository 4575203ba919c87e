"""Processes that a stage starts before its own imports are those that it opens."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

from flows.family import MARK
from tests.conftest import command_env
from tests.paths import ROOT

CODE = """
import sys
import psutil
from flows import ahead
from pamela.compute.processes import side_by_side
from tests.unit.flows.test_ahead import surroundings

ahead.process_count = lambda project: 2
sys.argv = ["stage"]
ahead.start_processes(("colorsys",))
started = {one.pid for one in psutil.Process().children()}
with side_by_side(2) as opened:
    parent, *others = opened.run("look", surroundings)
    print(parent in started, *others)
"""


def surroundings() -> tuple[int, str | None, bool, bool, bool]:
    waits, led = os.environ.get("OMP_WAIT_POLICY"), MARK in os.environ
    return os.getppid(), waits, led, "colorsys" in sys.modules, gc.get_freeze_count() > 0


def test_processes_started_ahead_have_their_settings_and_imports() -> None:
    env = command_env(PYTHONPATH=str(ROOT))
    for name in ("OMP_WAIT_POLICY", MARK):
        env.pop(name, None)
    ran = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["True", "PASSIVE", "True", "True", "True"], ran.stderr
