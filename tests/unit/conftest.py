"""Fixtures that several unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pamela.core.paths import Project


@pytest.fixture(scope="session")
def small_template(tmp_path_factory) -> Project:
    """Return a project with a real, small model, registered as champion; leave it as it is."""
    from tests.helpers.small_model import make_small_project, register

    project = make_small_project(tmp_path_factory.mktemp("small") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        register(project)
    return project


@pytest.fixture
def small_project(small_template, tmp_path, monkeypatch) -> Project:
    """Return a copy of `small_template`, in whose root the test runs."""
    from tests.helpers.small_model import copy_project

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = copy_project(small_template, tmp_path / "project")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture(scope="session")
def registry_template(tmp_path_factory) -> Project:
    """Return a project with three made-up versions, the last one champion; leave it as it is."""
    from tests.helpers.small_registry import make_registry

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return make_registry(tmp_path_factory.mktemp("registry") / "project")


@pytest.fixture
def registry(registry_template, tmp_path, monkeypatch) -> Project:
    """Return a copy of `registry_template`, in whose root the test runs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    from tests.helpers.small_registry import copy_registry

    project = copy_registry(registry_template, tmp_path / "project")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """Return files of the eight pictures of `tests.helpers.two_scales`."""
    from tests.helpers.two_scales import make_pictures

    return make_pictures(tmp_path_factory.mktemp("pictures"))
