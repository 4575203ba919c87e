"""The ablation, apart from the pipeline: ``make ablation``.

Trains models again with inputs switched off and measures what each input was worth
(``flows.ablation_page`` shows it). Run in the project root: ``python -m flows.ablation``.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from flows.runtime import here, main, stage, step
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.evaluation import ablation, ablation_metrics
from pamela.params import Params

plan = step("plan")(ablation.plan_ablation)
fit_and_ask = step("fit and ask")(ablation.fit_and_predict)


@step("compute metrics")
def measure(project: Project, params: Params, done: Sequence[ablation.Done]) -> pl.DataFrame:
    """Compute every number and its paired difference to the full model."""
    images = read_parquet(project.validated / "images.parquet")
    predictions = pl.concat([one.predictions for one in done])
    return ablation_metrics.compute_metrics(predictions, images, params)


@step("write results")
def write(
    project: Project, params: Params, done: Sequence[ablation.Done], table: pl.DataFrame
) -> None:
    """Write table, record and headline numbers."""
    ablation_metrics.write_ablation_results(project, params, done, table)


@stage("ablation")
def flow() -> None:
    """Train every variant and measure."""
    project, params = here()
    done = [fit_and_ask(project, params, job) for job in plan(project, params)]
    table = measure(project, params, done)
    write(project, params, done, table)
    print(f"ablation: {ablation.ablation_summary(done)}")


if __name__ == "__main__":
    main(flow)
