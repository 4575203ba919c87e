"""What every reward model must do, on planted data: one class, run for each of them.

A new model joins by a line in `MODELS` (how to build it small), nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.models import list_models
from pamela.models.base import RewardModel, load_model
from pamela.models.baselines import GlobalMean, GroupMean, UserMean
from pamela.models.biases import within_user_correlation
from tests.helpers.planted import make_world, with_part
from tests.helpers.planted_choices import accuracy, with_choices

pytestmark = pytest.mark.filterwarnings("error:The given NumPy array is not writable")

ADAPTS = {"user_mean", "residual_ridge", "mf", "hierarchical"}  # models that a context changes
SEES = ["population", "residual_ridge", "mf", "paper", "hierarchical"]  # models that see pictures
PERSONAL = [name for name in SEES if name != "population"]  # and whose order is a person's own
FOLDS_IN = ["residual_ridge", "mf", "hierarchical"]  # and who learn it from a context


def _paper() -> RewardModel:
    from pamela.models.transformer.model import Paper
    from pamela.models.transformer.selection import Configuration, SearchConfig

    trial = Configuration(12, 16, 1, 0.0, 1e-2, 0.01, 10)
    return Paper(
        SearchConfig(folds=2, trials=1, max_epochs=10, patience=10, batch_size=64, given=(trial,)),
        "cpu",
    )


def _population() -> RewardModel:
    from pamela.models.gaussian_process.model import Population

    return Population(cv_folds=3)


def _residual_ridge() -> RewardModel:
    from pamela.models.gaussian_process.model import Population
    from pamela.models.residual.ridge import ResidualRidge

    return ResidualRidge(2, Population(cv_folds=3))


def _mf() -> RewardModel:
    from pamela.models.gaussian_process.model import Population
    from pamela.models.residual.matrix_factorisation import MatrixFactorisation

    return MatrixFactorisation(2, Population(cv_folds=3))


def _hierarchical() -> RewardModel:
    from pamela.models.gaussian_process.model import Population
    from pamela.models.hierarchical.model import Hierarchical

    return Hierarchical(2, Population(cv_folds=3))


MODELS: dict[str, Callable[[], RewardModel]] = {
    "global_mean": GlobalMean,
    "user_mean": UserMean,
    "group_mean": GroupMean,
    "population": _population,
    "residual_ridge": _residual_ridge,
    "mf": _mf,
    "paper": _paper,
    "hierarchical": _hierarchical,
}


def read_only(fold: Fold) -> Fold:
    """Return the same fold in arrays as Polars hands them out: nobody may write into them."""
    pairs = {part: locked(own) for part, own in fold.parts.items()}
    items = replace(fold.items, image=_locked(fold.items.image), prompt=_locked(fold.items.prompt))
    return replace(fold, parts=pairs, items=items)


def locked(pairs: Pairs) -> Pairs:
    return Pairs(_locked(pairs.user), _locked(pairs.item), _locked(pairs.rating))


def _locked(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def test_every_model_is_under_contract() -> None:
    assert sorted(MODELS) == sorted(list_models())


@pytest.fixture(scope="module", params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


WORLD = make_world(seed=3, own=0.9)
FOLD = read_only(WORLD.fold)
EVERY = locked(Pairs.concat(FOLD[s.TEST_SEEN], FOLD[s.TEST_UNSEEN]))


@pytest.fixture(scope="module", autouse=True)
def torch_warns_each_time() -> Iterator[None]:
    """Whichever test is the first to give it arrays that it may not write."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.fixture(scope="module")
def model(name: str) -> RewardModel:
    return fitted_here(name)


@cache
def fitted_here(name: str) -> RewardModel:
    return fitted(name, FOLD)


def fitted(name: str, fold: Fold) -> RewardModel:
    model = MODELS[name]()
    history = model.fit(fold, seed=1)
    assert history.columns[0] == "step"
    return model


def means(model: RewardModel, pairs: Pairs = EVERY, context: Pairs | None = None) -> np.ndarray:
    return model.predict(FOLD.items, FOLD.people, pairs, context).mean


