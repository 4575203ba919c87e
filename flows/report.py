"""Stage report: plots, page and model card, then MLflow and the registry.

Run in the project root: ``python -m flows.report`` (``dvc repro`` does).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flows.ahead import start_processes
from pamela.compute.sizing import DRAWING, open_processes, process_count

if __name__ == "__main__":
    start_processes(DRAWING)

from flows.runtime import here, main, stage, step
from pamela.compute.processes import elsewhere, in_threads
from pamela.core.paths import Project
from pamela.evaluation.results import Results
from pamela.params import Params
from pamela.registry import registration, versions
from pamela.registry.tracking import publish as tracking
from pamela.reporting.ablation_runs import all_specs
from pamela.reporting.model_card import write_model_card
from pamela.reporting.plots.figures import write_plots
from pamela.reporting.report import write_report
from pamela.reporting.retraining_page import ensure_page
from pamela.reporting.sections.people import PeoplePart, people_part

draw = step("draw the plots")(elsewhere(write_plots))
explain = step("explain people")(elsewhere(people_part))
register = step("register")(registration.register_if_empty)


@step("write the model card")
def card(results: Results, project: Project) -> None:
    """Write ``MODEL_CARD.md``."""
    write_model_card(results, project.root / "MODEL_CARD.md")


@step("write the page")
def page(results: Results, project: Project, people: PeoplePart | None) -> None:
    """Write ``reports/index.html``, and the page of retraining that it names."""
    write_report(results, project.reports / "index.html", people)
    ensure_page(project, results.params.report.title)


@step("publish to MLflow")
def publish(project: Project, params: Params) -> int:
    """Find or create the runs and return how many are new."""
    return sum(run.created for run in tracking.publish(project, params, all_specs(project, params)))


@stage("report")
def report() -> None:
    """Show what came out, for people and for MLflow."""
    project, params = here()
    results = Results(project, params)
    plots, people = draw_and_explain(project, results)
    card(results, project)
    page(results, project, people)
    new = publish(project, params)
    version = register(project, params)
    note = f"; registered {versions.NAME} version {version} as champion" if version else ""
    print(f"report: {len(plots)} plots, {new} new MLflow runs{note}")


def draw_and_explain(project: Project, results: Results) -> tuple[list[Path], PeoplePart | None]:
    """Draw the plots and explain people, at once where there are processes for it."""
    calls: list[Callable[[], Any]] = [
        partial(draw, results, project.reports / "plots"),
        partial(explain, results),
    ]
    with open_processes("report", process_count(project), DRAWING) as processes:
        plots, people = in_threads(calls, threads=1 if processes is None else processes.count)
    return plots, people


if __name__ == "__main__":
    main(report)
