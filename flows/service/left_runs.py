"""Runs of stages and of ``--once`` whose command was killed: over, and Prefect's page says so.

Asked for in plain HTTP: `make repro` itself needs nothing of Prefect.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from typing import Any, Final

UNDER_WAY: Final = ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]
MESSAGE: Final = "the command that ran it was killed"
TIMEOUT_S: Final = 10.0


def end_left_runs(url: str) -> int:
    """End the runs that are under way and belong to no deployment; return how many.

    To be called by who has just started the project's server, while no other command of the
    project runs: whatever ran them is gone then.
    """
    asked = {"state": {"type": {"any_": UNDER_WAY}}}
    left = _post(f"{url}/flow_runs/filter", {"flow_runs": asked})
    ended = [run["id"] for run in left if run["deployment_id"] is None]
    if not ended:
        return 0
    about = {"flow_runs": {"id": {"any_": ended}}, "task_runs": asked}
    for task in _post(f"{url}/task_runs/filter", about):
        _crash(f"{url}/task_runs/{task['id']}")
    for run in ended:
        _crash(f"{url}/flow_runs/{run}")
    return len(ended)


def _crash(run: str) -> None:
    state = {"type": "CRASHED", "name": "Crashed", "message": MESSAGE}
    _post(f"{run}/set_state", {"state": state, "force": True})


def _post(url: str, body: dict[str, Any]) -> Any:
    headers = {"Content-Type": "application/json"}
    if password := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310, our own
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
        return json.loads(reply.read())
