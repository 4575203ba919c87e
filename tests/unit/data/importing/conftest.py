"""What the tests of import share: an empty project, and tables to bring in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pamela.core.paths import Project
from tests.helpers.folders import make_project, write_tables


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "p")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tables(tmp_path / "source")
