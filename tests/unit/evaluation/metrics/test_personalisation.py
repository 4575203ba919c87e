"""User swap, generic and personal parts: who is asked as whom, and what comes out of it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.evaluation import predictions as p
from pamela.evaluation.evaluate import evaluate_predictions
from pamela.evaluation.metrics import schema as col
from pamela.evaluation.metrics.personalisation import estimate_parts
from pamela.evaluation.metrics.schema import GENERIC, VARIANT, VARIANTS
from pamela.evaluation.swapped_users import (
    SWAP_SHOTS,
    SWAPS,
    swap_users,
    variants_of,
    without_identity,
)
from pamela.models.base import Prediction
from pamela.params import load_params
from tests.paths import ROOT

USERS, SEEN_USERS, IMAGES, DIM = 26, 16, 120, 3
EVALUATE = load_params(ROOT / "params.yaml").evaluate.model_copy(update={"bootstrap": 120})


def make_fold(alone: bool = False) -> Fold:
    """Return a fold in which every user weighs the three image features in a way of their own.

    With `alone`, one more user is the only one of another dataset.
    """
    rng = np.random.default_rng(3)
    image = rng.normal(size=(IMAGES, DIM)).astype(np.float32)
    taste = TASTE
    n = USERS + alone

    def pairs(users: range, images: range) -> Pairs:
        user, item = (
            a.ravel()
            for a in np.meshgrid(np.array(users, int), np.array(images, int), indexing="ij")
        )
        liking = (image[item] * taste[user % USERS]).sum(axis=1)
        rating = np.clip(3 + 0.8 * liking + 0.2 * rng.normal(size=len(user)), 1, 5)
        return Pairs(user, item, rating.astype(np.float32))

    seen = range(SEEN_USERS)
    cold_start_users = range(SEEN_USERS, USERS)
    tested = range(40)
    parts = {
        s.TRAIN: pairs(seen, range(40, IMAGES)),
        s.TEST_SEEN: Pairs.concat(pairs(seen, tested), pairs(range(USERS, n), tested)),
        s.TEST_UNSEEN: pairs(cold_start_users, tested),
        s.CONTEXT_UNSEEN: pairs(cold_start_users, range(40, 65)),
    }
    dataset = ["here"] * USERS + ["there"] * alone
    items = pl.DataFrame(
        {
            s.DATASET: "here",
            s.IMAGE: [f"i{k}" for k in range(IMAGES)],
            s.PROMPT_ID: [f"p{k // 2}" for k in range(IMAGES)],
        }
    )
    people = pl.DataFrame(
        {s.DATASET: dataset, s.USER: [f"u{k:02}" for k in range(n)], "gender": "female"}
    )
    return Fold(0, Items(items, image, np.zeros((IMAGES, 0), np.float32)), People(people), parts)


SHARED = np.array([1.0, 0.0, 0.0])
TASTE = SHARED + np.random.default_rng(1).normal(size=(USERS, DIM)) * [0.0, 1.0, 1.0]


class Knows:
    """Knows every user's taste by their id, the shared one of cold-start users."""

    adapts = True
    personal = True

    def __init__(self, skill: float = 1.0) -> None:
        self.skill = skill
        self.asked: list[tuple[People, Pairs, Pairs | None]] = []

    def predict(self, items, people, pairs, context=None):
        self.asked.append((people, pairs, context))
        ids = people.frame[s.USER].to_list()
        known = np.array([TASTE[int(i[1:]) % USERS] if i else SHARED for i in ids])
        taste = SHARED + self.skill * (known - SHARED)
        mean = 3 + 0.8 * (items.image[pairs.item] * taste[pairs.user]).sum(axis=1)
        return Prediction(mean.astype(np.float32), np.ones(len(pairs), np.float32))


@pytest.fixture(scope="module")
def fold() -> Fold:
    return make_fold()


# --- who is asked as whom -------------------------------------------------------------------------
@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(0, 5), st.integers(0, 9))
def test_every_user_gets_another_ones_taste_and_every_taste_goes_once(users, other, seed):
    people = People(
        pl.DataFrame(
            {
                s.DATASET: ["a"] * users + ["b"] * other,
                s.USER: [f"u{k}" for k in range(users + other)],
            }
        )
    )
    present = np.arange(users + other)
    got = swap_users(people, np.repeat(present, 3), [seed, 0])[::3]
    assert sorted(got[:users]) == list(range(users))
    assert (got[:users] != present[:users]).all()
    if other == 1:
        assert got[users] == -1
    else:
        assert sorted(got[users:]) == list(range(users, users + other))
        assert (got[users:] != present[users:]).all()


