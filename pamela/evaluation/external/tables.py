"""The rows that scores from elsewhere add to every table of the evaluate stage."""

from __future__ import annotations

import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.evaluation.choices.predictions import CHOICE_PREDICTIONS
from pamela.evaluation.evaluate import DIFFERENCES, EVALUATION
from pamela.evaluation.external.answers import (
    choose_by_scores,
    load_scores,
    missing_lines,
    predict_scores,
)
from pamela.evaluation.external.numbers import (
    evaluate_chosen,
    evaluate_scores,
    score_gaps,
    score_slices,
)
from pamela.evaluation.metrics.image_slices import SLICES
from pamela.evaluation.metrics.schema import MODEL, PREDICTIONS
from pamela.evaluation.metrics.subgroup_gaps import GAPS, GROUPS
from pamela.params import Params

TABLES = {
    "predictions": PREDICTIONS,
    "choice_predictions": CHOICE_PREDICTIONS,
    "evaluation": EVALUATION,
    "differences": DIFFERENCES,
    "slices": SLICES,
    "groups": GROUPS,
    "gaps": GAPS,
}  # by the name of the file


def external_tables(
    project: Project,
    params: Params,
    predictions: pl.DataFrame,
    choices: pl.DataFrame,
    variants: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Return the rows of each of `TABLES`, and say which scores are missing.

    Parameters
    ----------
    predictions, choices, variants : what the models say of ratings, of choices, and of ratings as
        somebody else.
    """
    scores = load_scores(project, params)
    if not scores:
        return {name: schema.to_frame() for name, schema in TABLES.items()}
    own = pl.col(MODEL) == params.train.champion  # asked wherever any model is
    answers = predict_scores(scores, predictions.filter(own))
    chosen = choose_by_scores(scores, choices.filter(own))
    for line in missing_lines(list(scores), answers, chosen):
        print(line)
    images = read_parquet(project.validated / "images.parquet")
    users = read_parquet(project.validated / "users.parquet")
    personal = [name for name, rows in scores.items() if rows[s.USER].null_count() == 0]
    numbers, gaps = evaluate_scores(answers, predictions, variants, images, params, personal)
    of_choices, less = evaluate_chosen(chosen, choices, params)
    by_group = score_gaps(answers, users, params.evaluate)
    return {
        "predictions": answers,
        "choice_predictions": chosen,
        "evaluation": pl.concat([numbers, of_choices]),
        "differences": pl.concat([gaps, less]),
        "slices": score_slices(answers, images, params.evaluate),
        "groups": pl.concat([GROUPS.to_frame(), *(groups for groups, _ in by_group)]),
        "gaps": pl.concat([GAPS.to_frame(), *(between for _, between in by_group)]),
    }
