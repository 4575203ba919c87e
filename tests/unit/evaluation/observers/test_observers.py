"""The ideal observers: exact inference, from the right rows, with nothing that was drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.linalg import block_diag

from pamela.core import schema as s
from pamela.core.dataset import Pairs, People
from pamela.core.errors import PamelaError
from pamela.evaluation import observers as o
from pamela.evaluation import predictions as p
from pamela.evaluation.comparisons import ideal_of
from pamela.evaluation.evaluate import evaluate_predictions
from pamela.evaluation.metrics import schema as col
from pamela.evaluation.metrics.definitions import mean_srocc
from pamela.evaluation.metrics.normalised_gain import OF_IDEAL
from pamela.evaluation.observers.basis import reconstructed_basis, true_basis
from pamela.evaluation.observers.bayesian_linear import Deviations, RatedRows, infer_shared, predict
from pamela.params import EvaluateParams
from pamela.synthetic.raters import utility
from pamela.synthetic.raters.new_users import CONTEXT, QUERY, draw_newcomers
from pamela.synthetic.raters.world import load_prior
from tests.helpers.import_graph import reached_modules
from tests.helpers.world_kit import MIDDLING, Made, fold_of, make

EVALUATE = EvaluateParams(
    margins=[0.0], shots=[0, 5, 20], min_pairs=5, query_size=25, bootstrap=100, seed=0, external={}
)


@pytest.fixture(scope="module")
def made() -> Made:
    return make(**MIDDLING)


@pytest.fixture(scope="module")
def noisy(made: Made) -> np.ndarray:
    """Features that hold the design under noise."""
    design = utility.design([item.scene for item in made.items])
    return design + 0.5 * np.random.default_rng(0).normal(size=design.shape)


@pytest.fixture(scope="module")
def asked(made: Made, noisy: np.ndarray) -> dict[str, o.Observer]:
    return o.create_observers(fold_of(made, noisy), made.images, made.world.prior)


def test_no_stage_that_learns_can_reach_an_observer_or_a_rater() -> None:
    """What evaluate and later know, the stages before do not even import."""
    secret = ("pamela.evaluation.observers", "pamela.synthetic.raters")
    for stage in ("validate", "split", "embed", "train"):
        reached = reached_modules(f"flows.{stage}")
        assert reached
        assert not [name for name in reached if name.startswith(secret)], stage
    assert set(secret) <= reached_modules("flows.evaluate")


# --- the mathematics ------------------------------------------------------------------------------
def problem(rng: np.random.Generator, users: int = 4, d: int = 3):
    root = rng.normal(size=(d, d))
    prior = Deviations(rng.normal(size=(users, d)), root @ root.T / d + 0.1 * np.eye(d), 0.7)
    user = np.repeat(np.arange(users), [3, 7, 1, 9][:users])
    basis = rng.normal(size=(len(user), d))
    return prior, RatedRows(user, basis, rng.normal(size=len(user))), rng.random(d) + 0.2


def test_inference_is_that_of_the_joint_normal_distribution() -> None:
    """Against the textbook's conditional normal over all coefficients at once."""
    rng = np.random.default_rng(0)
    prior, rows, variance = problem(rng)
    users, d = prior.mean.shape
    shared = infer_shared(rows, variance, prior)
    asked = RatedRows(np.array([0, 1, 2, 3, 3]), rng.normal(size=(5, d)), np.zeros(5))
    mean, std = predict(asked, rows, shared, prior, personal=True)

    def wide(r: RatedRows) -> np.ndarray:  # coefficients: shared, then everybody's deviation
        out = np.zeros((len(r.user), d * (users + 1)))
        for i, user in enumerate(r.user):
            out[i, :d] = r.basis[i]
            out[i, d * (user + 1) : d * (user + 2)] = r.basis[i]
        return out

    centre = np.concatenate([np.zeros(d), prior.mean.ravel()])
    spread = block_diag(np.diag(variance), *[prior.covariance] * users)
    x, new = wide(rows), wide(asked)
    gain = spread @ x.T @ np.linalg.inv(x @ spread @ x.T + prior.noise * np.eye(len(x)))
    expected = new @ (centre + gain @ (rows.rating - x @ centre))
    left = spread - gain @ x @ spread
    np.testing.assert_allclose(mean, expected, atol=1e-10)
    np.testing.assert_allclose(std**2, np.diag(new @ left @ new.T) + prior.noise, atol=1e-10)


