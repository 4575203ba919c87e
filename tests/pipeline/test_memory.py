"""A ratings file that does not fit into the memory there is goes through all the same.

The process first does the whole work on a small dataset, so that libraries are loaded and threads
have started, then the kernel lets it have `ROOM` more (RLIMIT_DATA) for a large one. The control
reads the same file at once, by the same readers, and must fail.
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

ROOM = 1_500  # MiB; in pieces the file takes some 1,300, at once it does not fit
LARGE, SMALL = 3_000_000, 20_000
LONG = "an-identifier-as-long-as-some-platforms-give-them-to-their-users-{}"

CHILD = """
import resource, sys
from pathlib import Path
from benchmarks.scale import STAGES, WORK
from pamela.core.paths import Project
from pamela.data.formats import tables

def in_pieces(project):
    for stage in STAGES:
        WORK[stage](project)

def at_once(project):
    rows = tables.read(project.raw / "big", "big", project.root).ratings.collect()
    print(rows.group_by("user_id", "image_id").len().height, "pairs")

how, small, large, room = sys.argv[1:]
in_pieces(Project(Path(small)))
status = Path("/proc/self/status").read_text().splitlines()
data = next(int(line.split()[1]) for line in status if line.startswith("VmData")) << 10
limit = data + (int(room) << 20)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
{"pieces": in_pieces, "once": at_once}[how](Project(Path(large)))
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


def child(projects: tuple[Path, Path], how: str, room: int) -> tuple[int, str]:
    """Run the child; return its status and output."""
    command = ("python", "-c", CHILD, how, *map(str, projects), str(room))
    limits = {"PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "2", "RUST_BACKTRACE": "0"}
    done = run_in(projects[1], *command, timeout=600, **limits)
    return done.returncode, done.stdout + done.stderr


def test_a_file_larger_than_memory_is_read_in_pieces(projects: tuple[Path, Path]) -> None:
    status, output = child(projects, "pieces", ROOM)
    assert status == 0, output[-3000:]
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
