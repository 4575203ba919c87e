"""A ratings file that does not fit into the memory there is goes through all the same.

Each stage has a process of its own, as in the pipeline. It first does the whole work on a small
dataset, so that libraries are loaded and threads have started, then the kernel lets it have `ROOM`
more (RLIMIT_DATA) for its work on a large one. The control reads the same file at once, by the same
readers, and must fail.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks import scale
from pamela.core.paths import Project
from tests.conftest import ROOT, run_in
from tests.helpers.folders import make_project

pytestmark = pytest.mark.slow

# MiB; in pieces the stages take some 900 (ingest), 950 (validate) and 800 (split), at once 1,800.
# What the allocator has once mapped counts on, so stages in one process would add up.
ROOM = 1_300
LARGE, SMALL = 3_000_000, 20_000
LONG = "an-identifier-as-long-as-some-platforms-give-them-to-their-users-{}"

CHILD = """
import resource, sys
from pathlib import Path
from benchmarks.scale import STAGES, WORK
from pamela.core.paths import Project
from pamela.data.formats import tables

def at_once(project):
    rows = tables.read(project.raw / "big", "big", project.root).ratings.collect()
    print(rows.group_by("user_id", "image_id").len().height, "pairs")

work, small, large, room = sys.argv[1:]
for stage in STAGES:
    WORK[stage](Project(Path(small)))
status = Path("/proc/self/status").read_text().splitlines()
data = next(int(line.split()[1]) for line in status if line.startswith("VmData")) << 10
limit = data + (int(room) << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
(WORK | {"once": at_once})[work](Project(Path(large)))
print("through")
"""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a small and a large project."""
    made = []
    for rows in (SMALL, LARGE):
        folder = tmp_path_factory.mktemp("memory") / str(rows)
        project = make_project(folder, ingest={"datasets": [scale.DATASET]})
        scale.make_dataset(project.raw / scale.DATASET, rows, ".csv")
        path = project.raw / scale.DATASET / "ratings.csv"
        frame = pl.read_csv(path, infer_schema=False)
        frame.with_columns(pl.format(LONG, "user_id").alias("user_id")).write_csv(path)
        made.append(folder)
    return made[0], made[1]


def child(projects: tuple[Path, Path], work: str, room: int) -> tuple[int, str]:
    """Run a child that does `work`, a stage or ``once``; return its status and output."""
    command = ("python", "-c", CHILD, work, *map(str, projects), str(room))
    limits = {"PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "2", "RUST_BACKTRACE": "0"}
    done = run_in(projects[1], *command, timeout=600, **limits)
    return done.returncode, done.stdout + done.stderr


def test_a_file_larger_than_memory_is_read_in_pieces(projects: tuple[Path, Path]) -> None:
    for stage in scale.STAGES:
        status, output = child(projects, stage, ROOM)
        assert status == 0, f"{stage}: {output[-3000:]}"
        assert output.rstrip().endswith("through")
    project = Project(projects[1])
    kept, bad = (
        pl.scan_parquet(path).select(pl.len()).collect().item()
        for path in (
            project.validated / "ratings.parquet",
            project.quarantine / scale.DATASET / "ratings.parquet",
        )
    )
    assert kept + bad == LARGE
    assert bad >= LARGE // scale.FAULTY


def test_read_at_once_it_does_not_fit(projects: tuple[Path, Path]) -> None:
    status, output = child(projects, "once", ROOM)
    assert status != 0, output
    assert "through" not in output
    roomy, output = child(projects, "once", 100_000)
    assert roomy == 0, output[-3000:]  # nothing but memory was missing
