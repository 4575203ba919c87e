"""What every model predicts for test users and images: ``reports/predictions.parquet``.

Seen users are asked about images nobody trained on; unseen ones about these and about training
images that others rated (`KNOWN_PICTURES`), at every number of shots
(`pamela.evaluation.few_shot`). Two controls stand beside the trained models: `population` on
permuted image features, and, where the world's truth is known, its noise-free opinion (the
ceiling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats32
from pamela.core.dataset import Fold, Items, Pairs, People, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.core.progress import progress, share_bar
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN, ImageMean
from pamela.evaluation.comparators.population_user_mean import (
    POPULATION_USER_MEAN,
    PopulationUserMean,
)
from pamela.evaluation.few_shot import UnseenTask, known_pictures_task, unseen_task
from pamela.evaluation.metrics.schema import (
    KNOWN_PICTURES,
    MODEL,
    NEW_PICTURES,
    NOISE_CEILING,
    PICTURES,
    POPULATION,
    PREDICTIONS,
    SEEN,
    SHOTS,
    SHUFFLED,
    UNSEEN,
    UNSEEN_ALL_ROWS,
    WORLD,
)
from pamela.models import create_model
from pamela.models.base import Prediction, load_model
from pamela.models.gaussian_process.model import Population
from pamela.models.gaussian_process.score_memory import scores_kept
from pamela.models.repeats import averaged
from pamela.params import EvaluateParams, Params


class Predictor(Protocol):
    """What can be asked about rated pairs: a reward model, or an observer who knows the world."""

    @property
    def adapts(self) -> bool:
        """Whether the ratings of a new user (context) change anything."""

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`; see `pamela.models.base.RewardModel.predict`."""


def own_folds(project: Project) -> dict[str, int]:
    """Return the number of folds of every dataset.

    Where several datasets are trained on together, one with fewer folds would be asked again in
    the later ones: it is evaluated in its own folds only.
    """
    report = read_json(project.splits / "splits.json")["datasets"]
    return {name: int(entry["folds"]) for name, entry in report.items()}


def restrict(fold: Fold, folds: dict[str, int]) -> Fold:
    """Return the fold with the rows of those datasets that have a fold of this number."""
    here = [name for name, count in folds.items() if fold.number < count]
    of_item = fold.items.frame[s.DATASET].is_in(here).to_numpy()
    parts = {name: pairs.take(of_item[pairs.item]) for name, pairs in fold.parts.items()}
    choices = {name: one.take(of_item[one.a]) for name, one in fold.choices.items()}
    return Fold(fold.number, fold.items, fold.people, parts, choices)


def predict_fold(project: Project, params: Params, number: int) -> pl.DataFrame:
    """Return what every trained model predicts for the test rows of fold `number`.

    Beside them stand `pamela.evaluation.comparators`.
    """
    fold = restrict(load_fold(project, number), own_folds(project))
    known = known_pictures_task(fold, seed=params.evaluate.seed)
    frames = [PREDICTIONS.to_frame()]
    names = params.train.models

    def ask_about_known(model: Predictor, name: str) -> None:
        shots = params.evaluate.shots
        frames.append(predict_unseen(model, name, fold, known, shots, KNOWN_PICTURES))

    with scores_kept(), progress(f"predict fold {number}", len(names)) as advance:
        for name in names:
            model = load_model(project.models / name / f"fold_{number}")
            frames.append(predict_model(model, name, fold, params.evaluate))
            ask_about_known(model, name)
            if isinstance(model, Population) and len(fold[s.TRAIN]):
                beside = PopulationUserMean.fit(model, fold)
                frames.append(predict_model(beside, POPULATION_USER_MEAN, fold, params.evaluate))
                ask_about_known(beside, POPULATION_USER_MEAN)
            advance(1)
    ask_about_known(ImageMean.fit(fold), IMAGE_MEAN)
    return pl.concat(frames)


def predict_model(model: Predictor, name: str, fold: Fold, params: EvaluateParams) -> pl.DataFrame:
    """Predict the fold's test rows: of seen users, and of unseen users at every number of shots.

    Returns
    -------
    Rows of `PREDICTIONS`, as of `predict_unseen`, one per person and picture: of repeats the mean
    is asked. Where the context was taken from the unseen users' test rows, all of these rows are
    asked as well, at 0 shots (`UNSEEN_ALL_ROWS`).

    Raises
    ------
    PamelaError
        If a prediction is not a finite number.
    """
    seen, _ = averaged(fold[s.TEST_SEEN])
    frames = [frame_of(fold, name, SEEN, None, seen, ask(model, name, fold, seen, None))]
    task = unseen_task(fold, query_size=params.query_size, seed=params.seed)
    frames.append(predict_unseen(model, name, fold, task, params.shots))
    every, _ = averaged(fold[s.TEST_UNSEEN])
    if len(every) > len(task.query):
        answer = ask(model, name, fold, every, None)
        frames.append(frame_of(fold, name, UNSEEN_ALL_ROWS, 0, every, answer))
    return pl.concat(frames)


