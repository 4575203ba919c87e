"""Columns of taste learned by gradient: episodes, the network, and what it is good for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs
from pamela.models.biases import within_user_correlation
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical import selection
from pamela.models.hierarchical.features import meta_learning
from pamela.models.hierarchical.features.item_features import LARGEST_COLUMN, Sizes, TasteFeatures
from pamela.models.hierarchical.features.learned_features import INPUT_SCALE, LearnedTaste
from pamela.models.hierarchical.features.meta_learning import (
    EpisodeModule,
    Episodes,
    TasteNetwork,
    _in_numpy,
    learn_taste,
)
from pamela.models.hierarchical.model import Hierarchical
from pamela.models.random_effects.posterior import Prior, SufficientStatistics, posterior
from tests.helpers.planted import make_world

FIRM = meta_learning.REGIMES["firm"]


def network(size: int = 6, columns: int = 3) -> TasteNetwork:
    torch.manual_seed(0)
    return TasteNetwork(size, columns, FIRM).eval()


# --- the network ----------------------------------------------------------------------------------


def test_in_numpy_it_says_what_the_trained_network_says() -> None:
    trained = network()
    columns = np.random.default_rng(0).normal(size=(40, 6))
    with torch.no_grad():
        expected = trained(torch.from_numpy(INPUT_SCALE * columns).float()).numpy()
    found = _in_numpy(trained).transform(columns)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_scaled_columns_have_mean_zero_and_mean_squared_length_one() -> None:
    columns = np.random.default_rng(1).normal(2.0, 3.0, (500, 6))
    found = _in_numpy(network()).scaled(columns).transform(columns)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert np.mean(np.sum(found**2, axis=1)) == pytest.approx(1, rel=1e-4)


def test_taught_features_replace_all_but_level_and_consensus_and_can_be_saved() -> None:
    items = make_world(seed=3).fold.items
    score = np.linspace(2.0, 4.0, len(items))
    plain = TasteFeatures.fit(items, score, Sizes(6, 4, 0, True, learned=3, regime="firm"))
    before = plain.transform(items, score)
    learned = _in_numpy(network(before.shape[1] - 2)).scaled(before[:, 2:])
    features, columns = plain.with_learned(before, learned)
    np.testing.assert_array_equal(columns[:, :2], before[:, :2])
    np.testing.assert_array_equal(features.transform(items, score), columns)
    assert features.names == ["level", "consensus", "learned 0", "learned 1", "learned 2"]
    assert columns.shape[1] == len(features.start) == 5
    again = TasteFeatures.from_saved(features.to_json(), features.arrays())
    np.testing.assert_array_equal(again.transform(items, score), columns)
    odd = Items(items.frame[:2], np.full((2, 12), 1e30, np.float32), np.zeros((2, 5), np.float32))
    found = features.transform(odd, np.array([1e9, -1e9]))
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= LARGEST_COLUMN


def test_features_saved_before_anything_was_learned_can_be_read() -> None:
    items = make_world(seed=3).fold.items
    features = TasteFeatures.fit(items, np.zeros(len(items)), Sizes(2, 2, 0, False))
    saved = features.to_json()
    del saved["sizes"]["learned"]
    assert TasteFeatures.from_saved(saved, features.arrays()).learned is None


# --- episodes -------------------------------------------------------------------------------------


def planted_rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return user, item, residual of people with 3, 9, 30 and 200 ratings."""
    rng = np.random.default_rng(seed)
    count = np.array([3, 9, 30, 200])
    item = np.concatenate([rng.choice(250, n, replace=False) for n in count])
    return np.repeat(np.arange(4), count), item, rng.normal(size=count.sum())


def test_what_is_asked_was_not_shown_and_is_of_the_same_person() -> None:
    user, item, residual = planted_rows()
    of_value = {np.float32(value): (u, i) for u, i, value in zip(user, item, residual, strict=True)}
    made = Episodes(user, item, residual, seed=1)
    for number, episode in enumerate(made):
        used, shown, given, is_given, asked, target, is_asked = (part.numpy() for part in episode)
        for person in range(len(shown)):
            known, unknown = is_given[person] == 1, is_asked[person] == 1
            first = [of_value[value] for value in given[person][known]]
            second = [of_value[value] for value in target[person][unknown]]
            assert len({u for u, _ in first + second}) == 1
            assert first[0][0] != 0, "a person with three ratings teaches nothing"
            assert not set(first) & set(second)
            assert [i for _, i in first] == used[shown[person][known]].tolist()
            assert [i for _, i in second] == used[asked[person][unknown]].tolist()
            assert 1 <= len(second) <= meta_learning.ASKED
            assert 1 <= len(first) <= max(meta_learning.SHOTS)
        if number == 30:
            break


def test_episodes_are_the_same_for_a_seed_and_others_for_another() -> None:
    rows = planted_rows()
    first, again, other = (next(iter(Episodes(*rows, seed=seed))) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other, strict=True)
    )


