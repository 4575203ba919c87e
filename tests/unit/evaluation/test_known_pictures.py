"""Cold-start people on pictures that others rated: who is asked what, and the bar beside it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN, ImageMean
from pamela.evaluation.comparisons import known_pictures_comparisons
from pamela.evaluation.evaluate import evaluate_predictions
from pamela.evaluation.few_shot import LEAST_ASKED, MOST_SHOWN, known_pictures_task
from pamela.evaluation.metrics import schema as col
from pamela.evaluation.predictions import predict_model, predict_unseen
from pamela.params import load_params
from tests.helpers.taste_fold import Taste
from tests.paths import ROOT

EVALUATE = load_params(ROOT / "params.yaml").evaluate.model_copy(update={"bootstrap": 50})
SEEN_USERS, RATED, NOBODYS, TEST = 10, 140, 6, 12  # pictures: by how many training users
ENOUGH = MOST_SHOWN + LEAST_ASKED
CONTEXTS = {10: RATED, 11: ENOUGH, 12: ENOUGH - 1, 13: 3}  # of the unseen users


def make_fold() -> Fold:
    """Return a fold of pictures that all training users rated, nobody did, and tested ones."""
    rng = np.random.default_rng(0)
    images = RATED + NOBODYS + TEST
    taste = rng.normal(size=images)

    def pairs(users: list[int], items: list[np.ndarray]) -> Pairs:
        user = np.repeat(users, [len(i) for i in items])
        item = np.concatenate(items)
        rating = np.clip(np.rint(3 + taste[item] + rng.normal(size=len(item)) / 2), 1, 5)
        return Pairs(user, item, rating.astype(np.float32))

    rated, tested = np.arange(RATED), np.arange(RATED + NOBODYS, images)
    unrated = np.arange(RATED, RATED + NOBODYS)
    contexts = [np.r_[rng.permutation(rated)[:n], unrated] for n in CONTEXTS.values()]
    parts = {
        s.TRAIN: pairs(list(range(SEEN_USERS)), [rated] * SEEN_USERS),
        s.TEST_SEEN: pairs(list(range(SEEN_USERS)), [tested] * SEEN_USERS),
        s.TEST_UNSEEN: pairs(list(CONTEXTS), [tested] * len(CONTEXTS)),
        s.CONTEXT_UNSEEN: pairs(list(CONTEXTS), contexts),
    }
    items = pl.DataFrame(
        {s.DATASET: "here", s.IMAGE: [f"i{k}" for k in range(images)], s.PROMPT_ID: None},
        schema_overrides={s.PROMPT_ID: pl.String},
    )
    people = pl.DataFrame({s.DATASET: "here", s.USER: [f"u{k}" for k in range(14)]})
    image = np.stack([taste, rng.normal(size=images)], axis=1).astype(np.float32)
    return Fold(0, Items(items, image, image[:, :0]), People(people), parts)


@pytest.fixture(scope="module")
def fold() -> Fold:
    return make_fold()


def pictures(pairs: Pairs, user: int) -> list[int]:
    return pairs.item[pairs.user == user].tolist()


def test_the_query_is_what_comes_after_the_first_hundred_for_every_k(fold):
    task = known_pictures_task(fold, seed=0)
    queries, contexts = zip(*(task.at(k) for k in (0, 5, 100)), strict=True)
    for user, count in ((10, RATED), (11, ENOUGH)):
        asked, shown = pictures(task.query, user), pictures(task.context, user)
        assert len(asked) == count - MOST_SHOWN
        assert len(shown) == MOST_SHOWN
        assert not set(asked) & set(shown)
        assert set(asked) | set(shown) <= set(range(RATED))  # of those that others rated
        assert all(pictures(query, user) == asked for query in queries)
        assert [len(pictures(context, user)) for context in contexts] == [0, 5, 100]
        assert set(pictures(contexts[1], user)) < set(pictures(contexts[2], user))
    assert set(task.query.user) == {10, 11}  # one rating short, or far too few: left out
    assert not len(task.at(MOST_SHOWN + 1)[0])
    other = known_pictures_task(fold, seed=1)
    assert pictures(other.query, 10) != pictures(task.query, 10)


def test_a_picture_that_was_rated_twice_is_never_both_shown_and_asked(fold):
    once = fold[s.CONTEXT_UNSEEN]
    twice = Fold(
        0, fold.items, fold.people, {**fold.parts, s.CONTEXT_UNSEEN: Pairs.concat(once, once)}
    )
    task, plain = known_pictures_task(twice, seed=0), known_pictures_task(fold, seed=0)
    for user in (10, 11):
        assert set(pictures(task.query, user)) == set(pictures(plain.query, user))
        assert set(pictures(task.context, user)) == set(pictures(plain.context, user))
        assert pictures(task.at(10)[1], user) == pictures(plain.at(5)[1], user) * 2  # 10 ratings
    assert set(task.query.user) == {10, 11}


def test_image_mean_is_the_mean_of_the_others_ratings(fold):
    train = fold[s.TRAIN]
    model = ImageMean.fit(fold)
    asked = Pairs(np.full(3, 10), np.array([0, 7, RATED]), np.zeros(3, np.float32))
    said = model.predict(fold.items, fold.people, asked).mean
    wanted = [train.rating[train.item == item].mean() for item in (0, 7)]
    assert said == pytest.approx([*wanted, train.rating.mean()])  # nobody rated the third
    again = model.predict(fold.items, fold.people, asked, fold[s.CONTEXT_UNSEEN])
    assert again.mean.tolist() == said.tolist()


@pytest.fixture(scope="module")
def numbers(fold) -> tuple[pl.DataFrame, pl.DataFrame]:
    task = known_pictures_task(fold, seed=EVALUATE.seed)
    models = {"population": Taste(1.0), "mf": Taste(1.0, adapts=True)}
    frames = [predict_model(model, name, fold, EVALUATE) for name, model in models.items()]
    frames += [
        predict_unseen(model, name, fold, task, EVALUATE.shots, col.KNOWN_PICTURES)
        for name, model in {**models, IMAGE_MEAN: ImageMean.fit(fold)}.items()
    ]
    return evaluate_predictions(pl.concat(frames), fold.items.frame, EVALUATE, champion="mf")


def test_known_pictures_have_rows_of_their_own_and_change_no_other(fold, numbers):
    models = {"population": Taste(1.0), "mf": Taste(1.0, adapts=True)}
    frames = [predict_model(model, name, fold, EVALUATE) for name, model in models.items()]
    alone = evaluate_predictions(pl.concat(frames), fold.items.frame, EVALUATE, champion="mf")
    for whole, without in zip(numbers, alone, strict=True):
        new = pl.col("pictures") == "new"
        assert whole.filter(new).equals(without.filter(new))
    known = numbers[0].filter(pictures="known")
    assert set(known["population"]) == {"unseen"}
    assert set(known["model"]) == {"population", "mf", IMAGE_MEAN}
    assert known.filter(metric="srocc", aggregation="user")["n_users"].to_list() == [2] * 18
    assert not numbers[0].filter(pictures="new", model=IMAGE_MEAN).height


def test_the_value_is_the_mean_over_people_and_the_gain_is_paired(fold, numbers):
    task, train = known_pictures_task(fold, seed=EVALUATE.seed), fold[s.TRAIN]
    mean = np.bincount(train.item, train.rating) / np.bincount(train.item)
    each = []
    for user in (10, 11):
        mine = task.query.take(task.query.user == user)
        pair = pl.DataFrame({"y": mine.rating, "x": mean[mine.item].round(6)})
        each.append(pair.select(pl.corr("x", "y", method="spearman")).item())
    at = {"pictures": "known", "metric": "srocc", "shots": 20}
    value = numbers[0].filter(model=IMAGE_MEAN, aggregation="user", **at)["value"].item()
    assert value == pytest.approx(np.mean(each), abs=1e-4)
    mine = numbers[0].filter(model="mf", aggregation="user", **at)["value"].item()
    gain = numbers[1].filter(model="mf", baseline=IMAGE_MEAN, **at)["value"].item()
    assert gain == pytest.approx(mine - value)


def test_every_model_is_compared_with_the_mean_of_others_but_those_without_an_order():
    models = ["user_mean", "population", "mf", "hierarchical", "population_user_mean", IMAGE_MEAN]
    found = known_pictures_comparisons(models, "hierarchical")
    assert {name for name, baseline in found if baseline == IMAGE_MEAN} == {
        "population", "mf", "hierarchical",
    }  # fmt: skip
    assert ("hierarchical", "mf") in found
    assert len(found) == len(set(found))
