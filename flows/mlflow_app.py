"""MLflow's own server with one page more, ``/pamela``: ``python -m flows.mlflow_app PORT``.

MLflow's runs table shows no metric until a user has chosen columns, which their browser remembers,
and a link to a saved view comes with a banner that somebody else's view is shown. The page lays the
columns that matter where the browser keeps a user's own choice, unless there is one, and goes on to
the runs. Used by `flows.ui`, on loopback.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from flows.environment import QUIET
from pamela.core.paths import Project
from pamela.params import load_params, tracking_uri
from pamela.registry import sqlite_reader
from pamela.registry.tracking import publish
from pamela.registry.tracking.runs_table import VIEW_STATE

PATH = "/pamela"
# Where MLflow's page keeps what a user chose for an experiment, in the browser's local storage
PLACE = 'MLflowLocalStorage-1.1-ExperimentPage-["{experiment}"]-ReactComponentState'
# Says that the chat of MLflow's assistant has opened by itself once; it covers a third of the page
OPENED = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"
# Where it keeps whether its pages are for training models or for language models, their default
KIND = "mlflow.workflowType_v1"
PAGE = """<!doctype html>
<meta charset="utf-8">
<title>MLflow</title>
<script>
const place = %(place)s, view = %(view)s, opened = %(opened)s, kind = %(kind)s;
const kept = JSON.parse(localStorage.getItem(place)) || view;
kept.runsExpanded = {...kept.runsExpanded, ...view.runsExpanded};
localStorage.setItem(place, JSON.stringify(kept));
localStorage.setItem(opened, "true");
if (localStorage.getItem(kind) === null) localStorage.setItem(kind, '"machine_learning"');
location.replace(%(target)s);
</script>
"""


def runs_page(project: Project) -> str:
    """Return the page that goes to the runs table; to MLflow's first page before a first run."""
    params = load_params(project.params_file)
    uri = tracking_uri(params, project.root)
    number = sqlite_reader.known_experiment(uri, params.report.experiment, "experiment_id")
    client = publish.client_of(project, params)
    if number is None and (found := client.get_experiment_by_name(params.report.experiment)):
        number = str(found.experiment_id)
    if number is None:
        return filled("", {}, "/")
    runs = client.search_runs([number], max_results=1000)
    parents = sorted({run.data.tags.get(publish.PARENT, "") for run in runs} - {""})
    view = VIEW_STATE | {"runsExpanded": dict.fromkeys(parents, True)}
    target = f"/#/experiments/{number}/runs?workflowType=machine_learning"
    return filled(PLACE.format(experiment=number), view, target)


def filled(place: str, view: Mapping[str, object], target: str) -> str:
    """Return the page with its values, none of which can end the script."""
    values = {"place": place, "view": view, "opened": OPENED, "kind": KIND, "target": target}
    return PAGE % {key: json.dumps(value).replace("<", "\\u003c") for key, value in values.items()}


def main() -> None:
    """Serve on loopback until stopped."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    project = Project.here()
    params = load_params(project.params_file)
    from mlflow import server

    # by the environment: a command line can be read by everybody on the machine
    os.environ |= {
        server.BACKEND_STORE_URI_ENV_VAR: tracking_uri(params, project.root),
        server.ARTIFACT_ROOT_ENV_VAR: str(publish.artifact_root(project, params)),
        server.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    import uvicorn
    from mlflow.server.fastapi_app import app
    from starlette.requests import Request
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    def page(_request: Request) -> HTMLResponse:
        return HTMLResponse(runs_page(project))

    app.router.routes.insert(0, Route(PATH, page))  # before MLflow's catch-all
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