def test_without_ratings_a_person_is_what_the_prior_says() -> None:
    prior, rows, variance = problem(np.random.default_rng(1))
    shared = infer_shared(rows, variance, prior)
    asked = RatedRows(np.array([2]), np.eye(3)[:1], np.zeros(1))
    nothing = RatedRows(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0))
    mean, _ = predict(asked, nothing, shared, prior, personal=True)
    assert mean[0] == pytest.approx(shared.mean[0] + prior.mean[2, 0])
    everybody, _ = predict(asked, rows, shared, prior, personal=False)
    assert everybody[0] == pytest.approx(shared.mean[0])


# --- what they see --------------------------------------------------------------------------------
def test_the_true_basis_is_the_worlds(made: Made) -> None:
    fold = fold_of(made)
    basis = true_basis(fold.items, made.images.sample(fraction=1.0, shuffle=True, seed=1))
    np.testing.assert_allclose(
        basis.values[:, 1:], utility.design([item.scene for item in made.items])
    )
    assert basis.known.all()
    assert (basis.values[:, 0] == 1).all()
    fewer = true_basis(fold.items, made.images[5:])
    assert fewer.known.sum() == len(fold.items) - 5
    assert not fewer.known[:5].any()


def test_the_reconstruction_is_taught_by_training_pictures_alone(
    made: Made, noisy: np.ndarray
) -> None:
    fold = fold_of(made, noisy)
    in_train = np.isin(np.arange(len(fold.items)), fold[s.TRAIN].item)
    truth = true_basis(fold.items, made.images)
    found = reconstructed_basis(fold.items, truth, in_train)
    wrong = truth.values.copy()
    wrong[~in_train] = 77.0
    visible = [
        i + 1 for i, name in enumerate(utility.COLUMNS) if ":" not in name or "light" in name
    ]
    again = reconstructed_basis(fold.items, replace(truth, values=wrong), in_train)
    kind = made.images[s.TYPE].to_numpy()
    for column in visible[:11]:
        shown = truth.values[:, column] != 0
        np.testing.assert_allclose(found.values[shown, column], again.values[shown, column])
        test = shown & ~in_train
        r = np.corrcoef(found.values[test, column], truth.values[test, column])[0, 1]
        assert 0.6 < r < 0.98  # of signal .3 to .5 under noise of .5
    metadata = [i for i in range(1, truth.values.shape[1]) if i not in visible]
    np.testing.assert_array_equal(found.values[:, metadata], truth.values[:, metadata])
    assert len(set(kind)) == 2


def test_noise_teaches_nothing_and_is_known_to_teach_nothing(made: Made) -> None:
    """With half as many noise features as pictures an in-sample fit would look good."""
    rng = np.random.default_rng(3)
    fold = fold_of(made, rng.normal(size=(len(made.items), 400)))
    in_train = np.isin(np.arange(len(fold.items)), fold[s.TRAIN].item)
    truth = true_basis(fold.items, made.images)
    found = reconstructed_basis(fold.items, truth, in_train)
    warmth = utility.COLUMNS.index("warmth") + 1
    assert found.residual[warmth, warmth] > 0.85 * truth.values[in_train, warmth].var()
    assert np.corrcoef(found.values[in_train, warmth], truth.values[in_train, warmth])[0, 1] < 0.2


# --- what they say --------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def predicted(made: Made, asked: dict[str, o.Observer], noisy: np.ndarray) -> pl.DataFrame:
    fold = fold_of(made, noisy)
    frames = [p.predict_model(one, name, fold, EVALUATE) for name, one in asked.items()]
    return pl.concat(frames)


def srocc(rows: pl.DataFrame) -> float:
    return mean_srocc(rows[s.USER].to_numpy(), rows[s.RATING], rows["mean"])


def test_each_knows_more_than_the_one_before(predicted: pl.DataFrame) -> None:
    seen = predicted.filter(population=col.SEEN)
    ideal, feature, everybody = (
        srocc(seen.filter(model=name))
        for name in (o.IDEAL_OBSERVER, o.FEATURE_OBSERVER, o.IDEAL_POPULATION)
    )
    assert ideal > feature + 0.03
    assert ideal > everybody + 0.05


def test_all_are_asked_the_same_rows(predicted: pl.DataFrame) -> None:
    keys = [col.POPULATION, col.SHOTS, s.USER, s.IMAGE, s.RATING]
    rows = [frame.select(keys).rows() for _, frame in predicted.group_by(col.MODEL)]
    assert rows[0] == rows[1] == rows[2]
    assert predicted["std"].is_not_null().all()


