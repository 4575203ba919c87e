"""The ablation's page and MLflow runs: ``python -m flows.ablation_page`` in the project root.

``make ablation`` runs it after ``flows.ablation``.
"""

from __future__ import annotations

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.params import Params
from pamela.registry.tracking import publish as tracking
from pamela.reporting import ablation_page
from pamela.reporting.ablation_runs import ablation_specs

write_page = step("write the page")(ablation_page.write_ablation_page)


@step("publish to MLflow")
def publish(project: Project, params: Params) -> int:
    """Find or create the ablation's runs and return how many are new."""
    specs = ablation_specs(project, params)
    return sum(run.created for run in tracking.publish(project, params, specs))


@stage("ablation page")
def flow() -> None:
    """Show the ablation, for people and for MLflow."""
    project, params = here()
    write_page(project, params.report.title)
    new = publish(project, params)
    print(f"ablation: {new} new MLflow runs; see reports/{ablation_page.PAGE}")


if __name__ == "__main__":
    main(flow)
