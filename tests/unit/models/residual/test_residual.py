"""`residual_ridge` and `mf`: the ridge, its tuning by number of ratings, the factorisation."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.models.base import on_scale
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.gaussian_process.model import Population
from pamela.models.preprocessing import canonical
from pamela.models.residual import als
from pamela.models.residual.als import SHRINK, Cells, Factors, factorise, leading_directions
from pamela.models.residual.base import ResidualModel
from pamela.models.residual.item_features import ItemDesign
from pamela.models.residual.matrix_factorisation import MatrixFactorisation
from pamela.models.residual.ridge import ResidualRidge
from pamela.models.residual.tuning import STRENGTHS, ResidualRows, Tuned, nearest, tune
from tests.helpers.planted import make_world

FOLD = make_world(
    seed=13, own=0.7, seen=100, unseen=40, train_items=110, test_items=90, noise=0.9
).fold
KINDS = {"residual_ridge": ResidualRidge, "mf": MatrixFactorisation}


@cache
def fitted(name: str) -> ResidualModel:
    model = KINDS[name](4, Population(cv_folds=2))
    model.fit(FOLD, seed=0)
    return model


@cache
def rows_of(own: float) -> ResidualRows:
    fold = make_world(seed=4, own=own, seen=40).fold
    population = Population(cv_folds=2)
    population.fit(fold, seed=0)
    train = canonical(fold[s.TRAIN])
    return ResidualRows.make(fold, train, Consensus.fit(population, fold, seed=0))


# --- the ridge ------------------------------------------------------------------------------------


def test_a_person_s_weights_are_their_ridge_regression() -> None:
    model = fitted("residual_ridge")
    consensus, people = model._ready
    user = int(FOLD[s.TRAIN].user[0])
    train = canonical(FOLD[s.TRAIN])
    mine = train.take(train.user == user)
    items = FOLD.items.take(mine.item)
    base, _, _ = consensus.of(items, model._population)
    z = model._columns(items, consensus)
    tuned = people.tuned[int(nearest(people.tuned, np.array([len(mine)]))[0])]
    penalty = np.full(z.shape[1], tuned.strength)
    penalty[0] = people.noise / people.level
    direct = np.linalg.solve(z.T @ z + np.diag(penalty), z.T @ (mine.rating - base))
    found, variance = model.weights_of(FOLD.people)
    np.testing.assert_allclose(found[user], direct, atol=1e-5)
    spread = people.noise * np.diag(np.linalg.inv(z.T @ z + np.diag(penalty)))
    np.testing.assert_allclose(variance[user], spread, rtol=1e-4)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_new_person_with_the_ratings_of_a_known_one_is_scored_alike(name: str) -> None:
    model, train = fitted(name), FOLD[s.TRAIN]
    user = int(train.user[0])
    mine = train.take(train.user == user)
    frame = pl.concat(
        [FOLD.people.frame, FOLD.people.frame[user : user + 1].with_columns(user_id=pl.lit("new"))]
    )
    new = len(FOLD.people)
    context = Pairs(np.full(len(mine), new), mine.item, mine.rating)
    items = np.unique(FOLD[s.TEST_SEEN].item)
    none = np.zeros(len(items), np.float32)
    known, adapted = (
        model.predict(FOLD.items, People(frame), Pairs(np.full(len(items), who), items, none), ctx)
        for who, ctx in ((user, None), (new, context))
    )
    np.testing.assert_allclose(known.mean, adapted.mean, atol=1e-4)
    np.testing.assert_allclose(known.std, adapted.std, atol=1e-4)


@pytest.mark.parametrize("name", list(KINDS))
def test_without_ratings_the_population_speaks(name: str) -> None:
    model, unseen = fitted(name), FOLD[s.TEST_UNSEEN]
    own = model.predict(FOLD.items, FOLD.people, unseen).mean
    plain = model._population.predict(FOLD.items, FOLD.people, unseen).mean
    np.testing.assert_allclose(own, plain, atol=1e-5)


@pytest.mark.parametrize("name", list(KINDS))
def test_intervals_cover_nine_in_ten_at_any_number_of_ratings(name: str) -> None:
    model, context = fitted(name), FOLD[s.CONTEXT_UNSEEN]
    order = np.random.default_rng(0).permutation(len(context))
    some = context.take(order[: 8 * 40])  # 8 ratings of each of 40 people, on average
    cases = ((s.TEST_SEEN, None), *((s.TEST_UNSEEN, one) for one in (None, some, context)))
    for part, shown in cases:
        pairs = FOLD[part]
        found = model.predict(FOLD.items, FOLD.people, pairs, shown)
        covered = np.mean(np.abs(pairs.rating - found.mean) <= 1.6449 * found.std)
        assert 0.88 < covered < 0.92, (part, covered)


def test_columns_are_of_one_size_and_bounded() -> None:
    design = ItemDesign.fit(FOLD.items, 6)
    columns = design.transform(FOLD.items)
    assert columns.shape == (len(FOLD.items), len(design)) == (len(FOLD.items), 1 + 6 + 5)
    for block in (columns[:, 1:7], columns[:, 7:]):
        assert np.mean(np.sum(block**2, axis=1)) == pytest.approx(1, rel=1e-3)
    again = ItemDesign.from_arrays(design.arrays())
    np.testing.assert_array_equal(again.transform(FOLD.items), columns)
    huge = Items(FOLD.items.frame, 1e30 * FOLD.items.image, FOLD.items.prompt)
    assert np.isfinite(design.transform(huge)).all()


# --- tuning ---------------------------------------------------------------------------------------


def test_strength_follows_the_planted_taste() -> None:
    chosen = []
    for own in (0.0, 0.9):
        rows = rows_of(own)
        columns = ItemDesign.fit(rows.items, 8).transform(rows.items)
        folds = rows.prompt_folds(3, 0)
        chosen.append(tune(rows, folds, [columns] * len(folds), 0))
    nothing, much = chosen
    assert nothing[-1].strength >= 10 * much[-1].strength
    for tuned in chosen:
        counts = [one.count for one in tuned]
        assert counts[0] == 0
        assert counts == sorted(set(counts))
        assert all(one.strength in STRENGTHS for one in tuned)
        assert all(0.5 <= one.widening["planted"] <= 2 for one in tuned)


@given(counts=st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_a_person_gets_what_was_tuned_for_the_nearest_number(counts: list[int]) -> None:
    tuned = [Tuned(count, 1.0, {}) for count in (0, 5, 20, 80, 300)]
    place = nearest(tuned, np.array(sorted(counts)))
    assert (np.diff(place) >= 0).all()
    assert ((place == 0) == (np.array(sorted(counts)) == 0)).all()
    exact = nearest(tuned, np.array([0, 5, 20, 80, 300, 9, 11]))
    assert exact.tolist() == [0, 1, 2, 3, 4, 1, 2]
    assert nearest(tuned[:1], np.array([0, 7])).tolist() == [0, 0]


def test_first_rows_are_nested_inside_and_at_most_so_many() -> None:
    rows = rows_of(0.9)
    inside = rows.prompt_folds(3, 0)[1]
    before = np.zeros(len(inside), bool)
    for count in (1, 4, 9, 10**6):
        mask = rows.first(count, inside, 3)
        assert (before <= mask).all()
        assert (mask <= inside).all()
        held = np.bincount(rows.user[mask], minlength=rows.users)
        np.testing.assert_array_equal(
            held, np.minimum(np.bincount(rows.user[inside], minlength=rows.users), count)
        )
        before = mask
    np.testing.assert_array_equal(before, inside)


def test_prompt_folds_keep_prompts_on_one_side_and_hold_all_out_once() -> None:
    rows = rows_of(0.9)
    folds = rows.prompt_folds(3, 0)
    prompts = rows.items.frame[s.PROMPT_ID].to_numpy()[rows.item]
    for inside in folds:
        assert not set(prompts[inside]) & set(prompts[~inside])
    np.testing.assert_array_equal(sum((~inside).astype(int) for inside in folds), 1)


def test_some_people_s_rows_are_theirs() -> None:
    rows = rows_of(0.9)
    some = rows.of_users(np.array([2, 5]))
    for new, old in enumerate((2, 5)):
        np.testing.assert_array_equal(
            some.residual[some.user == new], rows.residual[rows.user == old]
        )
    assert some.users == 2


def test_each_dataset_has_its_own_widening() -> None:
    """A second dataset, whose raters answer at random, must not widen the first one's intervals."""
    rng = np.random.default_rng(0)
    other = FOLD.people.frame.with_columns(pl.lit("random").alias(s.DATASET))
    pictures = FOLD.items.frame.with_columns(pl.lit("random").alias(s.DATASET))
    train = FOLD[s.TRAIN]
    noisy = Pairs(
        train.user + len(FOLD.people), train.item + len(FOLD.items),
        rng.integers(1, 6, len(train)).astype(np.float32),
    )  # fmt: skip
    items = Items(
        pl.concat([FOLD.items.frame, pictures]),
        np.tile(FOLD.items.image, (2, 1)), np.tile(FOLD.items.prompt, (2, 1)),
    )  # fmt: skip
    both = People(pl.concat([FOLD.people.frame, other]))
    fold = Fold(0, items, both, {s.TRAIN: Pairs.concat(train, noisy)})
    model = ResidualRidge(3, Population(cv_folds=2))
    model.fit(fold, seed=0)
    widening = model._ready[1].tuned[-1].widening
    assert widening["random"] > 1.2 * widening["planted"]
    pairs = FOLD[s.TEST_SEEN]
    there = Pairs(pairs.user + len(FOLD.people), pairs.item + len(FOLD.items), pairs.rating)
    quiet, loud = (model.predict(items, both, one).std.mean() for one in (pairs, there))
    assert loud > 1.2 * quiet


