"""What Prefect's page says of a retrain: a name that tells what it did, the decision and why."""

from __future__ import annotations

import datetime as dt
import html
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pamela.core.errors import hidden

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from pamela.retraining.gate.decision import Decision

KEY = "retrain"  # of the artifacts
IDLE = "nothing to do"
RULE = "---"  # below the head of a table
SHOWN = 3  # batches in a name


def show_cycle(decisions: Sequence[Decision], refused: Sequence[str], lines: Sequence[str]) -> None:
    """Show what the cycle that this process runs decided, and which batches it refused."""
    titles = [_title(decision) for decision in decisions] + (["refused"] if refused else [])
    about = [label for decision in decisions for label in decision.group]
    checks = decisions[-1].checks if decisions else []
    show(name_of(titles, [*about, *refused]), lines, checks)


def _title(decision: Decision) -> str:
    """Return a decision in a few words: ``promoted version 3``."""
    if decision.outcome == "PROMOTE":
        return f"promoted version {decision.challenger.version}"
    stays = f", version {decision.champion.version} stays" if decision.champion else ""
    return {"HOLD": "held", "REJECT": "rejected"}[decision.outcome] + stays


def name_of(titles: Sequence[str], about: Sequence[str] = ()) -> str:
    """Return what the page calls a run: ``retrain · promoted version 3 · synthetic/b1``."""
    batches = ", ".join(about[:SHOWN])
    if len(about) > SHOWN:
        batches += f" and {len(about) - SHOWN} more"
    return " · ".join(["retrain", *(titles or [IDLE]), *([batches] if batches else [])])


def markdown(name: str, lines: Sequence[str], checks: Sequence[Mapping[str, Any]] = ()) -> str:
    """Return the page of one run; nothing that comes from data is read as HTML or markup."""
    parts = [f"## {_text(name)}", *(_text(line) for line in lines)]
    if checks:
        columns = list(checks[0])
        rows = [columns, [RULE] * len(columns), *(list(row.values()) for row in checks)]
        parts.append("\n".join(f"| {' | '.join(_cell(c) for c in row)} |" for row in rows))
    return "\n\n".join(parts)


def show(name: str, lines: Sequence[str], checks: Sequence[Mapping[str, Any]] = ()) -> None:
    """Show what the flow run that this process is in did; nothing is done outside of one.

    A page that cannot be written is told and holds nothing up.
    """
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    try:
        with get_client(sync_client=True) as client:
            show_run(client, context.flow_run.id, name, lines, checks)
    except Exception as error:  # of any kind that a client and a network have
        print(hidden(f"Prefect's page does not show it: {error!r}"), file=sys.stderr)


def show_run(
    client: SyncPrefectClient,
    run: UUID,
    name: str,
    lines: Sequence[str],
    checks: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Name the flow run and write its page."""
    from prefect.client.schemas.actions import ArtifactCreate, LogCreate

    client.update_flow_run(run, name=name)
    client.create_logs(
        LogCreate.model_validate(
            {
                "name": "prefect.flow_runs",
                "level": logging.INFO,
                "message": line,
                "timestamp": dt.datetime.now(dt.UTC),
                "flow_run_id": run,
            }
        )
        for line in lines
    )
    client.create_artifact(
        ArtifactCreate(
            key=KEY,
            type="markdown",
            data=markdown(name, lines, checks),
            description=html.escape(" ".join(lines), quote=False),
            flow_run_id=run,
        )
    )


def _text(text: str) -> str:
    plain = html.escape(" ".join(text.split()), quote=False)
    for mark in "\\`*_[]#|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _cell(value: object) -> str:
    if value == RULE:
        return RULE
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else _text(str(value))
