"""One full-size run that several slow tests look at."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import must
from tests.paths import ROOT


@dataclass(frozen=True)
class FullRun:
    """A fresh clone in which `make repro` ran with the defaults, and what that printed."""

    clone: Path
    make: tuple[str, ...]
    printed: str


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> FullRun:
    """Clone the repository and run `make repro`; the clone shares this environment."""
    clone = tmp_path_factory.mktemp("full") / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    venv = Path(sys.prefix)
    make = ("make", f"VENV={venv}", "-o", f"{venv}/.installed")  # never installed anew from here
    return FullRun(clone, make, must(clone, *make, "repro", timeout=1500, COLUMNS="80"))
