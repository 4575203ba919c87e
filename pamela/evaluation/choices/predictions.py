"""What every model predicts of test choices: ``reports/choice_predictions.parquet``.

Seen users are asked about choices between pictures nobody trained on; unseen ones about these and
about pictures that others have rated or chosen between, at every number of own choices shown
(`pamela.evaluation.choices.task`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, Items, Pairs, People, load_fold
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.evaluation.choices.task import choice_task
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY, BradleyTerry
from pamela.evaluation.metrics.schema import (
    KNOWN_PICTURES,
    MODEL,
    NEW_PICTURES,
    PICTURES,
    POPULATION,
    SEEN,
    SHOTS,
    UNSEEN,
)
from pamela.evaluation.predictions import own_folds, restrict
from pamela.models.base import load_model
from pamela.models.choices.preference import Preference
from pamela.params import Params

OUTCOME: Final = "outcome"
P_A, P_B, P_TIE = "p_a", "p_b", "p_tie"
CHOICE_PREDICTIONS: Final = pl.Schema(
    {
        s.DATASET: pl.String,
        s.FOLD: pl.Int64,
        MODEL: pl.String,
        POPULATION: pl.String,
        SHOTS: pl.Int64,
        s.USER: pl.String,
        s.IMAGE_A: pl.String,
        s.IMAGE_B: pl.String,
        OUTCOME: pl.Float32,
        P_A: pl.Float32,
        P_B: pl.Float32,
        P_TIE: pl.Float32,
        PICTURES: pl.String,
    }
)


class Chooser(Protocol):
    """What can be asked what people choose: a reward model, or `bradley_terry`."""

    @property
    def adapts(self) -> bool:
        """Whether the choices of a new user change anything."""

    def prefer(
        self,
        items: Items,
        people: People,
        asked: Choices,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Preference:
        """Predict `asked`; see `pamela.models.base.RewardModel.prefer`."""


def predict_choices(project: Project, params: Params, number: int) -> pl.DataFrame:
    """Return what every trained model predicts of the test choices of fold `number`."""
    fold = restrict(load_fold(project, number), own_folds(project))
    frames = [CHOICE_PREDICTIONS.to_frame()]
    if not any(len(one) for one in fold.choices.values()):
        return frames[0]
    shots, seed = params.evaluate.shots, params.evaluate.seed
    for name in params.train.models:
        model = load_model(project.models / name / f"fold_{number}")
        frames.append(predict_of(model, name, fold, shots, seed))
    beside = BradleyTerry.fit(fold)
    frames.append(predict_of(beside, BRADLEY_TERRY, fold, shots, seed, [KNOWN_PICTURES]))
    return pl.concat(frames)


def predict_of(
    model: Chooser,
    name: str,
    fold: Fold,
    shots: Sequence[int],
    seed: int,
    about: Sequence[str] = (NEW_PICTURES, KNOWN_PICTURES),
) -> pl.DataFrame:
    """Return rows of `CHOICE_PREDICTIONS` of one model.

    A model without adaptation is asked once and repeats its answer.
    """
    task = choice_task(fold, seed=seed)
    frames = [CHOICE_PREDICTIONS.to_frame()]

    def add(
        population: str, k: int | None, asked: Choices, shown: Choices | None, kind: str
    ) -> None:
        if len(asked):
            answer = _ask(model, name, fold, asked, shown)
            frames.append(_frame(fold, name, population, k, asked, answer, kind))

    if NEW_PICTURES in about:
        add(SEEN, None, fold.choices_of(s.TEST_SEEN), None, NEW_PICTURES)
    for kind, query in ((NEW_PICTURES, task.new), (KNOWN_PICTURES, task.known)):
        for k in shots if kind in about else ():
            asked, shown = task.at(query, k)
            add(UNSEEN, k, asked, shown if k and model.adapts else None, kind)
    return pl.concat(frames)


def _ask(
    model: Chooser, name: str, fold: Fold, asked: Choices, shown: Choices | None
) -> Preference:
    try:
        return model.prefer(fold.items, fold.people, asked, None, shown)
    except PamelaError as error:  # of an answer that is not finite
        raise PamelaError(f"models/{name}/fold_{fold.number}: {error}") from None


def _frame(
    fold: Fold,
    model: str,
    population: str,
    shots: int | None,
    asked: Choices,
    answer: Preference,
    pictures: str,
) -> pl.DataFrame:
    images = fold.items.frame[s.IMAGE]
    return pl.DataFrame(
        {
            s.DATASET: fold.people.frame[s.DATASET].gather(asked.user),
            s.FOLD: np.full(len(asked), fold.number),
            MODEL: model,
            POPULATION: population,
            SHOTS: pl.Series([shots], dtype=pl.Int64).new_from_index(0, len(asked)),
            s.USER: fold.people.frame[s.USER].gather(asked.user),
            s.IMAGE_A: images.gather(asked.a),
            s.IMAGE_B: images.gather(asked.b),
            OUTCOME: asked.outcome,
            P_A: answer.a,
            P_B: answer.b,
            P_TIE: answer.tie,
            PICTURES: pictures,
        }
    ).select(pl.col(name).cast(kind) for name, kind in CHOICE_PREDICTIONS.items())