def test_a_swap_depends_on_ids_and_seed_but_not_on_the_order_of_people(fold):
    user = np.arange(USERS)
    first, again = (swap_users(fold.people, user, [0, 1]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (swap_users(fold.people, user, [0, 2]) != first).any()
    turned = People(fold.people.frame.reverse())
    np.testing.assert_array_equal(USERS - 1 - swap_users(turned, user, [0, 1])[::-1], first)


def test_cold_start_users_have_no_identity_but_their_dataset(fold):
    blank = without_identity(fold.people).frame
    assert blank[s.USER].to_list() == [s.POPULATION_ID] * USERS
    assert blank["gender"].null_count() == USERS
    assert_frame_equal(blank.select(s.DATASET), fold.people.frame.select(s.DATASET))
    assert blank.schema == fold.people.frame.schema


def test_swaps_show_the_other_ones_ratings_and_keep_the_rows(fold):
    model = Knows()
    frame = variants_of(model, "me", fold, EVALUATE)
    assert frame.schema == VARIANTS
    own = p.predict_model(model, "me", fold, EVALUATE)
    keys = [col.POPULATION, col.SHOTS, s.USER, s.IMAGE, s.RATING]
    for variant in frame[VARIANT].unique():
        mine = frame.filter(pl.col(VARIANT) == variant)
        rows = own.join(mine.select(col.POPULATION, col.SHOTS).unique(), nulls_equal=True,
                        on=[col.POPULATION, col.SHOTS])  # fmt: skip
        assert_frame_equal(mine.select(keys), rows.select(keys), check_row_order=False)
    swaps = frame.filter(pl.col(VARIANT) != GENERIC)
    assert swaps[VARIANT].n_unique() == SWAPS
    assert set(swaps[col.SHOTS].unique()) == {None, SWAP_SHOTS}
    generic = frame.filter(pl.col(VARIANT) == GENERIC)
    assert set(generic[col.SHOTS].unique()) == {None, 0, 5, 10, 20}  # 25 rows can be shown
    for _, pairs, context in model.asked:
        if context is not None:  # whoever answers has been shown exactly their own k ratings
            shown = np.bincount(context.user, minlength=USERS)
            assert set(shown[np.unique(pairs.user)]) <= {5, 10, 20}


def test_a_user_alone_in_a_dataset_has_no_rows_in_swaps():
    frame = variants_of(Knows(), "me", make_fold(alone=True), EVALUATE)
    generic = frame.filter(pl.col(VARIANT) == GENERIC)
    swapped = frame.filter(pl.col(VARIANT) != GENERIC)
    assert f"u{USERS:02}" in generic[s.USER]
    assert f"u{USERS:02}" not in swapped[s.USER]
    assert "there" not in swapped[s.DATASET]


# --- numbers --------------------------------------------------------------------------------------
def predicted(models: dict[str, Knows], fold: Fold) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = [p.predict_model(model, name, fold, EVALUATE) for name, model in models.items()]
    others = [
        variants_of(model, name, fold, EVALUATE) for name, model in models.items() if model.personal
    ]
    return pl.concat(rows), pl.concat(others)


class Shared(Knows):
    """Knows the shared taste alone."""

    adapts = False
    personal = False

    def __init__(self, error: float = 0.0) -> None:
        super().__init__(0.0)
        self.error = error

    def predict(self, items, people, pairs, context=None):
        found = super().predict(items, people, pairs, context)
        return Prediction(found.mean + self.error * items.image[pairs.item, 1], found.std)


@pytest.fixture(scope="module")
def numbers(fold) -> tuple[pl.DataFrame, pl.DataFrame]:
    models = {"population": Shared(0.5), "half": Knows(0.4), "hierarchical": Knows()}
    rows, others = predicted(models, fold)
    return evaluate_predictions(
        rows, fold.items.frame, EVALUATE, variants=others, champion="hierarchical"
    )


def pick(frame: pl.DataFrame, **where: object) -> float:
    return frame.filter(aggregation="user", **where)["value"].item()


@pytest.mark.parametrize("metric", ["srocc", "pairwise_accuracy"])
@pytest.mark.parametrize(("population", "shots"), [("seen", None), ("unseen", 20)])
def test_the_swap_loss_is_own_minus_swapped_and_only_tastes_are_lost(
    numbers, metric, population, shots
):
    at = {"population": population, "pictures": "new"} | ({"shots": shots} if shots else {})
    rows = numbers[0].filter(pl.col("margin").is_null() | (pl.col("margin") == 0))
    for model in ("half", "hierarchical"):
        own = pick(rows, model=model, metric=metric, **at)
        swapped = pick(rows, model=model, metric=f"swapped_{metric}", **at)
        generic = pick(rows, model=model, metric=f"generic_{metric}", **at)
        lost = rows.filter(model=model, metric=f"swap_loss_{metric}", **at).row(0, named=True)
        assert lost["value"] == pytest.approx(own - swapped)
        assert 0 < lost["ci_low"] < lost["value"] < lost["ci_high"]
        assert swapped < generic < own  # another's taste is worse than everybody's
        assert lost["n_users"] == (SEEN_USERS if shots is None else USERS - SEEN_USERS)
    whole, half = (pick(rows, model=m, metric=f"swap_loss_{metric}", **at)
                   for m in ("hierarchical", "half"))  # fmt: skip
    assert half < whole


def test_swaps_are_told_at_their_shots_only_and_no_loss_is_made_up(numbers):
    losses = numbers[0].filter(metric="swap_loss_srocc")
    assert set(losses["shots"].unique()) == {None, SWAP_SHOTS}
    assert set(losses["model"].unique()) == {"half", "hierarchical"}
    rows, others = predicted({"population": Shared(), "flat": Knows(0.0)}, make_fold())
    found, _ = evaluate_predictions(rows, make_fold().items.frame, EVALUATE, variants=others)
    flat = found.filter(metric="swap_loss_srocc", model="flat")
    assert flat["value"].abs().max() < 1e-9
    assert flat["ci_high"].abs().max() < 1e-9


@pytest.mark.parametrize("metric", ["srocc", "pairwise_accuracy"])
def test_the_two_parts_add_up_to_the_difference(numbers, metric):
    gaps = numbers[1].drop_nulls("value")
    keys = [col.POPULATION, col.SHOTS, col.MODEL, "baseline"]
    whole = gaps.filter(metric=metric).select(*keys, whole="value")
    generic, personal = (
        gaps.filter(metric=f"{metric}_{part}").select(*keys, pl.col("value").alias(part))
        for part in ("generic", "personal")
    )
    parts = generic.join(personal, on=keys, nulls_equal=True).join(whole, on=keys, nulls_equal=True)
    assert parts.height == generic.height == personal.height > 0
    np.testing.assert_allclose(parts["generic"] + parts["personal"], parts["whole"], atol=1e-12)
    seen = parts.filter(population="seen", model="hierarchical", baseline="population")
    assert seen["generic"].item() > 0.01  # `population` has an error of its own here
    assert seen["personal"].item() > seen["generic"].item()
    both = parts.filter(population="seen", model="hierarchical", baseline="half")
    assert both["generic"].item() == pytest.approx(0, abs=1e-12)  # they share the generic part


def test_parts_do_not_depend_on_the_order_of_rows(fold):
    rows, others = predicted({"population": Shared(0.5), "me": Knows()}, fold)
    pairs = [("me", "population")]
    seen = pl.col(col.POPULATION) == col.SEEN
    prompts = fold.items.frame.select(s.IMAGE, s.PROMPT_ID)
    rows, others = (f.filter(seen).join(prompts, on=s.IMAGE) for f in (rows, others))
    first = estimate_parts(rows, others, pairs, EVALUATE, stream="x")
    turned = estimate_parts(rows.reverse(), others.reverse(), pairs, EVALUATE, stream="x")
    by_name = {(a.model, a.baseline, a.metric): a.estimate.value for a in turned}
    assert len(first) == len(by_name) == 2 * (3 + 2)
    for one in first:
        assert one.estimate.value == pytest.approx(
            by_name[one.model, one.baseline, one.metric], abs=1e-12
        )
    assert estimate_parts(rows, VARIANTS.to_frame(), pairs, EVALUATE, stream="x") == []
