"""The flows of the stages in this process, without Prefect and DVC: the same steps in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pamela.core.paths import Project
from pamela.params import Params, load_params
from tests.conftest import OURS, must

STAGES = (
    "ingest", "validate", "split", "embed", "train", "external", "evaluate", "steer", "report",
)  # fmt: skip


def run_stage(name: str, project: Project, params: Params, **env: str) -> None:
    """Run what ``python -m flows.<name>`` runs, on `project` with `params`."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in OURS:
            patch.delenv(variable, raising=False)
        for variable, value in env.items():
            patch.setenv(variable, value)
        patch.setenv("PREFECT_HOME", str(project.prefect_home))
        import prefect

        module = import_module(f"flows.{name}")
        (flow,) = (it for it in vars(module).values() if isinstance(it, prefect.Flow))
        for attribute, value in list(vars(module).items()):
            if isinstance(value, prefect.Task):
                patch.setattr(module, attribute, value.fn)
        patch.setattr(module, "here", lambda: (project, params))
        flow.fn()


def run_stages(folder: Path, *names: str, **env: str) -> None:
    """Run the flows of `names` (all of them unless given) in the project `folder`.

    The code is this repository's, not the copy that may lie in `folder`; what a user did wrong is
    raised as the PamelaError that it is.
    """
    before = Path.cwd()
    os.chdir(folder)
    try:
        project = Project.here()
        if "report" in (names or STAGES) and not (folder / "mlflow.db").exists():
            (folder / "mlflow.db").write_bytes(empty_store())
        for name in names or STAGES:
            run_stage(name, project, load_params(project.params_file), **env)
    finally:
        os.chdir(before)


@cache
def empty_store() -> bytes:
    """Return an MLflow database that holds nothing yet: making one takes seconds."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        SqlAlchemyStore(f"sqlite:///{path}", folder).engine.dispose()
        return path.read_bytes()


def run_pipeline(folder: Path) -> None:
    """Leave a copied project as `dvc repro` would, at a fraction of its cost."""
    run_stages(folder)
    must(folder, "python", "-m", "dvc", "commit", "-q", "-f", "dvc.yaml")


def run_cycle(folder: Path, **env: str) -> None:
    """Run what ``python -m flows.retrain --once`` runs in a copied project, all in this process.

    What the cycle leaves to `dvc repro` is run here too, and committed to DVC.
    """
    from flows import pipeline

    def repro(project: Project, *, dvc_args: Sequence[str] = (), **_: str) -> list[str]:
        last = max(STAGES.index(name) for name in dvc_args or STAGES)
        names = STAGES[: last + 1]
        run_stages(project.root, *names)
        must(project.root, "python", "-m", "dvc", "commit", "-q", "-f", *names)
        return list(names)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("repro", "run"):
            patch.setattr(pipeline, name, repro)
        run_stages(folder, "retrain", **env)
