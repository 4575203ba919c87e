"""Pieces of work in processes: order, faults, and that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pamela.compute.processes import in_threads, run_all, side_by_side
from pamela.core.errors import PamelaError
from tests.paths import ROOT


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    if number == 1:
        raise PamelaError("no rows")
    return number


def sleep(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def work_for_ever(folder: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests ignore it
    with side_by_side(2):
        run_all(sleep, [(folder,), (folder,)], ["one", "two"])


def test_a_fault_is_told_with_the_piece_and_ends_the_rest() -> None:
    with side_by_side(2) as opened:
        assert opened is not None
        with pytest.raises(PamelaError, match=r"^piece 1: no rows$"):
            run_all(refuse, [(0,), (1,)], ["piece 0", "piece 1"])
        assert opened.over
        with pytest.raises(PamelaError, match="piece 2: stopped"):
            opened.run("piece 2", refuse, 2)
    assert not any(psutil.pid_exists(pid) for pid in opened.pids)


def test_a_process_that_is_killed_is_told_with_what_it_worked_on() -> None:
    with side_by_side(2), pytest.raises(PamelaError, match=r"^paper, fold 3: its process was"):
        run_all(die, [(0,)], ["paper, fold 3"])


def test_several_threads_may_end_them_at_once() -> None:
    """As each that waits does when the command is stopped, while processes are at work."""
    for _ in range(6):
        with side_by_side(2) as opened, ThreadPoolExecutor(10) as threads:
            assert opened is not None
            at_work = [threads.submit(opened.run, "wait", time.sleep, 600) for _ in range(2)]
            time.sleep(0.3)
            ends = [threads.submit(opened.end) for _ in range(8)]
            assert [end.exception() for end in ends] == [None] * len(ends)
            assert all(isinstance(one.exception(), PamelaError) for one in at_work)


def test_results_keep_the_order_of_the_jobs() -> None:
    with side_by_side(2):
        assert run_all(refuse, [(3,), (2,), (0,)], ["a", "b", "c"]) == [3, 2, 0]
    assert run_all(refuse, [(3,), (2,)], ["a", "b"]) == [3, 2]
    assert in_threads([lambda: 1, lambda: 2], threads=1) == [1, 2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_command_that_is_stopped(tmp_path: Path, number: int) -> None:
    code = f"from {__name__} import work_for_ever; work_for_ever({str(tmp_path)!r})"
    command = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    started = [psutil.Process(pid) for pid in pids]
    started += [process for one in started for process in one.parents()[:1]]
    command.send_signal(number)
    command.wait(timeout=60)
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive


COMMAND = """
print("imported", flush=True)
if __name__ == "__main__":
    from pamela.compute.processes import process_pool
    with process_pool(2) as pool:
        print(sum(pool.map(abs, [-1, -2])))
"""


def test_a_pool_imports_nothing_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "command.py").write_text(COMMAND)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    said = subprocess.run(
        [sys.executable, "-m", "command"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert said.stdout.split() == ["imported", "3"], said.stderr
