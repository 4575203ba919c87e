"""The flow of a stage in this process, without Prefect: the same steps in the same order."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from pamela.core.paths import Project


def run_stage(name: str, project: Project, params: Any) -> None:
    """Run what ``python -m flows.<name>`` runs, on `project` with `params`."""
    flow = import_module(f"flows.{name}")
    with pytest.MonkeyPatch.context() as patch:
        for attribute, value in list(vars(flow).items()):
            if hasattr(value, "fn"):  # a task or the flow itself
                patch.setattr(flow, attribute, value.fn)
        patch.setattr(flow, "here", lambda: (project, params))
        getattr(flow, name)()