class TestContract:
    def test_predictions_are_finite_and_on_scale(self, model: RewardModel) -> None:
        found = model.predict(FOLD.items, FOLD.people, EVERY)
        assert found.mean.shape == found.std.shape == (len(EVERY),)
        assert found.mean.dtype == found.std.dtype == np.float32
        assert np.isfinite(found.mean).all()
        assert np.isfinite(found.std).all()
        assert found.mean.min() >= 1
        assert found.mean.max() <= 5
        assert found.std.min() > 0

    def test_predictive_intervals_cover_about_as_much_as_they_say(self, model: RewardModel) -> None:
        pairs = FOLD[s.TEST_SEEN]
        found = model.predict(FOLD.items, FOLD.people, pairs)
        inside = np.abs(pairs.rating - found.mean) <= 1.645 * found.std
        assert 0.75 < inside.mean() <= 1.0
        assert found.std.max() < 3

    def test_is_not_worse_than_the_training_mean_in_squared_error(self, model: RewardModel) -> None:
        pairs = FOLD[s.TEST_SEEN]
        error = np.mean((means(model, pairs) - pairs.rating) ** 2)
        constant = np.mean((FOLD[s.TRAIN].rating.mean() - pairs.rating) ** 2)
        assert error < constant * (1 + 1e-6) if model.name == "global_mean" else error < constant

    def test_saved_and_loaded_gives_identical_scores(
        self, model: RewardModel, tmp_path: Path
    ) -> None:
        model.save(tmp_path)
        again = load_model(tmp_path)
        before = model.predict(FOLD.items, FOLD.people, EVERY, FOLD[s.CONTEXT_UNSEEN])
        after = again.predict(FOLD.items, FOLD.people, EVERY, FOLD[s.CONTEXT_UNSEEN])
        np.testing.assert_array_equal(before.mean, after.mean)
        np.testing.assert_array_equal(before.std, after.std)
        assert {p.name for p in tmp_path.iterdir()} == {"model.json", "model.safetensors"}

    @pytest.mark.parametrize("size", [1, 7, 64])
    def test_batch_size_changes_nothing(self, model: RewardModel, size: int) -> None:
        some = EVERY.take(np.arange(0, len(EVERY), 9))
        parts = [
            means(model, some.take(np.arange(start, min(start + size, len(some)))))
            for start in range(0, len(some), size)
        ]
        np.testing.assert_allclose(np.concatenate(parts), means(model, some), atol=1e-5)

    def test_other_pictures_in_the_table_change_nothing(self, model: RewardModel) -> None:
        pair = EVERY.take(np.array([5]))
        alone = FOLD.items.take(pair.item)
        only = Pairs(pair.user, np.zeros(1, np.int64), pair.rating)
        found = model.predict(alone, FOLD.people, only)
        np.testing.assert_allclose(found.mean, means(model, pair), atol=1e-5)

    def test_fit_is_deterministic_and_row_order_changes_nothing(
        self, model: RewardModel, name: str
    ) -> None:
        order = np.random.default_rng(0).permutation(len(FOLD[s.TRAIN]))
        again = fitted(name, with_part(FOLD, s.TRAIN, FOLD[s.TRAIN].take(order)))
        np.testing.assert_array_equal(means(again), means(model))

    def test_user_names_change_nothing(self, model: RewardModel, name: str) -> None:
        names = FOLD.people.frame.with_columns(pl.col(s.USER).str.reverse() + "-x")
        renamed = Fold(0, FOLD.items, People(names), FOLD.parts)
        again = fitted(name, renamed)
        found = again.predict(FOLD.items, renamed.people, EVERY)
        np.testing.assert_array_equal(found.mean, means(model))

    def test_users_are_known_by_key_not_by_row(self, model: RewardModel) -> None:
        order = np.random.default_rng(1).permutation(len(FOLD.people))
        place = np.argsort(order)
        moved = People(FOLD.people.frame[order])
        pairs = Pairs(place[EVERY.user], EVERY.item, EVERY.rating)
        found = model.predict(FOLD.items, moved, pairs)
        np.testing.assert_allclose(found.mean, means(model), atol=1e-5)
        np.testing.assert_array_equal(model.knows(moved), model.knows(FOLD.people)[order])

    def test_knows_exactly_the_training_users(self, model: RewardModel) -> None:
        in_train = np.isin(np.arange(len(FOLD.people)), FOLD[s.TRAIN].user)
        expected = in_train if model.personal else np.zeros_like(in_train)
        np.testing.assert_array_equal(model.knows(FOLD.people), expected)

    def test_only_a_personal_model_looks_at_the_user(self, model: RewardModel) -> None:
        item = np.full(len(FOLD.people), FOLD[s.TEST_SEEN].item[0])
        pairs = Pairs(np.arange(len(FOLD.people)), item, np.zeros(len(item), np.float32))
        assert (np.ptp(means(model, pairs)) > 0.05) == model.personal

    def test_cold_start_users_get_the_same_answer(self, model: RewardModel) -> None:
        people = People(
            pl.DataFrame(
                {s.DATASET: ["planted"] * 2, s.USER: ["nobody", "noone"], "gender": [None, "?"]},
                schema=FOLD.people.frame.schema,
            )
        )
        items = np.unique(FOLD[s.TEST_SEEN].item)
        one = Pairs(np.zeros(len(items), np.int64), items, np.zeros(len(items), np.float32))
        two = Pairs(np.ones(len(items), np.int64), items, np.zeros(len(items), np.float32))
        assert not model.knows(people).any()
        first = model.predict(FOLD.items, people, one).mean
        second = model.predict(FOLD.items, people, two).mean
        np.testing.assert_allclose(first, second, atol=1e-5)
        assert np.isfinite(first).all()

    def test_context_adapts_who_says_so(self, model: RewardModel) -> None:
        pairs, context = FOLD[s.TEST_UNSEEN], FOLD[s.CONTEXT_UNSEEN]
        changed = np.abs(means(model, pairs, context) - means(model, pairs)).max() > 1e-6
        assert changed == (model.name in ADAPTS)
        np.testing.assert_array_equal(
            means(model, FOLD[s.TEST_SEEN], context), means(model, FOLD[s.TEST_SEEN])
        )

    def test_extreme_inputs(self, model: RewardModel) -> None:
        count = 6
        image = np.zeros((count, FOLD.items.image.shape[1]), np.float32)
        prompt = np.zeros((count, FOLD.items.prompt.shape[1]), np.float32)
        image[1], image[2], image[3] = 1e30, np.nan, -np.inf
        prompt[1], prompt[4] = -1e30, np.nan
        frame = FOLD.items.frame[:count].with_columns(
            pl.Series(s.DATASET, ["planted"] * 4 + ["another"] * 2),
            pl.Series(s.TYPE, [None, "?", "Art", "", "Art", None], dtype=pl.String),
            pl.Series(s.GROUP, ["?", None, "g0", "g3", "g0", None], dtype=pl.String),
            pl.Series(s.STYLE, ["?"] * count),
        )
        people = People(
            pl.DataFrame(
                {
                    s.DATASET: ["planted", "another"],
                    s.USER: ["nobody", "u1"],
                    "gender": [None, "unheard of"],
                },
                schema=FOLD.people.frame.schema,
            )
        )
        user, item = np.divmod(np.arange(2 * count), count)
        found = model.predict(
            Items(frame, image, prompt), people, Pairs(user, item, np.zeros(2 * count, np.float32))
        )
        assert np.isfinite(found.mean).all()
        assert np.isfinite(found.std).all()
        assert ((found.mean >= 1) & (found.mean <= 5)).all()

    def test_people_without_demographics(self, model: RewardModel) -> None:
        bare = People(FOLD.people.frame.select(s.DATASET, s.USER))
        found = model.predict(FOLD.items, bare, EVERY)
        assert np.isfinite(found.mean).all()

    def test_no_pairs(self, model: RewardModel) -> None:
        found = model.predict(FOLD.items, FOLD.people, Pairs.empty())
        assert found.mean.shape == found.std.shape == (0,)

    def test_survives_odd_users_and_blocks(self, name: str) -> None:
        """A user with one rating, a constant rater, pictures that one user alone rated."""
        train = FOLD[s.TRAIN]
        first_of_0 = np.flatnonzero(train.user == 0)[1:]
        alone = train.item < 4
        keep = np.ones(len(train), dtype=bool)
        keep[first_of_0] = False
        keep &= ~alone | (train.user == 2)
        rating = np.where(train.user == 1, 5, train.rating).astype(np.float32)
        odd = Pairs(train.user, train.item, rating).take(keep)
        model = fitted(name, with_part(FOLD, s.TRAIN, odd))
        found = model.predict(FOLD.items, FOLD.people, EVERY)
        assert np.isfinite(found.mean).all()
        assert np.isfinite(found.std).all()

    def test_survives_ratings_that_are_all_the_same(self, name: str) -> None:
        train = FOLD[s.TRAIN]
        same = Pairs(train.user, train.item, np.full(len(train), 4, np.float32))
        found = fitted(name, with_part(FOLD, s.TRAIN, same)).predict(FOLD.items, FOLD.people, EVERY)
        np.testing.assert_allclose(found.mean, 4, atol=0.3)
        assert np.isfinite(found.std).all()

    def test_features_and_prompts_may_be_absent(self, name: str) -> None:
        bare = Items(FOLD.items.frame, FOLD.items.image, np.zeros((len(FOLD.items), 0), np.float32))
        found = fitted(name, FOLD.with_items(bare)).predict(bare, FOLD.people, EVERY)
        assert np.isfinite(found.mean).all()

    def test_survives_pictures_that_all_look_alike(self, name: str, tmp_path: Path) -> None:
        n = len(FOLD.items)
        alike = Items(FOLD.items.frame, np.full((n, 6), 0.5, np.float32), np.zeros((n, 0), "f4"))
        model = fitted(name, FOLD.with_items(alike))
        model.save(tmp_path)
        found = load_model(tmp_path).predict(alike, FOLD.people, EVERY, FOLD[s.CONTEXT_UNSEEN])
        assert np.isfinite(found.mean).all()
        assert np.isfinite(found.std).all()


