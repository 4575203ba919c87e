"""Runs that a service left when it was killed: they are over, and the page shall say so."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED]
MESSAGE = "the service that ran it was killed"


def end_dead_runs(client: SyncPrefectClient, deployment: UUID) -> int:
    """End the runs of `deployment` that are under way, and their tasks; return how many.

    To be called by who holds the project's service lock: whatever ran them is gone then.
    """
    dead = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY))
        ),
    )
    for run in dead:
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
            task_run_filter=TaskRunFilter(
                state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNDER_WAY))
            ),
        )
        for task in tasks:
            client.set_task_run_state(task.id, Crashed(message=MESSAGE), force=True)
        client.set_flow_run_state(run.id, Crashed(message=MESSAGE), force=True)
    return len(dead)
