"""Publish the results that are there to MLflow, and register the champion: again, if need be.

``python -m flows.publish``, called by ``make repro`` after ``dvc repro``: a fully cached run still
shows in MLflow, and a deleted ``mlflow.db`` heals. Where everything is there it takes a second,
because neither Prefect nor MLflow is imported.
"""

from __future__ import annotations

import os
import sys

from flows.command import take_no_words
from flows.environment import QUIET
from pamela.core.errors import PamelaError, hide_in_tracebacks
from pamela.core.paths import Project
from pamela.params import load_params
from pamela.registry import healing, registration, versions
from pamela.registry.tracking import publish as tracking
from pamela.reporting.ablation_runs import all_specs
from pamela.retraining.champion import complete_records


def publish() -> str:
    """Find or create every run, register the first model, mend what is amiss; say what was done."""
    project = Project.here()
    params = load_params(project.params_file)
    specs = all_specs(project, params)
    published = tracking.is_published(project, params, specs)
    if published and healing.is_registered(project, params):
        return ""
    new = sum(run.created for run in tracking.publish(project, params, specs))
    version = registration.register_if_empty(project, params)
    note = f"; registered {versions.NAME} version {version} as champion" if version else ""
    mended = healing.heal(project, params)
    complete_records(project, params)
    if mended:
        from pamela.retraining.report.page import renew_page

        renew_page(project, params, "the registry is mended")
    return "\n".join([f"MLflow: {new} new runs{note}", *mended])


def main() -> None:
    """Publish; a `PamelaError` becomes one line on stderr and exit status 1."""
    take_no_words()
    hide_in_tracebacks()
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        note = publish()
    except (PamelaError, OSError) as error:  # such as a full disk
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if note:
        print(note)


if __name__ == "__main__":
    main()
