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
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from flows.environment import QUIET, refuse_shared_secrets, require_given_server
from pamela.core import timeline
from pamela.core.errors import PamelaError, hidden, hide_in_tracebacks
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
        start, began = time.monotonic(), time.time()
        what = plain_arguments((*args, *kwargs.values()))
        timeline.record(timeline.STEP_BEGINS, name=name, what=what)
        try:
            result = function(*args, **kwargs)
            timeline.record(timeline.STEP, name=name, what=what, start=began)
            return result
        except Exception as error:
            if not isinstance(error, PamelaError):  # those are told once, at the end
                print(hidden(f"step {name!r} failed: {error!r}"), file=sys.stderr)
            raise
        finally:
            _step_seconds[name] = _step_seconds.get(name, 0.0) + time.monotonic() - start

    return cast(F, wrapper)


def plain_arguments(arguments: Iterable[Any]) -> list[str | int]:
    """Return the names and numbers among a step's arguments: what it is about, such as a model.

    A job that says itself what it is (a dataclass with a text) counts as a name.
    """
    named = (str(a) if is_dataclass(a) and "__str__" in vars(type(a)) else a for a in arguments)
    return [one for one in named if isinstance(one, str | int) and not isinstance(one, bool)]


def step(name: str) -> Callable[[F], F]:
    """Make a function a Prefect task called `name`: retried twice, unless the user must act."""

    def step_name(parameters: dict[str, Any]) -> str:  # on Prefect's page: ``fit paper 0``
        return " ".join([name, *(str(one) for one in plain_arguments(parameters.values()))])

    decorate = prefect.task(
        name=name,
        retries=2,
        retry_delay_seconds=1,
        retry_condition_fn=_worth_retrying,
        persist_result=False,
        cache_policy=prefect.cache_policies.NO_CACHE,
        task_run_name=cast(Any, step_name),  # Prefect asks for its argument by name
    )

    def apply(function: F) -> F:
        return cast(F, decorate(_timed(function, name)))

    return apply


def stage(name: str) -> Callable[[F], F]:
    """Make a function the Prefect flow of stage `name`."""
    decorate = prefect.flow(
        name=name, flow_run_name=lambda: run_name(name), validate_parameters=False
    )

    def apply(function: F) -> F:
        return cast(F, decorate(function))

    return apply


def run_name(stage: str) -> str:
    """Return what Prefect's page calls a run: what it does, and why it was started.

    ``train > fit 8 models on synthetic, champion hierarchical · make repro``
    """
    why = os.environ.get("PAMELA_REASON") or "dvc repro"
    try:
        return f"{_work_of(stage, here()[1])} · {why}"
    except (PamelaError, OSError):  # the stage itself says what is wrong
        return f"{stage} · {why}"


def _work_of(stage: str, params: Params) -> str:
    names, train = ", ".join(params.ingest.datasets), params.train
    told = {
        "ingest": f"read {names}",
        "validate": f"check {names}",
        "split": f"split {names}",
        "embed": f"encode {names} with {params.embed.encoder}",
        "train": f"fit {len(train.models)} models on {names}, champion {train.champion}",
        "evaluate": f"measure {len(train.models)} models on {names}",
        "steer": f"steer {params.steer.users} users, {params.steer.prompts} prompts",
        "report": f"report on {names}",
        "ablation": f"fit {', '.join(params.ablation.models)} without inputs on {names}",
    }
    return told.get(stage, stage)


def here() -> tuple[Project, Params]:
    """Return the project around the working directory and its params."""
    project = Project.here()
    refuse_shared_secrets(project)
    return project, load_params(project.params_file)


def main(flow: Callable[[], Any]) -> None:
    """Run `flow`; a `PamelaError` becomes one line on stderr and exit status 1."""
    import psutil

    hide_in_tracebacks()
    started = psutil.Process().create_time()
    imports_s = time.time() - started
    name = getattr(flow, "name", "flow")
    try:
        require_given_server()
        timeline.begin(Project.here(), name, started)
        flow()
    except PamelaError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    timeline.record(timeline.END)
    _record_timing(name, imports_s)


def timings_folder(project: Project) -> Path:
    """Return where each stage's last timing lies (git-ignored, no output of any stage)."""
    return project.timings


def _record_timing(name: str, imports_s: float) -> None:
    """Write the stage's own work: interpreter start and imports, and every step."""
    folder = timings_folder(Project.here())
    folder.mkdir(parents=True, exist_ok=True)
    record = {"stage": name, "imports_s": round(imports_s, 3), "steps_s": _step_seconds}
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