# --- the factorisation ----------------------------------------------------------------------------


def planted_cells(seed: int = 0, rank: int = 2) -> tuple[Cells, np.ndarray, np.ndarray, np.ndarray]:
    """Return cells of a low-rank matrix, features (m, d), people's p, and the true projection."""
    rng = np.random.default_rng(seed)
    users, m, d = 40, 120, 6
    features = rng.normal(size=(m, d)) / np.sqrt(d)
    projection = 2 * rng.normal(size=(d, rank))
    p = rng.normal(size=(users, rank))
    user, item = np.nonzero(rng.random((users, m)) < 0.4)
    y = np.einsum("ij,ij->i", p[user], (features @ projection)[item])
    y += 0.3 * rng.normal(size=users)[user] + 0.5 * rng.normal(size=len(user))
    return Cells.make(user, item, y, (users, m)), features, p, projection


def objective(
    cells: Cells, features: np.ndarray, factors: Factors, *, level: float, strength: float
) -> float:
    """Return what `factorise` minimises, less the constant part of the squares."""
    b, p, q = factors.level, factors.p, factors.q
    user, item = cells.count.nonzero()
    fitted = b[user] + np.einsum("ij,ij->i", p[user], q[item])
    count = cells.count.tocsr()[user, item]
    total = cells.total.tocsr()[user, item]
    squares = float(count @ fitted**2 - 2 * total @ fitted)
    away = q - features @ factors.projection
    own = float(np.sum(p**2) + np.sum(away**2) + SHRINK * np.sum(factors.projection**2))
    return squares + level * float(b @ b) + strength * own


