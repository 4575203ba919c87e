"""What every flow shares: the task and flow decorators.

A stage is run by ``python -m flows.<stage>`` in the project root (``dvc repro`` does that); its
work is a flow of tasks, recorded by the server at ``PREFECT_API_URL`` or, where that is unset, by
an ephemeral one on the project's own ``.prefect/``.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from typing import Any, TypeVar, cast

from flows.command import here, main, step_seconds
from flows.environment import QUIET
from pamela.core import timeline
from pamela.core.errors import PamelaError, hidden, holds_secret
from pamela.core.paths import Project
from pamela.params import Params

for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
os.environ.setdefault("PREFECT_HOME", str(Project.here().prefect_home))

import prefect  # noqa: E402  (after its settings)

__all__ = ["here", "main", "run_name", "stage", "step"]  # all that a stage needs

# A log line that Prefect's page misses, as its server went away, is no matter for the terminal.
logging.raiseExceptions = False

LONGEST = 80  # characters of a reason in a name

F = TypeVar("F", bound=Callable[..., Any])


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    """Retry what may be transient; a fault in the user's data or params stays one."""
    try:
        state.result()
    except PamelaError:
        return False
    except Exception:
        return True
    return False


@contextlib.contextmanager
def secrets_hidden() -> Iterator[None]:
    """Let no error out that tells a secret: Prefect keeps errors in its database and shows them.

    Libraries name the address that failed, in what they raise or in what led to it.
    """
    try:
        yield
    except Exception as error:
        if not any(holds_secret(str(one)) for one in _chain(error)):
            raise
        said = hidden(str(error))
        told = type(error)(said) if isinstance(error, PamelaError) else None
        raise told or RuntimeError(f"{type(error).__name__}: {said}") from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _timed(function: F, name: str) -> F:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start, began = time.monotonic(), time.time()
        what = plain_arguments((*args, *kwargs.values()))
        timeline.record(timeline.STEP_BEGINS, name=name, what=what)
        try:
            with secrets_hidden():
                result = function(*args, **kwargs)
            timeline.record(timeline.STEP, name=name, what=what, start=began)
            return result
        except Exception as error:
            if not isinstance(error, PamelaError):  # those are told once, at the end
                print(hidden(f"step {name!r} failed: {error!r}"), file=sys.stderr)
            raise
        finally:
            step_seconds[name] = step_seconds.get(name, 0.0) + time.monotonic() - start

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
        about = (str(one) for one in plain_arguments(parameters.values()))
        return " ".join([name, *(shortened(one) for one in about)])

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
        name=name,
        flow_run_name=lambda: run_name(name),
        validate_parameters=False,
        persist_result=False,  # it would be a pickle
    )

    def apply(function: F) -> F:
        return cast(F, decorate(_telling(function)))

    return apply


def _telling(function: F) -> F:
    """Show the line that a flow returns as the message of its last state on Prefect's page."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with secrets_hidden():
            result = function(*args, **kwargs)
        if isinstance(result, str) and prefect.context.FlowRunContext.get():
            return prefect.states.Completed(message=result, data=result)
        return result

    return cast(F, wrapper)


def run_name(stage: str) -> str:
    """Return what Prefect's page calls a run: what it does, and why it was started.

    ``train > fit 8 models on synthetic, champion hierarchical · make repro``
    """
    by_hand = "by hand" if stage == "retrain" else "dvc repro"
    why = shortened(os.environ.get("PAMELA_REASON") or by_hand)
    try:
        return f"{_work_of(stage, here()[1])} · {why}"
    except (PamelaError, OSError):  # the stage itself says what is wrong
        return f"{stage} · {why}"


def shortened(text: str) -> str:
    """Return the start of a long text."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _work_of(stage: str, params: Params) -> str:
    names, train = ", ".join(params.ingest.datasets), params.train
    told = {
        "ingest": f"read {names}",
        "validate": f"check {names}",
        "split": f"split {names}",
        "embed": f"encode {names} with {params.embed.encoder}",
        "train": f"fit {len(train.models)} models on {names}, champion {train.champion}",
        "external": f"check {len(params.evaluate.external)} files of scores from elsewhere",
        "evaluate": f"measure {len(train.models)} models on {names}",
        "steer": f"steer {params.steer.users} users, {params.steer.prompts} prompts",
        "report": f"report on {names}",
        "ablation": f"fit {', '.join(params.ablation.models)} without inputs on {names}",
    }
    return told.get(stage, stage)
