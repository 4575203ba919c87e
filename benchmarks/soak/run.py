"""A whole soak: the project, the cycles, the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.soak import death
from benchmarks.soak.cycles import Soak
from benchmarks.soak.deliveries import KEYS, SHARES, Account, Kind
from benchmarks.soak.invariants import Soaked
from flows.server import server
from pamela.core.paths import Project
from tests.helpers.taste_project import SMALL, Planted, first_run

OVERRIDES: Final[dict[str, Any]] = {"validate": {"max_quarantined_share": 0.2}}
CLEAN = 0.3  # of the cycles are not killed


def soak(home: Path, cycles: int, seed: int, *, say: Callable[[str], None]) -> list[str]:
    """Make a project in `home`, run `cycles` cycles in it, and return what was wrong."""
    planted = Planted()
    project = first_run(home, planted, OVERRIDES)
    (home / "server").mkdir()
    with server(Project(home / "server")) as url:
        return soak_project(project, planted, cycles, seed, say=say, PREFECT_API_URL=url)


def soak_project(
    project: Path,
    planted: Planted,
    cycles: int,
    seed: int,
    *,
    say: Callable[[str], None],
    dry: bool = True,
    without: Collection[Kind] = (),
    **env: str,
) -> list[str]:
    """Run `cycles` cycles in a project that ran once, and return what was wrong.

    Parameters
    ----------
    dry : whether the first is a whole one whose events are counted; else the counts that `cycles`
        knows are taken.
    without : kinds of batches that are not brought.
    """
    data = project / "data"
    homes = ("raw/planted", "batches/planted/*", "inbox/planted/*")  # some may wait already
    there = [file for home in homes for file in data.glob(f"{home}/ratings.csv")]
    known = pl.concat(pl.read_csv(file, columns=KEYS) for file in there)
    account = Account.open(planted, project, known, seed)
    account.shares = {kind: share for kind, share in SHARES.items() if kind not in without}
    soaked = Soaked(project, account, tolerance=SMALL["retrain"]["max_total_loss"])
    run = Soak(soaked, account, death.arm(project.parent / "hook"), say, env)
    if dry:
        run.dry()
    for number in range(int(dry), cycles):
        run.cycle(killed=bool(account.rng.random() >= CLEAN))
        say(f"  cycle {number + 1} of {cycles}; best SROCC {soaked.best:.3f}")
    run.finish()
    shutil.rmtree(run.hook)
    say(f"{dict(run.tally)}, {len(account.deliveries)} batches")
    return run.faults