def test_every_sweep_lowers_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    cells, features, _, _ = planted_cells()
    start = np.random.default_rng(1).normal(size=(6, 3))
    course = []
    for sweeps in range(1, 9):
        monkeypatch.setattr(als, "SWEEPS", sweeps)
        found = factorise(cells, features, start, level=2.0, strength=5.0)
        course.append(objective(cells, features, found, level=2.0, strength=5.0))
    assert np.diff(course).max() < 1e-8 * abs(course[0])
    assert course[-1] < course[0] - 1


def test_people_s_factors_are_where_the_objective_is_flat() -> None:
    cells, features, _, _ = planted_cells()
    start = np.random.default_rng(1).normal(size=(6, 2))
    found = factorise(cells, features, start, level=2.0, strength=5.0)

    def at(level: np.ndarray, p: np.ndarray) -> float:
        moved = Factors(level, p, found.q, found.projection)
        return objective(cells, features, moved, level=2.0, strength=5.0)

    h = 1e-4
    for user, factor in ((0, 0), (7, 1)):
        step = np.zeros_like(found.p)
        step[user, factor] = h
        slope = (at(found.level, found.p + step) - at(found.level, found.p - step)) / (2 * h)
        assert abs(slope) < 1e-5
    step = np.zeros_like(found.level)
    step[3] = h
    assert abs(at(found.level + step, found.p) - at(found.level - step, found.p)) / (2 * h) < 1e-5


