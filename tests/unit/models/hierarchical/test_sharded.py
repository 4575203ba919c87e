"""Learning from shards: whoever's ratings lie in whichever shard, what is learned is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs
from pamela.core.shards.fold import ITEM, USER, ShardedFold, ShardedParts
from pamela.core.shards.rows import Shards
from pamela.core.shards.writing import write_shards
from pamela.models.biases import fit_effects
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical import model as hierarchical
from pamela.models.hierarchical.factor_learning import _sums_of_all, _warm_up
from pamela.models.hierarchical.features.item_features import Sizes
from pamela.models.hierarchical.model import Hierarchical
from pamela.models.hierarchical.picture_factors import FactorSums
from pamela.models.hierarchical.selection import TasteSearch
from pamela.models.hierarchical.sharded.training_data import TrainingData
from pamela.models.hierarchical.weights import PersonalWeights
from pamela.models.random_effects.posterior import Prior
from tests.helpers.planted import make_world
from tests.helpers.planted_choices import with_choices

PEOPLE = 24
SIZES = Sizes(image=4, prompt=2, kernel=0, metadata=True)
CLOSE: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-10}
shard_of_each = st.lists(st.integers(0, 4), min_size=PEOPLE, max_size=PEOPLE).map(np.array)


@cache
def fold(*, choices: bool = False) -> Fold:
    """Ratings, every fifth of which was given twice; two people in three who chose as well."""
    world = make_world(seed=5, own=0.6, seen=PEOPLE, unseen=4, train_items=50, test_items=10)
    train = world.fold[s.TRAIN]
    again = train.take(np.arange(0, len(train), 5))
    again = Pairs(again.user, again.item, np.clip(again.rating + 1, 1, 5).astype(np.float32))
    found = with_choices(world, 12, ratings=True) if choices else world.fold
    ratings = Pairs.concat(train, again)
    if choices:  # somebody who only chose is in no shard
        ratings = ratings.take(ratings.user != 3)
    return replace(found, parts={**world.fold.parts, s.TRAIN: ratings})


def cut(pairs: Pairs, shard: np.ndarray) -> Shards:
    """Return the pairs, in a random order, with each person's in the shard of theirs."""
    mixed = pairs.take(np.random.default_rng(3).permutation(len(pairs)))
    return Shards.of(*(mixed.take(shard[mixed.user] == one) for one in np.unique(shard)))


def written(whole: Fold, folder: Path, size: int) -> ShardedFold:
    """Return the fold with its ratings in Parquet shards of about `size` rows."""
    frame = pl.concat(
        pl.DataFrame({USER: pairs.user, ITEM: pairs.item, s.RATING: pairs.rating, s.PART: part})
        for part, pairs in whole.parts.items()
    )
    counts = write_shards(folder, frame.sample(fraction=1.0, shuffle=True, seed=2).lazy(), size)
    parts = ShardedParts(folder, counts)
    return ShardedFold(0, whole.items, whole.people, dict(whole.choices), parts=parts)


@given(shard_of_each)
@settings(max_examples=25, deadline=None)
def test_effects_of_people_and_pictures_are_those_of_all_rows(shard: np.ndarray) -> None:
    whole = fold()
    sizes = (len(whole.people), len(whole.items))
    one = fit_effects(Shards.of(whole[s.TRAIN]), *sizes)
    many = fit_effects(cut(whole[s.TRAIN], shard), *sizes)
    for name, value in vars(one).items():
        np.testing.assert_allclose(getattr(many, name), value, **CLOSE)


@cache
def learned(*, choices: bool) -> tuple[TrainingData, np.ndarray, Prior]:
    """Return the data of one shard, columns of taste and a prior of weights for them."""
    whole, population = fold(choices=choices), Population(cv_folds=2)
    population.fit(whole, seed=0)
    consensus = Consensus.fit(population, whole, seed=0)
    choosing = population.learned_choosing()
    data = TrainingData.make(whole, consensus, choosing, demographics=True)
    some, they = data.of_users(np.arange(len(data.users))), np.arange(len(data.users))
    features, columns = some.features(SIZES)
    statistics = some.collect(columns, they)
    some, prior, _ = some.fit_prior(columns, they, statistics, features.start, rank=2, iterations=5)
    return data.with_choosing(some.choices.choosing), columns, prior