def test_with_the_attributes_themselves_as_features_nothing_is_lost(made: Made) -> None:
    fold = fold_of(made)
    same = o.create_observers(fold, made.images, made.world.prior)
    ideal, feature = (
        same[name].predict(fold.items, fold.people, fold[s.TEST_SEEN])
        for name in (o.IDEAL_OBSERVER, o.FEATURE_OBSERVER)
    )
    assert np.abs(ideal.mean - feature.mean).mean() < 0.01


def test_intervals_hold_what_they_promise(predicted: pl.DataFrame) -> None:
    held = predicted.with_columns(
        held=(pl.col(s.RATING) - pl.col("mean")).abs() <= 1.645 * pl.col("std")
    )
    for name, rows in held.filter(population=col.SEEN).group_by(col.MODEL):
        assert 0.87 < rows["held"].mean() < 0.97, name  # ratings are whole numbers from 1 to 5


def test_only_rows_and_priors_are_used(made: Made, noisy: np.ndarray, tmp_path) -> None:
    """Other people with other weights behind the same rows change nothing: they are not read."""
    made.world.save(tmp_path)
    (tmp_path / "users.parquet").unlink()
    prior = load_prior(tmp_path)
    fold = fold_of(made, noisy)
    few = fold[s.TRAIN].take(np.arange(0, len(fold[s.TRAIN]), 20))
    fewer = {**fold.parts, s.TRAIN: few}
    some = o.create_observers(replace(fold, parts=fewer), made.images, prior)
    whole = o.create_observers(fold, made.images, made.world.prior)
    test = fold[s.TEST_SEEN]
    for name in some:
        less, more = (
            mean_srocc(test.user, test.rating, a[name].predict(fold.items, fold.people, test).mean)
            for a in (some, whole)
        )
        assert more > less, name


def test_pictures_that_are_not_the_worlds_teach_nothing(made: Made, noisy: np.ndarray) -> None:
    fold = fold_of(made, noisy)
    train = fold[s.TRAIN]
    strange = np.unique(train.item)[:20]
    fewer = made.images.filter(~pl.col(s.IMAGE).is_in(fold.items.frame[s.IMAGE].gather(strange)))
    found = o.create_observers(fold, fewer, made.world.prior)
    for one in found.values():
        assert not np.isin(one.trained.item, strange).any()


# --- cold-start users -----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def newcomers(made: Made):
    return draw_newcomers(
        made.world,
        300,
        context_images=made.images.filter(side="train"),
        query_images=made.images.filter(side="test"),
        context_size=100,
        query_size=40,
        seed=5,
    )


def pairs_of(made: Made, people: pl.DataFrame, rows: pl.DataFrame) -> Pairs:
    user = {name: i for i, name in enumerate(people[s.USER])}
    return Pairs(
        np.array([user[name] for name in rows[s.USER]], np.int64),
        np.array([int(name) - 1 for name in rows[s.IMAGE]], np.int64),
        rows[s.RATING].to_numpy().astype(np.float32),
    )


def test_cold_start_users_become_known_by_their_ratings(made, asked, newcomers) -> None:
    people = People(newcomers.people.with_columns(pl.lit("synthetic").alias(s.DATASET)))
    rows = newcomers.ratings
    query = pairs_of(made, people.frame, rows.filter(part=QUERY))
    items = fold_of(made).items
    scores = {}
    for k in (0, 10, 100):
        shown = rows.filter((pl.col(s.PART) == CONTEXT) & (pl.col("place") < k))
        context = pairs_of(made, people.frame, shown)
        for name, one in asked.items():
            answer = one.predict(items, people, query, context)
            scores[name, k] = mean_srocc(query.user, query.rating, answer.mean)
    for name in (o.IDEAL_OBSERVER, o.FEATURE_OBSERVER):
        assert scores[name, 0] < scores[name, 10] < scores[name, 100]
    assert scores[o.IDEAL_OBSERVER, 100] > scores[o.IDEAL_POPULATION, 100] + 0.05
    assert scores[o.IDEAL_POPULATION, 0] == scores[o.IDEAL_POPULATION, 100]


