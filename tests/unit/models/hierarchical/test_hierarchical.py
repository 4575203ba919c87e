"""`hierarchical` and its parts: columns of taste and of people, scores, doubt, the ends."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.dataset import Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.models.base import EDGE, on_scale
from pamela.models.gaussian_process.model import Population
from pamela.models.hierarchical.features.item_features import (
    LARGEST_COLUMN,
    KernelComponents,
    Sizes,
    TasteFeatures,
)
from pamela.models.hierarchical.features.user_covariates import RAREST, PeopleColumns
from pamela.models.hierarchical.interval_calibration import Widening
from pamela.models.hierarchical.model import Hierarchical
from pamela.params import InputParams
from tests.helpers.planted import make_world

# enough rows that coverage can be told to a per cent: about 100 x 90 test ratings
WORLD = make_world(seed=12, own=0.7, seen=100, unseen=40, train_items=110, test_items=90, noise=0.6)
FOLD = WORLD.fold
EVERY = Pairs.concat(FOLD[s.TEST_SEEN], FOLD[s.TEST_UNSEEN])


@cache
def fitted(demographics: bool = True) -> Hierarchical:
    inputs = InputParams(user=True, demographics=demographics, metadata=True)
    model = Hierarchical(2, Population(cv_folds=2), inputs)
    model.fit(FOLD, seed=0)
    return model


# --- the ends of the scale ------------------------------------------------------------------------

anything = st.floats(-1e30, 1e30, allow_nan=False)


@given(values=st.lists(anything, min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_on_scale_stays_inside_and_never_turns_an_order_round(values: list[float]) -> None:
    found = on_scale(np.sort(np.array(values)))
    assert found.dtype == np.float32
    assert found.min() >= s.SCALE_LOW
    assert found.max() <= s.SCALE_HIGH
    assert (np.diff(found) >= 0).all()


@given(value=st.floats(s.SCALE_LOW + EDGE, s.SCALE_HIGH - EDGE))
def test_on_scale_changes_nothing_in_the_middle(value: float) -> None:
    assert on_scale(np.array([value]))[0] == np.float32(value)


@given(value=st.floats(-1.0, 7.0), step=st.floats(0.02, 1.0))
def test_on_scale_does_not_tie_beyond_the_ends(value: float, step: float) -> None:
    """Up to two units outside the scale, further than predictions go."""
    low, high = on_scale(np.array([value, min(value + step, 7.0 + step)]))
    assert low < high


@given(value=st.floats(0.0, 3.0), end=st.sampled_from([s.SCALE_LOW, s.SCALE_HIGH]))
def test_on_scale_treats_both_ends_alike_and_strays_little(value: float, end: float) -> None:
    inward = 1 if end == s.SCALE_LOW else -1
    found = float(on_scale(np.array([end + inward * value]))[0])
    mirrored = float(on_scale(np.array([s.SCALE_LOW + s.SCALE_HIGH - end - inward * value]))[0])
    assert found + mirrored == pytest.approx(s.SCALE_LOW + s.SCALE_HIGH, abs=1e-5)
    assert abs(found - (end + inward * value)) <= EDGE * np.exp(-1) + 1e-5


# --- columns of taste -----------------------------------------------------------------------------

ITEMS = FOLD.items.take(np.unique(FOLD[s.TRAIN].item))
SCORE = np.linspace(2.0, 4.0, len(ITEMS))


@pytest.mark.parametrize(
    "sizes", [Sizes(0, 0, 0, False), Sizes(4, 3, 0, True), Sizes(64, 64, 5, False)]
)
def test_taste_columns_have_names_starts_and_the_asked_sizes(sizes: Sizes) -> None:
    features = TasteFeatures.fit(ITEMS, SCORE, sizes)
    columns = features.transform(ITEMS, SCORE)
    assert columns.shape == (len(ITEMS), len(features.start))
    assert len(features.names) == len(set(features.names)) == columns.shape[1]
    assert len(features.image) == min(sizes.image, ITEMS.image.shape[1])
    assert len(features.prompt) == min(sizes.prompt, ITEMS.prompt.shape[1])
    assert len(features.kernel) == sizes.kernel
    assert (features.start > 0).all()
    np.testing.assert_array_equal(columns[:, 0], 1)
    assert columns[:, 1].mean() == pytest.approx(0, abs=1e-9)
    assert columns[:, 1].std() == pytest.approx(1, abs=1e-9)


def test_every_block_of_taste_has_the_same_size_whatever_the_encoder() -> None:
    loud = Items(ITEMS.frame, 100 * ITEMS.image, 0.01 * ITEMS.prompt)
    sizes = Sizes(6, 4, 5, False)
    for items in (ITEMS, loud):
        columns = TasteFeatures.fit(items, SCORE, sizes).transform(items, SCORE)
        for block in (columns[:, 2:8], columns[:, 8:12], columns[:, 12:17]):
            assert np.mean(np.sum(block**2, axis=1)) == pytest.approx(1, rel=1e-3)


def test_metadata_columns_are_one_for_the_picture_s_group_and_zero_for_a_new_one() -> None:
    features = TasteFeatures.fit(ITEMS, SCORE, Sizes(0, 0, 0, True))
    names = features.names
    columns = features.transform(ITEMS, SCORE)
    group = ITEMS.frame[s.GROUP].to_numpy()
    own = columns[:, names.index("type/group Photorealism/g2")]
    np.testing.assert_array_equal(own == 1, group == "g2")
    unheard = [pl.lit("unheard of").alias(name) for name in (s.GROUP, s.STYLE)]
    new = Items(ITEMS.frame[:1].with_columns(unheard), ITEMS.image[:1], ITEMS.prompt[:1])
    np.testing.assert_array_equal(features.transform(new, SCORE[:1])[0, 2:], 0)


def test_saved_taste_columns_are_the_same_also_for_new_pictures() -> None:
    features = TasteFeatures.fit(ITEMS, SCORE, Sizes(6, 4, 5, True))
    again = TasteFeatures.from_saved(features.to_json(), features.arrays())
    new = FOLD.items.take(np.unique(FOLD[s.TEST_SEEN].item))
    score = np.full(len(new), 3.3)
    np.testing.assert_array_equal(features.transform(new, score), again.transform(new, score))
    assert again.names == features.names
    np.testing.assert_array_equal(again.start, features.start)


def test_taste_columns_are_bounded_for_any_picture() -> None:
    features = TasteFeatures.fit(ITEMS, SCORE, Sizes(6, 4, 5, True))
    image = np.zeros((4, ITEMS.image.shape[1]), np.float32)
    image[1], image[2], image[3] = 1e30, np.nan, -np.inf
    odd = Items(ITEMS.frame[:4], image, np.full((4, ITEMS.prompt.shape[1]), 1e20, np.float32))
    columns = features.transform(odd, np.array([1e9, -1e9, 3.0, 3.0]))
    assert np.isfinite(columns).all()
    assert np.abs(columns).max() <= LARGEST_COLUMN


def test_kernel_components_give_back_the_centred_kernel() -> None:
    """With all components the inner products are the kernel's, centred over the landmarks."""
    rows = ITEMS.image[:30]
    found = KernelComponents.fit(rows, 29)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distance = ((unit[:, None] - unit[None]) ** 2).sum(axis=2)
    gram = np.exp(-distance / (2 * np.median(distance)))
    middle = np.eye(30) - 1 / 30
    columns = found.transform(rows)
    np.testing.assert_allclose(columns @ columns.T, middle @ gram @ middle, atol=2e-3)
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-5)
    spread = (columns**2).sum(axis=0)
    assert (np.diff(spread) <= 1e-6).all()  # by falling variance