def test_the_loss_is_the_error_of_the_closed_form_posterior() -> None:
    user, item, residual = planted_rows()
    columns = torch.from_numpy(np.random.default_rng(2).normal(size=(250, 6))).float()
    module = EpisodeModule(network(), columns, FIRM.learning_rate)
    episode = next(iter(Episodes(user, item, residual, seed=3)))
    used, shown, given, is_given, asked, target, is_asked = (part.numpy() for part in episode)
    with torch.no_grad():
        found = module.network(columns).numpy()[used].astype(float)
    found = np.column_stack([found, np.full(len(found), meta_learning.LEVEL)])
    prior = Prior(np.zeros((1, 4)), np.eye(4), meta_learning.NOISE)
    errors = []
    for person in range(len(shown)):
        known, unknown = is_given[person] == 1, is_asked[person] == 1
        rows = found[shown[person][known]]
        told = SufficientStatistics.collect(np.zeros(len(rows), int), rows, given[person][known], 1)
        weights = posterior(prior, np.ones((1, 1)), told).mean[0]
        errors.append((target[person] - found[asked[person]] @ weights)[unknown] ** 2)
    assert float(module.training_step(episode, 0).detach()) == pytest.approx(
        float(np.concatenate(errors).mean()), rel=1e-4
    )


def test_the_gradient_goes_through_the_posterior() -> None:
    """Against central differences, in double precision."""
    user, item, residual = planted_rows()
    columns = torch.from_numpy(np.random.default_rng(2).normal(size=(250, 4)))
    module = EpisodeModule(network(4, 2).double(), columns, FIRM.learning_rate)
    episode = tuple(
        part.double() if part.is_floating_point() else part
        for part in next(iter(Episodes(user, item, residual, seed=3)))
    )
    weight = module.network.linear.weight
    module.training_step(episode, 0).backward()
    assert weight.grad is not None
    for place in ((0, 0), (1, 2)):
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
                values.append(float(module.training_step(episode, 0)))
                weight[place] -= step
        assert float(weight.grad[place]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4)


def test_without_ratings_enough_nothing_is_learned() -> None:
    few = np.repeat(np.arange(30), 3)
    item = np.tile(np.arange(3), 30)
    columns = np.random.default_rng(0).normal(size=(3, 4))
    assert learn_taste(columns, few, item, item * 0.1,
                       count=2, regime=FIRM, seed=0, device="cpu") is None  # fmt: skip


# --- what it is good for --------------------------------------------------------------------------


def bent_world(seed: int = 0) -> Fold:
    """Plant tastes for how far pictures lie out along two directions: nothing linear tells it."""
    world = make_world(seed=seed, seen=200, unseen=40, train_items=800, test_items=80,
                       image_dim=16, shared=0.4, share_rated=0.12)  # fmt: skip
    fold, rng = world.fold, np.random.default_rng(seed)
    turned = fold.items.image @ np.linalg.qr(rng.normal(size=(16, 16)))[0]
    bent = np.abs(turned[:, :2]) - 0.8
    taste = rng.normal(size=(len(fold.people), 2))

    def rated(pairs: Pairs) -> Pairs:
        own = np.einsum("ij,ij->i", bent[pairs.item], taste[pairs.user])
        noise = 0.4 * rng.normal(size=len(own))
        value = np.clip(np.rint(world.truth[pairs.user, pairs.item] + own + noise), 1, 5)
        return replace(pairs, rating=value.astype(np.float32))

    return replace(fold, parts={name: rated(pairs) for name, pairs in fold.parts.items()})


@pytest.mark.slow
def test_where_tastes_bend_a_network_is_chosen_and_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "LEARNED_PEOPLE", 100)
    monkeypatch.setattr(selection, "LEARNED_PICTURES", 100)
    fold = bent_world()
    scores = {}
    for offered in (True, False):
        model = Hierarchical(2, Population(cv_folds=2), device="cpu")
        if not offered:
            model.search = replace(model.search, learned=())
        model.fit(fold, seed=0)
        assert ("->" in model.chosen["taste"]) == offered
        test = fold[s.TEST_SEEN]
        found = model.predict(fold.items, fold.people, test)
        scores[offered] = within_user_correlation(test, found.mean)
        z = (test.rating - found.mean) / found.std
        assert 0.85 <= float(np.mean(np.abs(z) < 1.6449)) <= 0.96
        again = Hierarchical.from_state(*model.state())
        np.testing.assert_array_equal(again.predict(fold.items, fold.people, test).mean, found.mean)
    assert scores[True] > scores[False] + 0.05


@pytest.mark.parametrize(("people", "pictures"), [(10_000, 10), (10, 10_000)])
def test_with_few_people_or_pictures_no_network_is_trained(
    people: int, pictures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> LearnedTaste:
        raise AssertionError("a network was trained")

    monkeypatch.setattr(meta_learning, "learn_taste", never)
    monkeypatch.setattr(selection, "LEARNED_PEOPLE", people)
    monkeypatch.setattr(selection, "LEARNED_PICTURES", pictures)
    model = Hierarchical(2, Population(cv_folds=2), device="cpu")
    model.fit(make_world(seed=1).fold, seed=0)
    assert "->" not in model.chosen["taste"]
