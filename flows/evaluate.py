"""Stage evaluate: every model on test users and images. Run: ``python -m flows.evaluate``."""

from __future__ import annotations

import polars as pl

from flows.runtime import here, main, stage, step
from pamela import evaluate, predictions
from pamela.data import count_folds
from pamela.io import read_parquet, write_json, write_parquet
from pamela.observers import rows
from pamela.params import Params
from pamela.project import Project


@step("predict fold")
def predict_fold(project: Project, params: Params, number: int) -> pl.DataFrame:
    """Ask every model of a fold about its test rows."""
    return predictions.predict_fold(project, params, number)


@step("shuffled control")
def shuffled_control(project: Project, params: Params) -> pl.DataFrame:
    """Fit and ask the population model on the features of the wrong pictures."""
    return predictions.predict_control(project, params)


@step("noise ceiling")
def noise_ceiling(project: Project, predicted: pl.DataFrame) -> pl.DataFrame:
    """Add the world's noise-free opinion where it is known."""
    return predictions.with_noise_ceiling(project, predicted)


@step("ideal observers")
def ideal_observers(project: Project, params: Params) -> pl.DataFrame:
    """Ask the observers that know the world's pictures and priors."""
    return rows.predict_observers(project, params)


@step("compute metrics")
def compute_metrics(
    project: Project, params: Params, predicted: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compute every number and every paired difference with its interval."""
    images = read_parquet(project.validated / "images.parquet")
    return evaluate.evaluate_predictions(predicted, images, params.evaluate)


@step("write reports")
def write_reports(
    project: Project,
    params: Params,
    predicted: pl.DataFrame,
    numbers: pl.DataFrame,
    differences: pl.DataFrame,
) -> None:
    """Write the three tables and the headline numbers."""
    write_parquet(project.reports / "predictions.parquet", predicted)
    write_parquet(project.reports / "evaluation.parquet", numbers)
    write_parquet(project.reports / "differences.parquet", differences)
    figures = evaluate.headline(numbers, differences, params)
    write_json(project.metrics / "evaluation.json", figures)


@stage("evaluate")
def flow() -> None:
    """Predict with every model, add the controls, and measure."""
    project, params = here()
    folds = range(count_folds(project))
    frames = [predict_fold(project, params, number) for number in folds]
    if predictions.wants_control(params):
        frames.append(shuffled_control(project, params))
    if rows.knows_the_world(project, params):
        frames.append(ideal_observers(project, params))
    predicted = noise_ceiling(project, pl.concat(frames))
    numbers, differences = compute_metrics(project, params, predicted)
    write_reports(project, params, predicted, numbers, differences)


if __name__ == "__main__":
    main(flow)