@pytest.mark.parametrize("choices", [False, True])
@given(shard=shard_of_each)
@settings(max_examples=8, deadline=None)
def test_people_s_weights_and_the_sums_of_pictures_are_those_of_all_rows(
    choices: bool, shard: np.ndarray
) -> None:
    one, columns, prior = learned(choices=choices)
    many = replace(one, shards=cut(fold(choices=choices)[s.TRAIN], shard))
    np.testing.assert_array_equal(
        many.of_users(np.arange(5)).residual, one.of_users(np.arange(5)).residual
    )
    # what choices say is found in rounds, which end when that of all people at hand has settled
    close = {"rtol": 1e-3, "atol": 1e-4} if choices else {"rtol": 1e-6, "atol": 1e-7}
    weights = [PersonalWeights.fit(data, columns, prior) for data in (one, many)]
    np.testing.assert_allclose(weights[1].mean, weights[0].mean, **close)
    np.testing.assert_allclose(weights[1].variance, weights[0].variance, **close)
    state = _warm_up(one.of_users(np.arange(9)).settled(prior, columns), columns, prior, 2, 0)
    sums = [_total(data.map(partial(_sums_of_all, columns, prior, state))) for data in (one, many)]
    close = {"rtol": 1e-2, "atol": 1e-2} if choices else CLOSE
    np.testing.assert_allclose(sums[1].gram, sums[0].gram, **close)
    np.testing.assert_allclose(sums[1].moment, sums[0].moment, **close)


def _total(found: Iterator[tuple[np.ndarray, FactorSums]]) -> FactorSums:
    every = [sums for _, sums in found]
    zero = FactorSums.zeros(len(every[0].moment), every[0].moment.shape[1])
    return FactorSums(
        sum((one.gram for one in every), zero.gram), sum((one.moment for one in every), zero.moment)
    )


def test_a_person_in_two_shards_is_an_error() -> None:
    train = fold()[s.TRAIN]
    halves = (train.take(np.arange(0, len(train), 2)), train.take(np.arange(1, len(train), 2)))
    with pytest.raises(ValueError, match="one person are in two shards"):
        fit_effects(Shards.of(*halves), PEOPLE + 4, len(fold().items))


# --- a folder of shards ---------------------------------------------------------------------------
def test_parts_of_a_folder_are_those_in_memory_whatever_its_shards(tmp_path: Path) -> None:
    whole = fold()
    sharded = written(whole, tmp_path, 100)
    assert len(list(tmp_path.glob("*.parquet"))) > 3
    assert list(tmp_path.iterdir()) == list(tmp_path.glob("*.parquet"))  # nothing else is left
    for part, pairs in whole.parts.items():
        order = np.lexsort((pairs.rating, pairs.item, pairs.user))
        for name, column in vars(sharded[part]).items():
            np.testing.assert_array_equal(column, getattr(pairs, name)[order])
    assert len(sharded[s.VAL_UNSEEN]) == 0
    every = sharded.all_as_train()
    assert len(every[s.TRAIN]) == sum(map(len, whole.parts.values()))
    assert list(every.parts) == [s.TRAIN]


def test_a_model_fitted_on_a_folder_predicts_what_one_in_memory_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to 1e-8: where the search for kernel weights stops depends on the last bit."""
    monkeypatch.setattr(hierarchical, "PRIOR_USERS", 16)
    whole = fold(choices=True)
    asked, found = whole[s.TEST_UNSEEN], []
    for one in (whole, written(whole, tmp_path, 100)):
        model = Hierarchical(2, Population(cv_folds=2))
        model.search = TasteSearch.given(SIZES, 2)
        model.fit(one, seed=0)
        found.append(model.predict(whole.items, whole.people, asked))
    np.testing.assert_allclose(found[1].mean, found[0].mean, atol=1e-3)
    np.testing.assert_allclose(found[1].std, found[0].std, atol=1e-3)
