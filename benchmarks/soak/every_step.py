"""SIGKILL at every step of one whole cycle: ``python -m benchmarks.soak --every-step``.

The points are found by a dry run: before and after each step of each stage, each file or folder
that takes its name, and each process that is started. For each a copy of one project runs a cycle
that dies there, then one to its end; what is there then must be the same as without a death.
All is run in forked children of a process that has imported everything and computed nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.soak import death
from benchmarks.soak.invariants import LEFT, Soaked
from flows import pipeline, publish, retrain, runtime  # noqa: F401 (imported once for all children)
from pamela.core import timeline
from pamela.retraining import promotion  # noqa: F401 (imports MLflow)
from tests.helpers.stages import STAGES, run_cycle
from tests.helpers.taste_project import TRAINED, Planted, first_run

COUNTED: Final = ("os.rename", death.STARTS)
BATCH: Final = "good"


class _Steps:
    """Counts the points of this process, and dies at one of them."""

    def __init__(self, root: Path, at: int, log: Path | None) -> None:
        self.root, self.left, self.log = f"{root}{os.sep}", at, log
        record = timeline.record

        def recorded(kind: str, **about: Any) -> None:
            self._reach(f"{kind} {about.get('name', '')}")
            record(kind, **about)

        timeline.record = recorded
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == death.STARTS:
            self._reach(" ".join(map(str, arguments[1][-3:])))
        elif event in COUNTED:
            path = str(arguments[1])
            if path.startswith(self.root):
                self._reach(f"rename {path.removeprefix(self.root)}")

    def _reach(self, what: str) -> None:
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.write(f"{what}\n")
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def every_step(home: Path, *, say: Callable[[str], None]) -> list[str]:
    """Die at every point in turn; return what was wrong."""
    for name in STAGES:
        importlib.import_module(f"flows.{name}")
    _must(_make, home)
    log = home / "points"
    _must(_cycle, _copy(home), 0, log)
    expected = _ask(home, home / "copy")
    points = log.read_text().splitlines()
    say(f"{len(points)} points; without a death: {expected}")
    faults: list[str] = []
    for number, point in enumerate(points, 1):
        project = _copy(home)
        status = _in_child(_cycle, project, number, None)
        died = os.WIFSIGNALED(status)
        ended = _in_child(_cycle, project, 0, None)
        found = _ask(home, project) if not ended else {"failed": ended}
        sound = died and found == expected
        say(f"{number} of {len(points)}, {point}: {'completed' if sound else found}")
        if not sound:
            faults.append(f"{point}: {found if died else 'lived on'}")
    return faults


def _make(home: Path) -> None:
    planted = Planted()
    project = first_run(home, planted)
    users = [f"u{k:02d}" for k in range(TRAINED)]
    planted.batch(project / "data/inbox/planted" / BATCH, users, 20, 1)


def _copy(home: Path) -> Path:
    shutil.rmtree(home / "copy", ignore_errors=True)
    return Path(shutil.copytree(home / "project", home / "copy", symlinks=True))


def _cycle(project: Path, at: int, log: Path | None) -> None:
    os.environ["PREFECT_HOME"] = str(project / ".prefect")
    _Steps(project, at, log)
    run_cycle(project)


def _ask(home: Path, project: Path) -> dict[str, Any]:
    """Return what a project holds, from a child."""
    answer = home / "answer.json"
    answer.unlink(missing_ok=True)
    status = _in_child(_tell, project, answer)
    found: dict[str, Any] = json.loads(answer.read_text()) if not status else {"failed": status}
    return found


def _tell(project: Path, answer: Path) -> None:
    """Write down all that must be the same whether a cycle died or not."""
    data = project / "data"
    rows = pl.read_parquet(data / "validated" / "ratings.parquet")
    lines = (project / "reports" / "promotions.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    left = [p for p in project.rglob("*") if LEFT.fullmatch(p.name) and ".git" not in p.parts]
    found = {
        "serves": Soaked.aliases_of(project)["champion"],
        "rows": len(rows),
        "pairs": rows.select("user_id", "image_id").n_unique(),
        "decisions": [(one["action"], one["version"]) for one in records],
        "state": json.loads((project / "reports" / "gate.json").read_text())["state"],
        "batches": sorted(p.name for p in data.glob("batches/planted/*")),
        "inbox": sorted(p.name for p in data.glob("inbox/planted/*")),
        "left over": sorted(str(p.relative_to(project)) for p in left),
    }
    answer.write_text(json.dumps(found))


def _must(call: Callable[..., None], *arguments: Any) -> None:
    if status := _in_child(call, *arguments):
        raise RuntimeError(f"{call.__name__} ended with {status}")


def _in_child(call: Callable[..., None], *arguments: Any) -> int:
    """Run `call` in a child whose output is dropped but for a traceback; return its status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        call(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