def test_newcomers_are_people_of_this_world(made, newcomers) -> None:
    rows = newcomers.ratings
    assert newcomers.people[s.USER].n_unique() == 300
    assert not set(newcomers.people[s.USER]) & set(made.world.people[s.USER])
    assert rows.group_by(s.USER, s.PART).len()["len"].unique().sort().to_list() == [40, 100]
    assert not rows.select(s.USER, s.IMAGE).is_duplicated().any()
    sides = rows.join(made.images.select(s.IMAGE, "side", s.TYPE), on=s.IMAGE)
    assert set(sides.select(s.PART, "side").unique().iter_rows()) == {
        (CONTEXT, "train"), (QUERY, "test"),
    }  # fmt: skip
    alone = (sides.group_by(s.USER).agg(pl.col(s.TYPE).n_unique())[s.TYPE] == 1).mean()
    assert alone == pytest.approx(120 / 146, abs=0.06)  # of all but those who rate little
    assert rows[s.RATING].is_in([1, 2, 3, 4, 5]).all()
    assert pl.DataFrame(rows).select(pl.corr("utility", s.RATING)).item() > 0.5
    own = made.rated.filter(pl.col(s.PART) == s.TRAIN)
    assert rows["utility"].std() == pytest.approx(own["utility"].std(), rel=0.15)


def test_newcomers_are_the_same_again_and_too_few_pictures_are_named(made, newcomers) -> None:
    size = {"context_images": made.images.filter(side="train"),
            "query_images": made.images.filter(side="test"), "context_size": 100}  # fmt: skip
    again = draw_newcomers(made.world, 300, **size, query_size=40, seed=5)
    assert again.ratings.equals(newcomers.ratings)
    other = draw_newcomers(made.world, 300, **size, query_size=40, seed=6)
    assert not other.ratings.equals(newcomers.ratings)
    with pytest.raises(PamelaError, match="900 query ratings each are asked for, but there are"):
        draw_newcomers(made.world, 3, **size, query_size=900, seed=5)


# --- normalised gain over the ideal observer ------------------------------------------------------
def test_the_share_of_the_ideal_is_what_its_definition_says(predicted, made) -> None:
    """`population` and `paper` are played by mixtures of the observers."""
    keys = [s.DATASET, col.POPULATION, col.SHOTS, s.USER, s.IMAGE]
    ideal = predicted.filter(model=o.IDEAL_OBSERVER)
    everybody = predicted.filter(model=o.IDEAL_POPULATION)
    both = ideal.join(everybody.select(*keys, other="mean"), on=keys, nulls_equal=True)
    paper = both.with_columns(
        mean=0.5 * pl.col("mean") + 0.5 * pl.col("other"), model=pl.lit("paper")
    ).select(predicted.columns)
    rows = pl.concat(
        [predicted, everybody.with_columns(model=pl.lit("population")), paper],
        how="vertical_relaxed",
    )
    images = made.images.select(
        pl.lit("synthetic").alias(s.DATASET), s.IMAGE, pl.col(s.IMAGE).alias(s.PROMPT_ID)
    )
    numbers, gaps = evaluate_predictions(rows, images, EVALUATE)
    shares = numbers.filter(metric=OF_IDEAL + "srocc")
    assert set(shares["model"]) == {"population", "paper", o.FEATURE_OBSERVER}
    seen = numbers.filter(population=col.SEEN, metric="srocc", aggregation="user")
    value = dict(seen.select("model", "value").iter_rows())
    expected = (value["paper"] - value["population"]) / (
        value[o.IDEAL_OBSERVER] - value[o.IDEAL_POPULATION]
    )
    row = shares.filter(model="paper", population=col.SEEN).row(0, named=True)
    assert row["value"] == pytest.approx(expected)
    assert 0 < row["ci_low"] < expected < row["ci_high"] < 1.5
    nothing = shares.filter(model="population", population=col.SEEN).row(0, named=True)
    assert nothing["value"] == nothing["ci_low"] == 0
    lost = gaps.filter(model=o.FEATURE_OBSERVER, baseline=o.IDEAL_OBSERVER, population=col.SEEN,
                       metric="srocc")["value"].item()  # fmt: skip
    assert lost == pytest.approx(value[o.FEATURE_OBSERVER] - value[o.IDEAL_OBSERVER])


def test_there_is_no_share_without_the_ideal_or_the_population() -> None:
    assert ideal_of(["population", "paper"]) is None
    assert ideal_of([o.IDEAL_OBSERVER, o.IDEAL_POPULATION]) is None
