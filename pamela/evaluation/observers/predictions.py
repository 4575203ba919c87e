"""The observers' rows of ``reports/predictions.parquet``, beside those of the models."""

from __future__ import annotations

import polars as pl

from pamela.core.dataset import load_fold
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.evaluation.metrics.schema import WORLD
from pamela.evaluation.observers.observer import create_observers
from pamela.evaluation.predictions import predict_model, restrict
from pamela.evaluation.swapped_users import variants_of
from pamela.params import Params
from pamela.synthetic.raters.world import load_prior


def knows_the_world(project: Project, params: Params) -> bool:
    """Return whether the embedded world is evaluated and its truth is at hand."""
    return WORLD in params.ingest.datasets and (project.truth / "world.json").is_file()


def predict_observers(project: Project, params: Params) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ask the observers what every model is asked: the same queries after the same shots.

    They are given the truth about pictures and the priors of people, and learn from the same
    rating rows as the models. Fold 0, the world's rows only.

    Returns
    -------
    Their predictions, and what those that tell people apart say as somebody else
    (`pamela.evaluation.metrics.schema.VARIANTS`).
    """
    fold = restrict(load_fold(project, 0), {WORLD: 1})
    truth = read_parquet(project.truth / "images.parquet")
    asked = create_observers(fold, truth, load_prior(project.truth))
    predictions = [predict_model(one, name, fold, params.evaluate) for name, one in asked.items()]
    variants = [
        variants_of(one, name, fold, params.evaluate) for name, one in asked.items() if one.personal
    ]
    return pl.concat(predictions), pl.concat(variants)