def test_one_picture_has_no_kernel_components() -> None:
    found = KernelComponents.fit(np.ones((1, 3), np.float32), 4)
    assert found.transform(np.ones((5, 3), np.float32)).shape == (5, 0)


# --- columns of people ----------------------------------------------------------------------------


def people(gender: list[str | None], dataset: str = "d") -> People:
    return People(
        pl.DataFrame(
            {
                s.DATASET: [dataset] * len(gender),
                s.USER: [f"u{k}" for k in range(len(gender))],
                "gender": gender,
            },
            schema={s.DATASET: pl.String, s.USER: pl.String, "gender": pl.String},
        )
    )


def rated_by(count: int) -> Pairs:
    return Pairs(np.arange(count), np.zeros(count, np.int64), np.zeros(count, np.float32))


def test_people_columns_are_centred_and_an_unknown_category_is_the_average_person() -> None:
    known = people(["f"] * 6 + ["m"] * 4)
    found = PeopleColumns.fit(known, rated_by(10), demographics=True)
    columns = found.transform(known)
    assert columns.shape == (10, 3)
    np.testing.assert_array_equal(columns[:, 0], 1)
    np.testing.assert_allclose(columns[:, 1:].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.transform(people(["?", "f"]))[0], [1, 0, 0])
    np.testing.assert_allclose(found.transform(people(["?", "f"]))[1], columns[0])
    bare = People(known.frame.drop("gender"))
    np.testing.assert_allclose(found.transform(bare)[0], [1, 0, 0])


