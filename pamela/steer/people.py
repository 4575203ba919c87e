"""Who is steered for, and by which fitted models: what the benchmark takes from a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Fold, Pairs, load_fold
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.evaluation.few_shot import unseen_task
from pamela.features.encoders.base import Encoder
from pamela.features.factory import get_encoder
from pamela.models import model_class
from pamela.models.base import RewardModel, load_model, model_hash
from pamela.models.linear_taste import LinearTaste
from pamela.models.random_effects.rating_design import choose_greedily
from pamela.params import Params
from pamela.steer.arms import CAUTIOUS, CHAMPION, POPULATION
from pamela.steer.results import INDEPENDENT
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewards.models import ModelReward, RenderFeatures, Shown

SHOTS: Final = 20  # ratings that a cold-start user is known by
PENALTY: Final = 1.0  # standard deviations that the cautious reward takes off
INDEPENDENT_MODEL: Final = "mf"


@dataclass(frozen=True)
class Rewards:
    """The fitted rewards of a run, and whom they know.

    Attributes
    ----------
    by_name : ``champion``, ``population`` and ``self_cautious``.
    independent : trained on the ratings that none of the others was trained on or shown.
    known : users of the dataset in the champion's training.
    images : the dataset's pictures, each with a prompt_id.
    shown : ``user_id, image_id`` of the ratings that cold-start users are known by.
    encoding : the features of what is drawn, shared by all.
    """

    by_name: Mapping[str, RewardFunction]
    independent: RewardFunction
    known: Sequence[str]
    images: pl.DataFrame
    shown: pl.DataFrame
    encoding: RenderFeatures

    @property
    def encoder(self) -> Encoder:
        """The encoder of pictures and prompts."""
        return self.encoding.encoder


def load_rewards(project: Project, params: Params, dataset: str) -> Rewards:
    """Return the champion, the population model (fold 0) and the independent reward."""
    champion = _model(project, params, params.train.champion)
    population = _model(project, params, POPULATION)
    fold = load_fold(project, 0)
    told = shown_ratings(fold, params, dataset, champion)
    encoder = get_encoder(
        params.embed.encoder,
        device=params.train.device,
        batch_size=params.embed.batch_size,
        workers=params.embed.workers,
    )
    encoding = RenderFeatures(encoder)
    images = prompt_images(fold, dataset)
    prompts = images.unique(s.PROMPT_ID, keep="first", maintain_order=True)
    shared = (fold.people, prompts, encoding, dataset)
    used, row = np.unique(told.item, return_inverse=True)
    shown = Shown(fold.items.take(used), replace(told, item=row))
    ours = ModelReward(champion, *shared, _digest(project, params.train.champion), shown=shown)
    digest = _digest(project, params.train.champion)
    cautious = ModelReward(champion, *shared, digest, shown=shown, penalty=PENALTY)
    known = fold.people.frame.filter(pl.Series(champion.knows(fold.people)))
    return Rewards(
        {
            CHAMPION: ours,
            POPULATION: ModelReward(population, *shared, _digest(project, POPULATION)),
            CAUTIOUS: cautious,
        },
        ModelReward(fit_independent(project, params, fold, told), *shared, INDEPENDENT),
        known.filter(pl.col(s.DATASET) == dataset)[s.USER].to_list(),
        images,
        pl.DataFrame(
            {
                s.USER: fold.people.frame[s.USER].gather(told.user),
                s.IMAGE: fold.items.frame[s.IMAGE].gather(told.item),
            }
        ),
        encoding,
    )


def shown_ratings(fold: Fold, params: Params, dataset: str, champion: RewardModel) -> Pairs:
    """Return the ratings of `SHOTS` pictures of each unseen user who rated so many.

    Of the pictures that a user rated in the context part, those that the champion would ask for
    (`reward.suggest` with these as candidates). A champion that cannot tell gets the first ones of
    the evaluation's order.
    """
    task = unseen_task(fold, query_size=params.evaluate.query_size, seed=params.evaluate.seed)
    own = (fold.people.frame[s.DATASET] == dataset).to_numpy()
    if not isinstance(champion, LinearTaste):
        print(f"steer: {SHOTS} ratings by chance of cold-start users: the champion suggests none")
        _, told = task.at(SHOTS)
        return told.take(own[told.user])
    rated = task.context.take(own[task.context.user])
    if not len(rated):
        return Pairs.empty()
    pictures, place = np.unique(rated.item, return_inverse=True)
    columns = champion.as_of_new(champion.columns(fold.items.take(pictures))[2])
    asked = [
        rated.take(rows[_suggested(columns, place[rows], champion)])
        for rows in (np.flatnonzero(rated.user == user) for user in np.unique(rated.user))
    ]
    return Pairs.concat(*asked)


def _suggested(columns: Floats, place: Ints, champion: LinearTaste) -> Bools:
    """Return which of a user's rows are of the pictures that the champion asks them to rate.

    Parameters
    ----------
    columns : array (pictures, k), the champion's of all pictures.
    place : array (rows,), which of the pictures each of the user's rows is of.
    """
    own, row = np.unique(place, return_inverse=True)
    if len(own) < SHOTS:
        return np.zeros(len(row), np.bool_)
    theirs, prior = columns[own], champion.prior
    plan = choose_greedily(theirs, theirs, prior.covariance, prior.rating_variance, SHOTS)
    return np.isin(row, plan.picks)


def fit_independent(project: Project, params: Params, fold: Fold, told: Pairs) -> RewardModel:
    """Fit a reward on fold 0's validation and test ratings, less those that were shown.

    Nobody's search used a rating of these, so its errors are not the errors that a search exploits,
    but for what the encoder itself does not see.
    """
    key = fold.people.frame.height
    seen = told.item * key + told.user
    rest = [fold[part] for part in (s.TEST_SEEN, s.TEST_UNSEEN, s.CONTEXT_UNSEEN, s.VAL_SEEN)]
    held = Pairs.concat(*rest)
    held = held.take(~np.isin(held.item * key + held.user, seen))
    chosen = project.models / INDEPENDENT_MODEL / "fold_0"
    model: RewardModel = (
        load_model(chosen).refit(params.train)  # its sizes; nothing of its weights is left
        if INDEPENDENT_MODEL in params.train.models
        else model_class(INDEPENDENT_MODEL).from_params(params.train)
    )
    parts = {s.TRAIN: held, s.VAL_UNSEEN: fold[s.VAL_UNSEEN]}
    model.fit(replace(fold, parts=parts, choices={}), seed=params.steer.seed)
    return model


def prompt_images(fold: Fold, dataset: str) -> pl.DataFrame:
    """Return the dataset's pictures; one that names no prompt_id is a prompt of its own."""
    return fold.items.frame.filter(pl.col(s.DATASET) == dataset).with_columns(
        pl.coalesce(s.PROMPT_ID, s.IMAGE).alias(s.PROMPT_ID)
    )


def _model(project: Project, params: Params, name: str) -> RewardModel:
    if name not in params.train.models:
        raise PamelaError(
            f"params.yaml: steer compares with the model {name!r}: add it to train.models"
        )
    return load_model(project.models / name / "fold_0")


def _digest(project: Project, name: str) -> str:
    return model_hash(project.models / name / "fold_0")
