"""Run ``python -m benchmarks.recommenders`` in a project; see the package."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.recommenders.comparison import bench_recommenders, table_of
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import write_parquet
from pamela.core.paths import Project
from pamela.params import load_params
from pamela.reporting.presentation.terminal import PlainConsole

TABLE: Final = "recommenders.parquet"


def main() -> None:
    """Run it on the project here."""
    parser = argparse.ArgumentParser(description="Recommenders beside our models.")
    parser.add_argument("--out", type=Path, help=f"instead of reports/{TABLE}")
    out = parser.parse_args().out
    project = Project.here()
    try:
        if find_spec("surprise") is None:
            raise PamelaError(
                "benchmarks.recommenders needs scikit-surprise, which is not installed: "
                "pip install -c constraints.txt -e '.[recommenders]'"
            )
        params = load_params(project.params_file)
        found = bench_recommenders(project, params)
    except PamelaError as error:
        sys.exit(f"error: {error}")
    write_parquet(out or project.reports / TABLE, found)
    console = PlainConsole(width=150)
    for dataset in found[s.DATASET].unique(maintain_order=True):
        console.print(table_of(found, dataset, params.train.champion))


if __name__ == "__main__":
    main()