def predict_unseen(
    model: Predictor,
    name: str,
    fold: Fold,
    task: UnseenTask,
    shots: Sequence[int],
    pictures: str = NEW_PICTURES,
) -> pl.DataFrame:
    """Predict the query of `task` after every number of `shots`.

    Returns
    -------
    Rows of `PREDICTIONS`. A model without adaptation is asked once and repeats its answer;
    users without k context rows have no rows at k.

    Raises
    ------
    PamelaError
        If a prediction is not a finite number.
    """
    frames = [PREDICTIONS.to_frame()]
    plain = ask(model, name, fold, task.query, None)
    for k in shots:
        query, context = task.at(k)
        if model.adapts and k > 0:
            answer = ask(model, name, fold, query, context)
        else:
            kept = (task.shown >= k)[task.query.user]  # the rows of `query`, in its order
            answer = Prediction(plain.mean[kept], plain.std[kept])
        frames.append(frame_of(fold, name, UNSEEN, k, query, answer, pictures))
    return pl.concat(frames)


def ask(
    model: Predictor,
    name: str,
    fold: Fold,
    pairs: Pairs,
    context: Pairs | None,
    *,
    people: People | None = None,
) -> Prediction:
    """Return the model's answer for `pairs`, as the fold's users or as `people` in their places.

    Raises
    ------
    PamelaError
        If an answer is not a finite number.
    """
    if len(pairs) == 0:
        none: Floats32 = np.zeros(0, np.float32)
        return Prediction(none, none)
    asked = fold.people if people is None else people
    try:
        return model.predict(fold.items, asked, pairs, context)
    except PamelaError as error:  # of an answer that is not finite
        raise PamelaError(f"models/{name}/fold_{fold.number}: {error}") from None


def frame_of(
    fold: Fold,
    model: str,
    population: str,
    shots: int | None,
    pairs: Pairs,
    answer: Prediction,
    pictures: str = NEW_PICTURES,
) -> pl.DataFrame:
    """Return rows of `PREDICTIONS`: the answer beside who was asked about what."""
    frame = pl.DataFrame(
        {
            s.DATASET: fold.people.frame[s.DATASET].gather(pairs.user),
            s.USER: fold.people.frame[s.USER].gather(pairs.user),
            s.IMAGE: fold.items.frame[s.IMAGE].gather(pairs.item),
            s.RATING: pairs.rating.astype(np.float64),
            "mean": answer.mean,
            "std": answer.std,
        }
    )
    return frame.with_columns(
        pl.lit(fold.number).alias(s.FOLD),
        pl.lit(model).alias(MODEL),
        pl.lit(population).alias(POPULATION),
        pl.lit(shots, dtype=pl.Int64).alias(SHOTS),
        pl.lit(pictures).alias(PICTURES),
    ).select(pl.col(name).cast(kind) for name, kind in PREDICTIONS.items())


def wants_control(params: Params) -> bool:
    """Return whether the shuffled control is part of this evaluation."""
    return WORLD in params.ingest.datasets and "population" in params.train.models


def predict_control(project: Project, params: Params) -> pl.DataFrame:
    """Fit and predict `population` on permuted image features.

    Features are permuted within each dataset; prompts and metadata stay. What `population` gains
    over this control is what it sees in the pictures. Fold 0, the world's rows only.
    """
    fold = load_fold(project, 0)
    control = fold.with_items(shuffle_images(fold.items, params.evaluate.seed))
    model = create_model("population", params.train)
    with share_bar("shuffled control") as report:
        model.fit(control, seed=params.train.seed, progress=report)
    return predict_model(model, SHUFFLED, restrict(control, {WORLD: 1}), params.evaluate)


def shuffle_images(items: Items, seed: int) -> Items:
    """Return the items with image features permuted within each dataset."""
    rng = np.random.default_rng(seed)
    names = items.frame[s.DATASET].to_numpy()
    order = np.arange(len(items))
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        order[rows] = rng.permutation(rows)
    return Items(items.frame, items.image[order], items.prompt)


def noise_ceiling(predictions: pl.DataFrame, utility: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a model that predicts the world's noise-free opinion.

    Parameters
    ----------
    predictions : of any models; one of them gives the rows.
    utility : ``data/truth/utility.parquet``: user_id, image_id, utility on the 1..5 scale.
    """
    new = pl.col(PICTURES) == NEW_PICTURES
    world = predictions.filter(pl.col(s.DATASET) == WORLD, new)
    if world.is_empty():
        return PREDICTIONS.to_frame()
    known = [model for model in world[MODEL].unique().sort() if model != SHUFFLED]
    rows = world.filter(pl.col(MODEL) == known[0]).join(
        utility.unique([s.USER, s.IMAGE]).select(s.USER, s.IMAGE, "utility"),
        on=[s.USER, s.IMAGE],
        how="left",
        maintain_order="left",
    )
    lost = rows.filter(pl.col("utility").is_null())
    if lost.height:
        first = lost.row(0, named=True)
        raise PamelaError(
            f"data/truth/utility.parquet: no utility of {first[s.USER]} for {first[s.IMAGE]} "
            f"({lost.height} rows); run `dvc repro -f ingest`"
        )
    return rows.with_columns(
        pl.lit(NOISE_CEILING).alias(MODEL),
        pl.col("utility").cast(pl.Float32).alias("mean"),
        pl.lit(None, dtype=pl.Float32).alias("std"),
    ).select(PREDICTIONS.names())


def with_noise_ceiling(project: Project, predictions: pl.DataFrame) -> pl.DataFrame:
    """Return `predictions` with the rows of `noise_ceiling` where the world's truth is there."""
    path = project.truth / "utility.parquet"
    if not path.is_file():
        return predictions
    return pl.concat([predictions, noise_ceiling(predictions, read_parquet(path))])
