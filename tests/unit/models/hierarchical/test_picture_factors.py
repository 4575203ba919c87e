"""What others' ratings say of a picture: planted factors are found; new pictures keep scores."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.models.base import load_model
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.features.item_features import Sizes
from pamela.models.hierarchical.model import Hierarchical
from pamela.models.hierarchical.selection import TasteSearch

TRAINED, COLD = 90, 20  # people
KNOWN, NEW = 70, 20  # pictures
SHOWN = 40  # ratings of known pictures that a cold-start person gives; the others are asked for


def plant(own: float, seed: int = 0) -> Fold:
    """Ratings by features, and by two factors of each picture that no feature tells."""
    rng = np.random.default_rng(seed)
    pictures, people = KNOWN + NEW, TRAINED + COLD
    image = rng.normal(size=(pictures, 3)).astype(np.float32)
    factors, tastes = rng.normal(size=(pictures, 2)), rng.normal(size=(people, 2))
    weights = 0.25 * rng.normal(size=(people, 3)) + np.array([0.3, 0.0, 0.0])
    true = 3 + image @ weights.T + own * factors @ tastes.T
    rating = np.clip(true + 0.4 * rng.normal(size=true.shape), 1, 5)

    def pairs(users: range, items: range) -> Pairs:
        user, item = np.repeat(users, len(items)), np.tile(items, len(users))
        return Pairs(user, item, rating[item, user].astype(np.float32))

    trained, cold = range(TRAINED), range(TRAINED, people)
    parts = {
        s.TRAIN: pairs(trained, range(KNOWN)),
        s.TEST_SEEN: pairs(trained, range(KNOWN, pictures)),
        s.TEST_UNSEEN: pairs(cold, range(KNOWN, pictures)),
        s.CONTEXT_UNSEEN: pairs(cold, range(KNOWN)),
    }
    frame = pl.DataFrame({s.DATASET: "d", s.IMAGE: [f"i{k:03d}" for k in range(pictures)]})
    nothing = (pl.lit(None, pl.String).alias(c) for c in s.METADATA)
    frame = frame.with_columns(pl.col(s.IMAGE).alias(s.PROMPT_ID), *nothing)
    users = pl.DataFrame({s.DATASET: "d", s.USER: [f"u{k:03d}" for k in range(people)]})
    items = Items(frame, image, np.zeros((pictures, 0), np.float32))
    return Fold(0, items, People(users), parts)


@cache
def fitted(own: float) -> tuple[Fold, Hierarchical]:
    fold = plant(own)
    model = Hierarchical(2, Population(cv_folds=2))
    model.search = TasteSearch.given(Sizes(image=3, prompt=0, kernel=0, metadata=False), 2)
    model.fit(fold, seed=0)
    return fold, model


def by_features_alone(model: Hierarchical) -> Hierarchical:
    other = Hierarchical(2, Population(cv_folds=2))
    other._fitted = replace(model._ready, known=None)
    return other


def shown_and_asked(fold: Fold) -> tuple[Pairs, Pairs]:
    every = fold[s.CONTEXT_UNSEEN]
    return every.take(every.item < SHOWN), every.take(every.item >= SHOWN)


def correlation(model: Hierarchical, fold: Fold, asked: Pairs, shown: Pairs | None) -> float:
    mean = model.predict(fold.items, fold.people, asked, shown).mean
    found = [
        np.corrcoef(mean[asked.user == user], asked.rating[asked.user == user])[0, 1]
        for user in np.unique(asked.user)
    ]
    return float(np.mean(found))


def test_planted_factors_are_found_and_worth_it_for_known_pictures() -> None:
    fold, model = fitted(0.5)
    spread = np.array(model.chosen["picture_factors"])
    assert len(spread) == 2  # of eight that were offered
    shown, asked = shown_and_asked(fold)
    plain = by_features_alone(model)
    assert correlation(model, fold, asked, shown) > correlation(plain, fold, asked, shown) + 0.25
    # somebody of whom nothing is known likes what all others like, and no more
    assert abs(correlation(model, fold, asked, None) - correlation(plain, fold, asked, None)) < 0.03


def test_intervals_of_known_pictures_hold_what_they_say() -> None:
    fold, model = fitted(0.5)
    shown, asked = shown_and_asked(fold)
    found = model.predict(fold.items, fold.people, asked, shown)
    inside = np.abs(asked.rating - found.mean) < 1.6449 * found.std
    assert 0.84 < inside.mean() < 0.97


def test_a_picture_that_nobody_rated_keeps_the_score_of_its_features() -> None:
    fold, model = fitted(0.5)
    shown, _ = shown_and_asked(fold)
    plain = by_features_alone(model)
    for asked, context in ((fold[s.TEST_SEEN], None), (fold[s.TEST_UNSEEN], shown)):
        ours = model.predict(fold.items, fold.people, asked, context)
        theirs = plain.predict(fold.items, fold.people, asked, context)
        np.testing.assert_array_equal(ours.mean, theirs.mean)
        np.testing.assert_array_equal(ours.std, theirs.std)


def test_where_features_say_everything_there_are_no_factors() -> None:
    _, model = fitted(0.0)
    assert model.chosen["picture_factors"] == []
    assert model._ready.known is None


def test_a_known_and_a_new_picture_are_compared_by_features() -> None:
    fold, model = fitted(0.5)
    cold = np.full(1, TRAINED)

    def compared(made: Hierarchical, a: int, b: int) -> float:
        asked = Choices(cold, np.array([a]), np.array([b]), np.ones(1, np.float32))
        shown, _ = shown_and_asked(fold)
        return float(made.difference(fold.items, fold.people, asked, shown).mean[0])

    plain = by_features_alone(model)
    assert compared(model, 3, KNOWN + 1) == compared(plain, 3, KNOWN + 1)
    assert compared(model, 3, 4) != compared(plain, 3, 4)
    assert compared(model, 3, 4) == -compared(model, 4, 3)


def test_one_person_at_a_time_and_a_saved_model_give_the_same(tmp_path: Path) -> None:
    fold, model = fitted(0.5)
    shown, asked = shown_and_asked(fold)
    model.save(tmp_path)
    again = load_model(tmp_path)
    whole = model.predict(fold.items, fold.people, asked, shown)
    np.testing.assert_array_equal(
        again.predict(fold.items, fold.people, asked, shown).mean, whole.mean
    )
    for count in (2, 30):  # fewer rows than weights, and more
        few = shown.take(shown.item < count)
        whole = model.predict(fold.items, fold.people, asked, few)
        mine = asked.user == TRAINED
        alone = model.predict(
            fold.items, fold.people, asked.take(mine), few.take(few.user == TRAINED)
        )
        np.testing.assert_allclose(alone.mean, whole.mean[mine], atol=1e-5)
        np.testing.assert_allclose(alone.std, whole.std[mine], atol=1e-5)