CHOSEN = with_choices(WORLD, 30, ratings=False)


class TestChoices:
    """A fold of choices alone: every model learns from it, and says what people choose."""

    @pytest.fixture(scope="class")
    def chosen(self, name: str) -> RewardModel:
        return fitted(name, CHOSEN)

    def test_held_out_choices_are_predicted_and_the_three_outcomes_sum_to_one(
        self, chosen: RewardModel
    ) -> None:
        asked = CHOSEN.choices_of(s.TEST_SEEN)
        found = chosen.prefer(CHOSEN.items, CHOSEN.people, asked)
        every = np.stack([found.a, found.b, found.tie])
        assert np.isfinite(every).all()
        assert (every >= 0).all()
        np.testing.assert_allclose(every.sum(axis=0), 1, atol=1e-9)
        decided = accuracy(found.a / np.maximum(found.a + found.b, 1e-12), asked)
        assert decided > (0.65 if chosen.name in SEES else 0.4)

    def test_what_is_shown_of_oneself_changes_who_adapts_and_stays_finite(
        self, chosen: RewardModel
    ) -> None:
        asked, own = CHOSEN.choices_of(s.TEST_UNSEEN), CHOSEN.choices_of(s.CONTEXT_UNSEEN)
        plain = chosen.prefer(CHOSEN.items, CHOSEN.people, asked).a
        told = chosen.prefer(CHOSEN.items, CHOSEN.people, asked, None, own).a
        against = Choices(own.user, own.b, own.a, own.outcome)  # and contradicts themselves
        both = Choices.concat(own, against)
        mixed = chosen.prefer(CHOSEN.items, CHOSEN.people, asked, FOLD[s.CONTEXT_UNSEEN], both).a
        assert np.isfinite(told).all()
        assert np.isfinite(mixed).all()
        assert (np.abs(told - plain).max() > 1e-6) == (chosen.name in FOLDS_IN)
        seen = CHOSEN.choices_of(s.TEST_SEEN)
        np.testing.assert_array_equal(
            chosen.prefer(CHOSEN.items, CHOSEN.people, seen, None, own).a,
            chosen.prefer(CHOSEN.items, CHOSEN.people, seen).a,
        )

    def test_saved_and_loaded_chooses_alike(self, chosen: RewardModel, tmp_path: Path) -> None:
        asked, own = CHOSEN.choices_of(s.TEST_UNSEEN), CHOSEN.choices_of(s.CONTEXT_UNSEEN)
        chosen.save(tmp_path)
        before = chosen.prefer(CHOSEN.items, CHOSEN.people, asked, None, own)
        after = load_model(tmp_path).prefer(CHOSEN.items, CHOSEN.people, asked, None, own)
        np.testing.assert_allclose(before.a, after.a, rtol=1e-9)
        np.testing.assert_allclose(before.tie, after.tie, rtol=1e-9)