def test_a_rare_category_has_no_column() -> None:
    known = people(["f"] * 6 + ["m"] * 6 + ["x"] * (RAREST - 1))
    found = PeopleColumns.fit(known, rated_by(len(known)), demographics=True)
    assert found.transform(known).shape == (len(known), 3)
    enough = people(["f"] * 6 + ["m"] * 6 + ["x"] * RAREST)
    found = PeopleColumns.fit(enough, rated_by(len(enough)), demographics=True)
    assert found.transform(enough).shape == (len(enough), 4)


def test_only_people_of_the_training_rows_count() -> None:
    known = people(["f"] * 5 + ["m"] * 5 + ["late"] * 9)
    found = PeopleColumns.fit(known, rated_by(10), demographics=True)
    np.testing.assert_allclose(found.transform(known)[-1], [1, 0, 0])


def test_demographics_off_leaves_the_constant_and_the_dataset() -> None:
    known = people(["f"] * 5 + ["m"] * 5)
    found = PeopleColumns.fit(known, rated_by(10), demographics=False)
    np.testing.assert_array_equal(found.transform(known), np.ones((10, 1)))
    both = People(pl.concat([known.frame, people(["f"] * 10, "e").frame]))
    found = PeopleColumns.fit(both, rated_by(20), demographics=False)
    columns = found.transform(both)
    assert columns.shape == (20, 3)
    assert (columns[0] != columns[-1]).any()


def test_saved_people_columns_are_the_same() -> None:
    known = people(["f"] * 6 + ["m"] * 4 + [None] * 3)
    found = PeopleColumns.fit(known, rated_by(13), demographics=True)
    again = PeopleColumns.from_json(found.to_json())
    np.testing.assert_array_equal(again.transform(known), found.transform(known))


# --- the model ------------------------------------------------------------------------------------


def test_scores_are_the_population_s_plus_columns_times_weights() -> None:
    model = fitted()
    items, row = np.unique(EVERY.item, return_inverse=True)
    base, _, columns = model.columns(FOLD.items.take(items))
    weights, _ = model.weights_of(FOLD.people)
    mean = base[row] + np.einsum("ij,ij->i", columns[row], weights[EVERY.user])
    found = model.predict(FOLD.items, FOLD.people, EVERY).mean
    np.testing.assert_allclose(found, on_scale(mean), atol=1e-4)
    matrix = model.picture_columns(FOLD.items).scores(weights)
    assert matrix.shape == (len(FOLD.people), len(FOLD.items))
    np.testing.assert_allclose(on_scale(matrix[EVERY.user, EVERY.item]), found, atol=1e-3)


def test_intervals_cover_nine_in_ten_seen_and_unseen() -> None:
    model = fitted()
    for part, context in ((s.TEST_SEEN, None), (s.TEST_UNSEEN, FOLD[s.CONTEXT_UNSEEN])):
        pairs = FOLD[part]
        found = model.predict(FOLD.items, FOLD.people, pairs, context)
        covered = np.mean(np.abs(pairs.rating - found.mean) <= 1.6449 * found.std)
        assert 0.88 < covered < 0.92, (part, covered)


