"""The gate: same hold-out for both, scored now, and no comparison that would not be fair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pamela.core import schema as s
from pamela.core.arrays import Bools
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.models.base import Prediction, Progress, RewardModel, silent
from pamela.retraining import gate
from pamela.training.bundle import Bundle

USERS, ITEMS, D = 24, 80, 4
SEEN, TRAIN_ITEMS = 16, 40


class Linear(RewardModel):
    """Predicts ``image @ weights + noise``: as good as its noise is small."""

    name = "linear"
    personal = False

    def __init__(self, weights: npt.NDArray[Any], noise: float = 0.0) -> None:
        self.weights, self.noise = weights, noise

    def fit(self, fold: Fold, *, seed: int, progress: Progress = silent) -> pl.DataFrame:
        raise NotImplementedError

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        rng = np.random.default_rng(3)
        noise = self.noise * rng.normal(size=len(items))
        mean = (items.image @ self.weights + noise)[pairs.item].astype(np.float32)
        return Prediction(mean, np.ones_like(mean))

    def knows(self, people: People) -> Bools:
        return np.ones(len(people), bool)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        return {"noise": self.noise}, {"weights": self.weights}

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        return cls(arrays["weights"], config["noise"])


TASTE = np.array([1.0, -1.0, 0.5, 0.0])


@pytest.fixture(scope="module")
def fold() -> Fold:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            s.DATASET: ["d"] * ITEMS,
            s.IMAGE: [f"i{k}" for k in range(ITEMS)],
            s.SHA256: [None] * ITEMS,
            s.PROMPT: ["p"] * ITEMS,
            s.TYPE: [None] * ITEMS,
            s.GROUP: [None] * ITEMS,
            s.STYLE: [None] * ITEMS,
            s.PROMPT_ID: [f"p{k}" for k in range(ITEMS)],
        }
    )
    image = rng.normal(size=(ITEMS, D)).astype(np.float32)
    items = Items(frame, image, np.zeros((ITEMS, 0), np.float32))
    people = People(
        pl.DataFrame({s.DATASET: ["d"] * USERS, s.USER: [f"u{k}" for k in range(USERS)]})
    )

    def rate(users: range, pictures: range, count: int) -> Pairs:
        user = np.repeat(np.array(users), count)
        item = np.concatenate([rng.choice(np.array(pictures), count, False) for _ in users])
        rating = np.clip(np.round(3 + image[item] @ TASTE + rng.normal(size=len(item))), 1, 5)
        return Pairs(user, item, rating.astype(np.float32))

    return Fold(
        0,
        items,
        people,
        {
            s.TRAIN: rate(range(SEEN), range(TRAIN_ITEMS), 20),
            s.TEST_SEEN: rate(range(SEEN), range(TRAIN_ITEMS, ITEMS), 12),
            s.TEST_UNSEEN: rate(range(SEEN, USERS), range(TRAIN_ITEMS, ITEMS), 12),
        },
    )


def bundle(fold: Fold, model: RewardModel, version: str = "linear-0") -> Bundle:
    return Bundle(
        model=model,
        items=fold.items,
        people=fold.people,
        in_train_items=np.arange(ITEMS) < TRAIN_ITEMS,
        in_train_people=np.arange(USERS) < SEEN,
        scales={"d": (1.0, 5.0)},
        encoder={"encoder": "precomputed", "fingerprint": "abc", "image_dim": D, "prompt_dim": 0},
        version=version,
    )


def compare(champion: Bundle, challenger: Bundle, fold: Fold) -> gate.Comparison:
    return gate.compare_on_holdout(champion, challenger, fold, draws=200, seed=0)


def test_scores_are_the_user_means_of_spearman_on_the_hold_out(fold: Fold) -> None:
    good, bad = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=3.0))
    found = compare(bad, good, fold)
    expected: dict[str, list[float]] = {"champion": [], "challenger": []}
    for part in gate.HOLDOUT:
        pairs = fold[part]
        for user in np.unique(pairs.user):
            mine = pairs.take(pairs.user == user)
            for side, b in (("champion", bad), ("challenger", good)):
                mean = b.model.predict(fold.items, fold.people, mine).mean
                expected[side].append(spearmanr(mean, mine.rating).statistic)
    assert found.champion == pytest.approx(np.mean(expected["champion"]), abs=1e-6)
    assert found.challenger == pytest.approx(np.mean(expected["challenger"]), abs=1e-6)
    assert found.difference.value == pytest.approx(found.challenger - found.champion)
    assert (found.rows, found.users) == (USERS * 12, USERS)
    assert found.by_part[s.TEST_SEEN]["users"] == SEEN
    assert found.by_part[s.TEST_UNSEEN]["users"] == USERS - SEEN


def test_better_is_promoted_worse_is_kept(fold: Fold) -> None:
    good, bad = bundle(fold, Linear(TASTE)), bundle(fold, Linear(-TASTE))
    up, down = compare(bad, good, fold), compare(good, bad, fold)
    assert gate.decide(up, 0.005)[0]
    assert not gate.decide(down, 0.005)[0]
    assert up.difference.ci_low is not None
    assert up.difference.ci_low > 0
    assert down.difference.value == pytest.approx(-(up.difference.value or 0))


def test_training_rows_play_no_part(fold: Fold) -> None:
    good, bad = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE, noise=3.0))
    spoilt = replace(fold, parts={**fold.parts, s.TRAIN: Pairs.empty()})
    assert compare(bad, good, fold) == compare(bad, good, spoilt)


@given(
    gain=st.floats(-0.5, 0.5, allow_nan=False),
    tolerance=st.floats(0, 0.2, allow_nan=False),
)
@settings(deadline=None)
def test_decision_is_the_tolerance_and_says_both_scores(gain: float, tolerance: float) -> None:
    comparison = gate.Comparison(
        0.4, 0.4 + gain, Estimate(gain, gain - 0.1, gain + 0.1, 20), {}, 100, 20
    )
    allowed, why = gate.decide(comparison, tolerance)
    assert allowed == (gain >= -tolerance)
    assert "champion 0.400" in why
    assert f"challenger SROCC {0.4 + gain:.3f}" in why
    assert "\n" not in why


def test_other_features_are_an_error_that_says_what_to_do(fold: Fold) -> None:
    old = bundle(fold, Linear(TASTE))
    other = replace(fold.items, image=fold.items.image + 1)
    encoder = {**old.encoder, "encoder": "embedded", "fingerprint": "xyz"}
    new = replace(old, items=other, encoder=encoder)
    with pytest.raises(PamelaError, match=r"precomputed \(abc\).*embedded \(xyz\).*embed\.encoder"):
        compare(old, new, fold)


def test_pictures_added_to_precomputed_features_are_no_other_features(fold: Fold) -> None:
    new = bundle(fold, Linear(TASTE))
    fewer = np.arange(5, ITEMS)  # the same rows at other places
    old = replace(
        new,
        items=new.items.take(fewer),
        in_train_items=new.in_train_items[fewer],
        encoder={**new.encoder, "fingerprint": "before"},
    )
    assert compare(old, new, fold).difference.value == 0
    none = replace(old, items=new.items.take(fewer[:0]), in_train_items=np.zeros(0, bool))
    with pytest.raises(PamelaError, match=r"embed\.encoder"):
        compare(none, new, fold)


@pytest.mark.parametrize("kind", ["items", "people"])
def test_champion_trained_on_the_hold_out_is_an_error(fold: Fold, kind: str) -> None:
    new = bundle(fold, Linear(TASTE))
    trained = {"in_train_items": np.ones(ITEMS, bool)}
    if kind == "people":
        trained = {"in_train_people": np.ones(USERS, bool)}
    old = replace(new, **trained)  # type: ignore[arg-type]
    first = "d/i40" if kind == "items" else "d/u16"
    with pytest.raises(PamelaError, match=rf"first {first}: the splits changed"):
        compare(old, new, fold)


def test_challenger_with_more_training_users_is_fair(fold: Fold) -> None:
    new = bundle(fold, Linear(TASTE))
    fewer = new.in_train_people & (np.arange(USERS) > 2)
    old = replace(new, in_train_people=fewer)
    assert compare(old, new, fold).difference.value == 0


def test_no_ratings_that_differ_is_an_error(fold: Fold) -> None:
    constant = {
        part: Pairs(p.user, p.item, np.full_like(p.rating, 3.0)) for part, p in fold.parts.items()
    }
    same = bundle(fold, Linear(TASTE))
    with pytest.raises(PamelaError, match="nothing to compare on"):
        compare(same, same, replace(fold, parts=constant))


def test_predictions_that_are_not_finite_are_an_error(fold: Fold) -> None:
    good, broken = bundle(fold, Linear(TASTE)), bundle(fold, Linear(TASTE * np.nan))
    with pytest.raises(PamelaError, match="challenger predicts"):
        compare(good, broken, fold)
