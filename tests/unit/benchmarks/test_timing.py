"""What the benchmarks measure of other processes."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.run import step_seconds
from benchmarks.timing import ProcessTree
from pamela.core.timeline import END, STEP, Timeline

WORK = "import time; held = b'x' * 2**28; end = time.process_time() + 0.5\n"
WORK += "while time.process_time() < end: pass\nprint(flush=True); input()"
OTHER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WORK!r}])"


def test_memory_and_seconds_of_processes_of_processes_are_counted() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OTHER], **pipes) as process:
        assert process.stdout
        process.stdout.readline()
        with ProcessTree() as tree:
            pass  # one look
        process.communicate(b"\n", timeout=60)
    assert 0.25 < tree.peak_gib < 4.0
    assert 0.5 <= tree.cpu_s < 60


def test_steps_side_by_side_count_once() -> None:
    spans = [(10.0, 20.0), (12.0, 14.0), (18.0, 25.0), (30.0, 31.0)]
    steps = [{"kind": STEP, "start": start, "time": end} for start, end in spans]
    timeline = Timeline([{"kind": "stage", "time": 1.0}, *steps, {"kind": END, "time": 40.0}])
    assert step_seconds(timeline) == 16.0