def test_a_person_s_level_moves_no_factor() -> None:
    """Where levels cost nothing, a constant added to a person's ratings is their level's alone."""
    cells, features, _, _ = planted_cells()
    start = np.random.default_rng(1).normal(size=(6, 2))
    shift = np.linspace(-3, 3, 40)
    raised = Cells(cells.count, (cells.total + cells.count * shift[:, None]).tocsr())
    plain, found = (
        factorise(one, features, start, level=1e-9, strength=5.0) for one in (cells, raised)
    )
    np.testing.assert_allclose(found.level, plain.level + shift, atol=1e-6)
    np.testing.assert_allclose(found.p, plain.p, atol=1e-6)
    np.testing.assert_allclose(found.q, plain.q, atol=1e-6)


def test_the_planted_low_rank_is_recovered_for_pictures_nobody_rated() -> None:
    cells, features, p, projection = planted_cells()
    start = leading_directions(np.random.default_rng(2).normal(size=(40, 6)), 2)
    found = factorise(cells, features, start, level=2.0, strength=1.0)
    fresh = np.random.default_rng(3).normal(size=(50, 6)) / np.sqrt(6)
    truth = (p @ (fresh @ projection).T).ravel()
    guess = (found.p @ (fresh @ found.projection).T).ravel()
    assert np.corrcoef(truth, guess)[0, 1] > 0.95


def test_a_cell_rated_twice_counts_twice() -> None:
    user, item, y = np.array([0, 0, 1]), np.array([1, 1, 0]), np.array([1.0, 3.0, 2.0])
    cells = Cells.make(user, item, y, (2, 2))
    assert cells.count.toarray().tolist() == [[0, 2], [1, 0]]
    assert cells.total.toarray().tolist() == [[0, 4], [2, 0]]


def test_leading_directions_do_not_depend_on_the_order_of_people() -> None:
    weights = np.random.default_rng(4).normal(size=(30, 6))
    one, two = leading_directions(weights, 3), leading_directions(weights[::-1], 3)
    np.testing.assert_allclose(one, two, atol=1e-10)
    assert leading_directions(weights[:2], 5).shape == (6, 2)


def test_mf_finds_the_planted_rank_and_says_it() -> None:
    model = fitted("mf")
    assert model.chosen["rank"] <= 2  # one direction, which half the people turn round
    assert set(model.chosen) >= {"rank", "strength", "tuned", "cv_correlation", "population"}


def test_a_known_picture_has_its_own_factors_and_a_new_one_those_of_its_features() -> None:
    model = fitted("mf")
    assert isinstance(model, MatrixFactorisation)
    consensus, _ = model._ready
    some = FOLD.items.take(np.unique(FOLD[s.TRAIN].item)[:5])
    renamed = Items(some.frame.with_columns(pl.col(s.IMAGE) + "-new"), some.image, some.prompt)
    assert model._design is not None
    assert model._projection is not None
    plain = model._design.transform(some)[:, 1:] @ model._projection
    np.testing.assert_allclose(model._columns(renamed, consensus)[:, 1:], plain)
    own = model._columns(some, consensus)[:, 1:]
    assert np.abs(own - plain).max() > 1e-3
    assert np.corrcoef(own.ravel(), plain.ravel())[0, 1] > 0.8


def test_predictions_are_population_plus_columns_times_weights() -> None:
    pairs = FOLD[s.TEST_SEEN]
    for name in KINDS:
        model = fitted(name)
        consensus, _ = model._ready
        weights, _ = model.weights_of(FOLD.people)
        base, _, _ = consensus.of(FOLD.items, model._population)
        mean = base + weights @ model._columns(FOLD.items, consensus).T
        found = model.predict(FOLD.items, FOLD.people, pairs).mean
        np.testing.assert_allclose(found, on_scale(mean[pairs.user, pairs.item]), atol=1e-5)
