"""Fixtures that several unit tests share."""

from __future__ import annotations

import pytest

from pamela.project import Project


@pytest.fixture(scope="session")
def small_project(tmp_path_factory) -> Project:
    """Return a project with a real, small model (`tests.unit.small_model`); leave it as it is."""
    from tests.unit.small_model import make_small_project

    return make_small_project(tmp_path_factory.mktemp("small") / "project")