def test_doubt_falls_with_every_rating_and_is_least_for_known_people() -> None:
    model, context = fitted(), FOLD[s.CONTEXT_UNSEEN]
    order = np.random.default_rng(0).permutation(len(context))
    pairs = FOLD[s.TEST_UNSEEN]
    doubts = [
        model.predict(FOLD.items, FOLD.people, pairs, context.take(order[:count])).std.mean()
        for count in (0, len(order) // 8, len(order))
    ]
    assert doubts[0] > doubts[1] > doubts[2]
    assert model.predict(FOLD.items, FOLD.people, FOLD[s.TEST_SEEN]).std.mean() < doubts[0]


def test_doubt_grows_for_pictures_unlike_any_seen() -> None:
    model, pairs = fitted(), FOLD[s.TEST_SEEN]
    usual = model.predict(FOLD.items, FOLD.people, pairs).std
    away = Items(FOLD.items.frame, 4 * FOLD.items.image, 4 * FOLD.items.prompt)
    test = np.unique(pairs.item)
    image = np.where(np.isin(np.arange(len(away)), test)[:, None], away.image, FOLD.items.image)
    prompt = np.where(np.isin(np.arange(len(away)), test)[:, None], away.prompt, FOLD.items.prompt)
    far = model.predict(Items(FOLD.items.frame, image, prompt), FOLD.people, pairs).std
    assert far.mean() > 1.1 * usual.mean()
    assert np.mean(far > usual) > 0.95


def test_demographics_move_a_cold_start_user_and_one_switch_turns_that_off() -> None:
    items = np.unique(FOLD[s.TEST_SEEN].item)
    two = People(
        pl.DataFrame(
            {s.DATASET: ["planted"] * 2, s.USER: ["her", "him"], "gender": ["f", "m"]},
            schema=FOLD.people.frame.schema,
        )
    )
    apart = []
    for demographics in (True, False):
        model = fitted(demographics)
        matrix = model.picture_columns(FOLD.items).scores(model.weights_of(two)[0])[:, items]
        apart.append(np.abs(matrix[0] - matrix[1]).mean())
    assert apart[0] > 0.2  # gender says which half of the users one is of
    assert apart[1] == 0


def test_a_context_of_a_training_user_changes_nothing_and_the_order_of_rows_neither() -> None:
    model, seen = fitted(), FOLD[s.TEST_SEEN]
    plain = model.predict(FOLD.items, FOLD.people, seen)
    told = model.predict(FOLD.items, FOLD.people, seen, FOLD[s.TRAIN].take(np.arange(50)))
    np.testing.assert_array_equal(plain.mean, told.mean)
    pairs, context = FOLD[s.TEST_UNSEEN], FOLD[s.CONTEXT_UNSEEN]
    order = np.random.default_rng(1).permutation(len(context))
    first = model.predict(FOLD.items, FOLD.people, pairs, context).mean
    second = model.predict(FOLD.items, FOLD.people, pairs, context.take(order)).mean
    np.testing.assert_array_equal(first, second)


def test_an_unfitted_model_says_so() -> None:
    model = Hierarchical(2, Population(cv_folds=2))
    with pytest.raises(PamelaError, match="hierarchical: not fitted"):
        model.predict(FOLD.items, FOLD.people, EVERY)
    with pytest.raises(PamelaError, match="hierarchical: not fitted"):
        model.state()


def test_what_was_chosen_is_recorded() -> None:
    chosen = fitted().chosen
    assert set(chosen) >= {"taste", "noise_variance", "widening", "cv", "population"}
    assert all(np.isfinite(value) for value in chosen["cv"].values())
    assert chosen["widening"]["left"] == sorted(chosen["widening"]["left"])


def test_widening_is_interpolated_between_what_was_judged() -> None:
    rng = np.random.default_rng(0)
    sharp, wide = rng.normal(size=5000), 1.5 * rng.normal(size=5000)
    found = Widening.fit([(0.8, wide), (0.2, sharp), (0.5, rng.normal(size=3))])
    assert found.left == (0.2, 0.8)  # three ratings say nothing
    np.testing.assert_allclose(found.of(np.array([0.0, 0.2, 0.5, 0.8, 1.0])),
                               [1.0, 1.0, 1.25, 1.5, 1.5], atol=0.05)  # fmt: skip
    assert Widening.from_json(found.to_json()) == found
    assert Widening.fit([]).of(0.3) == 1.0
