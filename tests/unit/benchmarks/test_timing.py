"""What the benchmarks measure of other processes."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.timing import PeakMemory, children_cpu_s

WORK = "import time; held = b'x' * 2**28; end = time.process_time() + 0.5\n"
WORK += "while time.process_time() < end: pass\nprint(flush=True); input()"


def test_memory_and_seconds_of_other_processes_are_counted() -> None:
    before = children_cpu_s()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WORK], **pipes) as process:
        assert process.stdout
        process.stdout.readline()
        with PeakMemory() as memory:
            pass  # one look
        process.communicate(b"\n", timeout=60)
    assert 0.25 < memory.gib < 4.0
    assert children_cpu_s() - before >= 0.5
