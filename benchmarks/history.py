"""What got slower since the last figures: ``python -m benchmarks.history``.

``make bench`` appends its figures to ``benchmarks/history.csv`` (date, commit, name, value, unit),
which is in git. This compares each figure of the last set with the one before, in whichever set
that is, and ends with exit status 1 where one is more than 10 % worse: seconds and memory that
rose, rates that fell. Shares, correlations and ratios are no speeds and are left out.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core.errors import PamelaError
from pamela.core.files import write_csv
from pamela.core.paths import Project

FILE: Final = Path("benchmarks") / "history.csv"
SCHEMA: Final = pl.Schema(
    {
        "date": pl.String, "commit": pl.String, "name": pl.String,
        "value": pl.Float64, "unit": pl.String,
    }
)  # fmt: skip
COSTS: Final = ("s", "ms", "cpu_s", "MB", "GiB")  # the less the better
WORSE: Final = 1.1


def append(project: Project, rows: Sequence[dict[str, Any]]) -> None:
    """Append the figures of one run of the benchmarks."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    frame = pl.DataFrame(
        [
            {"date": now, "commit": commit_of(project), **{k: row[k] for k in list(SCHEMA)[2:]}}
            for row in rows
        ],
        schema=SCHEMA,
    )
    write_csv(project.root / FILE, pl.concat([read(project), frame]))


def read(project: Project) -> pl.DataFrame:
    """Return all figures; none where there is no file."""
    path = project.root / FILE
    return pl.read_csv(path, schema=SCHEMA) if path.is_file() else SCHEMA.to_frame()


def commit_of(project: Project) -> str:
    """Return the commit that was measured, with a + where files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=project.root, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def worse(figures: pl.DataFrame) -> pl.DataFrame:
    """Return the figures of the last set that are over 10 % worse than when last measured before.

    Returns
    -------
    DataFrame of name, before, now, unit and times: by how much a figure costs more.

    Raises
    ------
    PamelaError
        If there are no two sets.
    """
    dates = figures["date"].unique().sort()
    if len(dates) < 2:
        raise PamelaError(f"{FILE}: {len(dates)} sets of figures, two are compared; run make bench")
    last = pl.col("date") == dates[-1]
    now, earlier = figures.filter(last), figures.filter(~last).sort("date")
    before = earlier.unique(["name", "unit"], keep="last")
    ratio = pl.col("now") / pl.col("before")
    return (
        now.select("name", "unit", now="value")
        .join(before.select("name", "unit", before="value"), on=["name", "unit"])
        .with_columns(
            times=pl.when(pl.col("unit").is_in(COSTS))
            .then(ratio)
            .when(pl.col("unit").str.ends_with("/s"))
            .then(1 / ratio)
        )
        .filter(pl.col("times") > WORSE)
        .sort("times", descending=True)
        .select("name", "before", "now", "unit", "times")
    )


def main() -> None:
    """Compare the last two sets of figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    try:
        found = worse(read(Project.here()))
    except PamelaError as error:
        sys.exit(f"error: {error}")
    for name, before, now, unit, times in found.iter_rows():
        print(f"{name}: {before:g} -> {now:g} {unit}, {times:.2f} times the cost")
    if found.height:
        sys.exit(1)
    print("nothing is over 10 % worse than in the figures before")


if __name__ == "__main__":
    main()
