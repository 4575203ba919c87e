"""Stage evaluate: every model on test users and images. Run: ``python -m flows.evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flows.ahead import start_processes

if __name__ == "__main__":
    start_processes()

import polars as pl

from flows.runtime import here, main, stage, step
from pamela.compute.processes import Processes, elsewhere, in_threads
from pamela.compute.sizing import open_processes, process_count
from pamela.core.dataset import count_folds
from pamela.core.files import read_parquet, write_csv, write_metrics, write_parquet
from pamela.core.paths import Project
from pamela.core.strict_yaml import read_yaml
from pamela.evaluation import evaluate, predictions, swapped_users
from pamela.evaluation.ceilings import measured
from pamela.evaluation.choices import predictions as choice_predictions
from pamela.evaluation.choices.numbers import evaluate_choices
from pamela.evaluation.comparisons import BASELINE
from pamela.evaluation.external.tables import external_tables
from pamela.evaluation.headline import curve, headline
from pamela.evaluation.metrics import image_slices, subgroup_gaps
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.observers import predictions as rows
from pamela.params import Params

predict_fold = step("predict fold")(elsewhere(predictions.predict_fold))
shuffled_control = step("shuffled control")(elsewhere(predictions.predict_control))
noise_ceiling = step("noise ceiling")(predictions.with_noise_ceiling)
measured_ceiling = step("measured ceiling")(measured.with_measured_ceiling)
swap_users = step("swap users")(elsewhere(swapped_users.predict_variants))
predict_choices = step("predict choices")(elsewhere(choice_predictions.predict_choices))
ideal_observers = step("ideal observers")(elsewhere(rows.predict_observers))
scores_from_elsewhere = step("scores from elsewhere")(external_tables)

MADE_BY = "external@"  # names of the stages that check scores, in dvc.lock


@step("compute metrics")
def compute_metrics(
    project: Project, params: Params, predicted: pl.DataFrame, others: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compute every number and every paired difference with its interval."""
    images = read_parquet(project.validated / "images.parquet")
    champion = params.train.champion
    return evaluate.evaluate_predictions(
        predicted, images, params.evaluate, variants=others, champion=champion
    )


@step("compute metrics of choices")
def compute_choice_metrics(
    params: Params, chosen: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Compute every number about choices and every paired difference with its interval."""
    return evaluate_choices(chosen, params.evaluate, champion=params.train.champion)


@step("accuracy by kind of picture and group of people")
def compute_slices(
    project: Project, params: Params, predicted: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Return the tables of slices, of groups and of the gaps between groups."""
    images = read_parquet(project.validated / "images.parquet")
    users = read_parquet(project.validated / "users.parquet")
    of_pictures = image_slices.picture_slices(predicted, images, params.evaluate)
    models = (params.train.champion, BASELINE)
    groups, between = subgroup_gaps.demographic_gaps(predicted, users, models, params.evaluate)
    return {"slices": of_pictures, "groups": groups, "gaps": between}


@step("write reports")
def write_reports(project: Project, params: Params, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write every table, the headline numbers and the curves of ``dvc plots``."""
    for name, table in tables.items():
        write_parquet(project.reports / f"{name}.parquet", table)
    numbers = tables["evaluation"]
    figures = headline(numbers, tables["differences"], params)
    write_metrics(project.metrics / "evaluation.json", figures)
    accuracy = curve(
        numbers, params, metric=PAIRWISE_ACCURACY, population=predictions.SEEN, by="margin"
    )
    srocc = curve(numbers, params, metric=SROCC, population=predictions.UNSEEN, by="shots")
    write_csv(project.reports / "accuracy_by_margin.csv", accuracy)
    write_csv(project.reports / "srocc_by_shots.csv", srocc)


@step("remove old scores")
def remove_old_scores(project: Project, params: Params) -> None:
    """Remove what stage external made of names that params no longer hold.

    DVC keeps the output of a stage that is gone, and would take it for a part of this one's deps.
    """
    lock = project.root / "dvc.lock"
    stages = (read_yaml(lock) or {}).get("stages", {}) if lock.is_file() else {}
    made = {name.removeprefix(MADE_BY) for name in stages if name.startswith(MADE_BY)}
    for name in made - set(params.evaluate.external):
        (project.external / f"{name}.parquet").unlink(missing_ok=True)


@stage("evaluate")
def flow() -> None:
    """Predict with every model, add the controls and scores from elsewhere, and measure."""
    project, params = here()
    remove_old_scores(project, params)
    with open_processes("evaluate", process_count(project)) as processes:
        predicted, variants, chosen = predict_all(project, params, processes)
        numbers, differences = compute_metrics(project, params, predicted, variants)
    numbers = measured_ceiling(project, predicted, numbers)
    of_choices, less = compute_choice_metrics(params, chosen)
    tables = {
        "predictions": predicted,
        "choice_predictions": chosen,
        "evaluation": pl.concat([numbers, of_choices]),
        "differences": pl.concat([differences, less]),
        **compute_slices(project, params, predicted),
    }
    beside = scores_from_elsewhere(project, params, predicted, chosen, variants)
    write_reports(project, params, {n: pl.concat([t, beside[n]]) for n, t in tables.items()})


def predict_all(
    project: Project, params: Params, processes: Processes | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return what all say, what they say as somebody else, and what they say of choices."""
    folds = range(count_folds(project))
    observed = rows.knows_the_world(project, params)
    controlled = predictions.wants_control(params)
    calls: list[Callable[[], Any]] = [partial(ideal_observers, project, params)] * observed
    calls += [partial(shuffled_control, project, params)] * controlled
    for ask in (predict_fold, swap_users, predict_choices):
        calls += [partial(ask, project, params, number) for number in folds]
    found = iter(in_threads(calls, threads=1 if processes is None else processes.count))
    observers = [next(found)] if observed else []
    control = [next(found)] if controlled else []
    frames, others, chosen = ([next(found) for _ in folds] for _ in range(3))
    predicted = pl.concat([*frames, *control, *(asked for asked, _ in observers)])
    variants = pl.concat([*others, *(as_others for _, as_others in observers)])
    return noise_ceiling(project, predicted), variants, pl.concat(chosen)


if __name__ == "__main__":
    main(flow)
