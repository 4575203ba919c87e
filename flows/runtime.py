"""What every flow shares: the task and flow decorators, the project, errors for people.

A stage is run by ``python -m flows.<stage>`` in the project root (``dvc repro`` does that); its
work is a flow of tasks, recorded by the server at ``PREFECT_API_URL`` or, where that is unset, by
an ephemeral one on the project's own ``.prefect/``.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from flows.environment import QUIET, require_given_server
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import Params, load_params

for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
os.environ.setdefault("PREFECT_HOME", str(Project.here().prefect_home))

import prefect  # noqa: E402  (after its settings)

F = TypeVar("F", bound=Callable[..., Any])
_step_seconds: dict[str, float] = {}  # own work of each step, for `make bench`


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Retry what may be transient; a fault in the user's data or params stays one."""
    try:
        state.result()
    except PamelaError:
        return False
    except Exception:
        return True
    return False


def _timed(function: F, name: str) -> F:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.monotonic()
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not isinstance(error, PamelaError):  # those are told once, at the end
                print(f"step {name!r} failed: {error!r}", file=sys.stderr)
            raise
        finally:
            _step_seconds[name] = _step_seconds.get(name, 0.0) + time.monotonic() - start

    return cast(F, wrapper)


def step(name: str) -> Callable[[F], F]:
    """Make a function a Prefect task called `name`: retried twice, unless the user must act."""
    decorate = prefect.task(
        name=name,
        retries=2,
        retry_delay_seconds=1,
        retry_condition_fn=_worth_retrying,
        persist_result=False,
        cache_policy=prefect.cache_policies.NO_CACHE,
    )

    def apply(function: F) -> F:
        return cast(F, decorate(_timed(function, name)))

    return apply


def stage(name: str) -> Callable[[F], F]:
    """Make a function the Prefect flow of stage `name`."""
    why = os.environ.get("PAMELA_REASON", "dvc repro")  # on the page: "train > make repro"
    decorate = prefect.flow(name=name, flow_run_name=why, validate_parameters=False)

    def apply(function: F) -> F:
        return cast(F, decorate(function))

    return apply


def here() -> tuple[Project, Params]:
    """Return the project around the working directory and its params."""
    project = Project.here()
    return project, load_params(project.params_file)


def main(flow: Callable[[], Any]) -> None:
    """Run `flow`; a `PamelaError` becomes one line on stderr and exit status 1."""
    import psutil

    imports_s = time.time() - psutil.Process().create_time()
    try:
        require_given_server()
        flow()
    except PamelaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    _record_timing(getattr(flow, "name", "flow"), imports_s)


def timings_folder(project: Project) -> Path:
    """Return where each stage's last timing lies (git-ignored, no output of any stage)."""
    return project.prefect_home / "timings"


def _record_timing(name: str, imports_s: float) -> None:
    """Write the stage's own work: interpreter start and imports, and every step."""
    folder = timings_folder(Project.here())
    folder.mkdir(parents=True, exist_ok=True)
    record = {"stage": name, "imports_s": round(imports_s, 3), "steps_s": _step_seconds}
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