class TestPlantedTaste:
    """The answer is known: who must find it, and who must not."""

    def test_the_shared_taste_is_found(self) -> None:
        """Also where a model could make a personal taste of it: nobody has one here."""
        world = make_world(seed=5, own=0.0)
        items = np.unique(world.fold[s.TEST_SEEN].item)
        pairs = Pairs(np.zeros(len(items), np.int64), items, np.zeros(len(items), np.float32))
        least = dict.fromkeys(SEES, 0.85) | {"group_mean": 0.2, "population": 0.9}
        for name, bound in least.items():
            model = fitted(name, world.fold)
            found = model.predict(world.fold.items, world.fold.people, pairs).mean
            assert np.corrcoef(found, world.shared[items])[0, 1] > bound, name

    @pytest.mark.parametrize("name", PERSONAL)
    def test_own_taste_is_found_and_lost_when_users_are_shuffled(self, name: str) -> None:
        seen = FOLD[s.TEST_SEEN]
        population = within_user_correlation(seen, means(fitted_here("population"), seen))
        found = within_user_correlation(seen, means(fitted_here(name), seen))
        lost = within_user_correlation(seen, means(fitted(name, _shuffle_users(FOLD)), seen))
        assert found > population + 0.15
        assert abs(lost - population) < 0.05

    @pytest.mark.parametrize("name", ["population", *FOLDS_IN])
    def test_two_passes_of_every_picture_teach_what_their_mean_does(self, name: str) -> None:
        """Learned and shown: passes that disagree are no further evidence of themselves."""

        def passes(pairs: Pairs) -> Pairs:
            return Pairs.concat(
                *(Pairs(pairs.user, pairs.item, pairs.rating + by) for by in (-0.25, 0.25))
            )

        parts = {s.TRAIN: passes(FOLD[s.TRAIN])}
        twice = fitted(name, replace(FOLD, parts={**FOLD.parts, **parts}))
        np.testing.assert_allclose(means(twice), means(fitted_here(name)), atol=1e-4)

    @pytest.mark.parametrize("name", FOLDS_IN)
    def test_a_context_teaches_a_new_person_s_taste(self, name: str) -> None:
        unseen, context = FOLD[s.TEST_UNSEEN], FOLD[s.CONTEXT_UNSEEN]
        population = within_user_correlation(unseen, means(fitted_here("population"), unseen))
        told = within_user_correlation(unseen, means(fitted_here(name), unseen, context))
        assert told > population + 0.15

    @pytest.mark.parametrize("name", FOLDS_IN)
    def test_nobody_in_particular_gets_the_population_s_order(self, name: str) -> None:
        people = People(
            pl.DataFrame(
                {s.DATASET: ["planted"], s.USER: ["nobody"], "gender": [None]},
                schema=FOLD.people.frame.schema,
            )
        )
        items = np.unique(FOLD[s.TEST_SEEN].item)
        pairs = Pairs(np.zeros(len(items), np.int64), items, np.zeros(len(items), np.float32))
        plain, own = (
            fitted_here(one).predict(FOLD.items, people, pairs).mean for one in ("population", name)
        )
        assert np.corrcoef(plain, own)[0, 1] > 0.98
        assert np.abs(plain.mean() - own.mean()) < 0.15

    @pytest.mark.parametrize("name", SEES)
    def test_far_beyond_the_ends_the_order_is_kept(self, name: str) -> None:
        """Predictions cut off at 1 and 5 would tie there."""
        far = Items(FOLD.items.frame, 2.5 * FOLD.items.image, 2.5 * FOLD.items.prompt)
        items = np.unique(FOLD[s.TEST_SEEN].item)
        who = np.unique(FOLD[s.TRAIN].user)
        user, item = (axis.ravel() for axis in np.meshgrid(who, items, indexing="ij"))
        pairs = Pairs(user, item, np.zeros(len(user), np.float32))
        found = fitted_here(name).predict(far, FOLD.people, pairs).mean.reshape(len(who), -1)
        if name in ("residual_ridge", "mf", "hierarchical"):  # linear in features: far means far
            assert found.min() < 1.1
            assert found.max() > 4.9
        ties = [len(items) - len(np.unique(row)) for row in found]
        assert np.mean(ties) < 0.05 * len(items)


def _shuffle_users(fold: Fold) -> Fold:
    """Return the fold with the users of training and validation rows shuffled."""
    rng = np.random.default_rng(0)
    for part in (s.TRAIN, s.VAL_SEEN):
        pairs = fold[part]
        fold = with_part(fold, part, Pairs(rng.permutation(pairs.user), pairs.item, pairs.rating))
    people = fold.people.frame.with_columns(gender=pl.lit("m"))
    return Fold(fold.number, fold.items, People(people), fold.parts)
