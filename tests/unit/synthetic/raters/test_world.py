"""The simulated raters: the published facts at full size, their panels, opinions and ratings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import folder_sha256
from pamela.evaluation.few_shot import unseen_task
from pamela.reporting import synthetic_calibration
from pamela.synthetic import design
from pamela.synthetic import vocabulary as v
from pamela.synthetic.raters import noise_balancing, prior, unseen_panel
from pamela.synthetic.raters import utility as taste
from pamela.synthetic.raters.people import RATES_ART, RATES_PHOTO
from pamela.synthetic.raters.prior import MIDDLE
from pamela.synthetic.raters.world import World
from pamela.synthetic.rendering.render import scene_of
from tests.helpers.world_kit import MIDDLING, Made, fold_of, make
from tests.paths import ROOT
from tests.unit.synthetic.test_release import params

# --- at full size, without drawing ----------------------------------------------------------------
SEEDS = (7, 8, 9)
_made: dict[int, Made] = {}


@pytest.fixture(params=SEEDS)
def full(request: pytest.FixtureRequest) -> Made:
    """A world of the release's size, each seed made once."""
    seed = request.param
    if seed not in _made:
        _made[seed] = make(seed=seed)
    return _made[seed]


def test_the_release_is_reproduced_at_every_seed(full: Made) -> None:
    """Sizes, means, raters, scale use, reliability: the same facts that the report shows."""
    facts = synthetic_calibration.rating_facts(full.rated)
    missed = [f"{fact.name}: {fact.here:.3f}" for fact in facts if fact.wanted and not fact.holds]
    assert not missed
    assert len(facts) > 25
    assert full.rated.height == 69_904


def test_a_release_that_strays_is_found_out() -> None:
    if SEEDS[0] not in _made:
        _made[SEEDS[0]] = make(seed=SEEDS[0])
    rated = _made[SEEDS[0]].rated
    moved = rated.with_columns(
        pl.when((pl.col(s.STYLE) == "Baroque") & (pl.col(s.RATING) == 3))
        .then(4)
        .otherwise(s.RATING)
        .alias(s.RATING)
    ).filter(pl.col(s.PART) != s.VAL_SEEN)
    missed = {fact.name for fact in synthetic_calibration.rating_facts(moved) if not fact.holds}
    assert missed == {"ratings in val_seen", "largest deviation of a style's mean"}


def test_people_are_the_releases(full: Made) -> None:
    people = full.world.users
    assert people.height == 199
    assert people.get_column("age").min() >= 19  # type: ignore[operator]
    assert people.get_column("age").max() <= 60  # type: ignore[operator]
    assert people.get_column("age_binned").n_unique() == 4
    assert dict(full.world.people.group_by("block").len().iter_rows()) == {
        s.TRAIN: 156, s.VAL_UNSEEN: 12, s.TEST_UNSEEN: 31,
    }  # fmt: skip


def within_user(rated: pl.DataFrame, column: str) -> float:
    scores = (
        rated.group_by(s.USER)
        .agg(pl.corr(column, s.RATING, method="spearman").alias("r"), pl.len())
        .filter(pl.col("len") >= 10)
    )
    return float(scores.get_column("r").mean())  # type: ignore[arg-type]


def test_cold_start_users_are_as_predictable_as_those_one_knows(full: Made) -> None:
    """Else what knowing a person is worth would be hidden by the luck of a few dozen people."""
    shared = full.world.shared_utility([item.scene for item in full.items])
    rated = full.rated.with_columns(
        pl.Series("shared", shared[full.rated.get_column("item").to_numpy()])
    )
    seen, unseen = (rated.filter(pl.col(s.PART) == part) for part in (s.TEST_SEEN, s.TEST_UNSEEN))
    fold = fold_of(full)
    query = unseen_task(fold, query_size=25, seed=0).query
    users, images = (
        fold.people.frame[s.USER].gather(query.user),
        fold.items.frame[s.IMAGE].gather(query.item),
    )
    asked = unseen.join(pl.DataFrame({s.USER: users, s.IMAGE: images}), on=[s.USER, s.IMAGE])
    assert asked.height == 31 * 25
    for column in ("shared", "utility"):
        known = within_user(seen, column)
        assert within_user(unseen, column) == pytest.approx(known, abs=0.015), column
        assert within_user(asked, column) == pytest.approx(known, abs=0.03), column


def test_what_can_be_known_leaves_room_for_knowing_the_person(full: Made) -> None:
    """The shared opinion is above the paper's .45, the own opinion well above the shared."""
    shared = full.world.shared_utility([item.scene for item in full.items])
    test = full.rated.with_columns(
        pl.Series("shared", shared[full.rated.get_column("item").to_numpy()])
    ).filter(pl.col(s.PART) == s.TEST_SEEN)
    assert 0.50 < within_user(test, "shared") < 0.58
    assert 0.64 < within_user(test, "utility") < 0.74


def test_shared_taste_depends_on_what_is_seen(full: Made) -> None:
    scenes = [item.scene for item in full.items]
    appeal = full.world.appeal(scenes)
    cells = taste.cell_opinions(scenes, full.world.spread)
    assert appeal.std() > 0.45
    assert appeal.var() > 1.2 * cells.var()


def test_the_spread_that_keeps_the_means_is_the_worlds_own(full: Made) -> None:
    train = full.rated.filter(pl.col(s.PART) == s.TRAIN)
    raters = full.world.rows_of(train.get_column(s.USER).to_list())
    cells = taste.cell_opinions([item.scene for item in full.items], full.world.spread)
    said = (
        MIDDLE
        + raters.get_column("stretch").to_numpy()
        * (train.get_column("utility").to_numpy() - MIDDLE)
        + raters.get_column("bias").to_numpy()
    )
    about = said - cells[train.get_column("item").to_numpy()]
    noise = raters.get_column("noise_std").to_numpy()
    assert np.sqrt(about.var() + (noise**2).mean()) == pytest.approx(full.world.spread, abs=0.05)


def test_taste_is_only_of_what_an_onlooker_can_tell() -> None:
    """Attributes that pixels hardly tell carry less taste than the plain ones, shared and own."""
    own = dict(zip(taste.COLUMNS, prior.own_spreads(), strict=True))
    shared = dict(zip(taste.COLUMNS, np.abs(taste.SHARED_WEIGHTS), strict=True))
    plain = ("warmth", "saturation", "key", "contrast")
    for faint in ("palette", "clutter", "focus", "symmetry", "angle"):
        assert own[faint] < 0.35 * min(own[name] for name in plain), faint
        assert shared[faint] < 0.6 * min(shared[name] for name in plain), faint


def test_a_world_is_the_same_in_every_process_and_thread_count(tmp_path: Path) -> None:
    """People, panels, pictures and ratings, at half the release's size."""
    code = (
        "import hashlib, sys\n"
        "from tests.helpers.world_kit import MIDDLING, make\n"
        "made = make(**MIDDLING)\n"
        "made.world.save(__import__('pathlib').Path(sys.argv[1]))\n"
        "text = made.rated.write_csv() + made.images.write_csv()\n"
        "print(hashlib.sha256(text.encode()).hexdigest())\n"
    )
    found = set()
    for threads in ("1", "3"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / threads)],
            env={**os.environ, **dict.fromkeys(names, threads), "PYTHONPATH": str(ROOT),
                 "PYTHONHASHSEED": threads},
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        found.add((done.stdout, folder_sha256(tmp_path / threads)))
    assert len(found) == 1


# --- balance ------------------------------------------------------------------------------------
def asked_of(made: Made, part: str) -> tuple[noise_balancing.PairsToRate, pl.DataFrame]:
    rows = made.rated.filter(pl.col(s.PART) == part)
    scenes = [made.items[i].scene for i in rows.get_column("item")]
    users = rows.get_column(s.USER)
    return noise_balancing.PairsToRate(
        made.world.rows_of(users.to_list()),
        users.rank("dense").cast(pl.Int64).to_numpy(),
        rows.get_column("utility").to_numpy(),
        taste.cell_opinions(scenes, made.world.spread),
        made.world.shared_utility(scenes),
        np.zeros(rows.height, bool),
        scenes,
    ), rows


def test_without_luck_every_group_and_style_is_said_to_be_as_good_as_published() -> None:
    asked, rows = asked_of(make(**MIDDLING), s.TRAIN)
    noise = np.random.default_rng(0).normal(size=rows.height)
    bias, stretch, spread = (
        asked.raters.get_column(name).to_numpy() for name in ("bias", "stretch", "noise_std")
    )

    def worst(noise: np.ndarray, column: str) -> float:
        said = MIDDLE + stretch * (asked.opinion - MIDDLE) + bias + spread * noise
        luck = rows.select(column, luck=said - asked.usual).drop_nulls()
        return float(luck.group_by(column).mean().get_column("luck").abs().max())  # type: ignore[arg-type]

    balanced = noise_balancing.without_luck(asked, noise)
    for column in (s.STYLE, s.TYPE):
        assert worst(balanced, column) < 0.01
    assert worst(noise, s.STYLE) > 0.08
    assert np.corrcoef(balanced, noise)[0, 1] > 0.98
    assert balanced.std() == pytest.approx(1, abs=0.05)


def test_the_noise_of_a_few_people_favours_nothing_that_pictures_show() -> None:
    """A model that learned an attribute is neither helped nor hurt by luck, over all people."""
    asked, rows = asked_of(make(**MIDDLING), s.TEST_UNSEEN)
    noise = np.random.default_rng(0).normal(size=(40, rows.height))
    balanced = noise_balancing.without_tendency(asked, noise)
    spread = asked.raters.get_column("noise_std").to_numpy()
    columns = taste.design(asked.scenes)
    names = ("warmth", "saturation", "key", "contrast", "distance", "lighting:neon")

    def favour(noise: np.ndarray) -> np.ndarray:
        """Return the mean over people of the covariance of each draw with each attribute."""
        frame = rows.select(s.USER).with_columns(
            *(pl.Series(name, columns[:, taste.COLUMNS.index(name)]) for name in names),
            *(pl.Series(f"draw {i}", spread * draw) for i, draw in enumerate(noise)),
        )
        each = frame.group_by(s.USER).agg(
            pl.cov(name, f"draw {i}", ddof=0).alias(f"{name}/{i}")
            for name in names for i in range(len(noise))
        )  # fmt: skip
        return each.drop(s.USER).mean().to_numpy()

    assert np.abs(favour(balanced)).mean() < 0.35 * np.abs(favour(noise)).mean()
    assert balanced.std() == pytest.approx(1, abs=0.05)
    assert np.corrcoef(balanced.ravel(), noise.ravel())[0, 1] > 0.9
    few = asked.take(np.arange(rows.height) < 40)
    np.testing.assert_array_equal(noise_balancing.without_tendency(few, noise[:, :40]),
                                  noise[:, :40])  # fmt: skip


def test_agreement_is_the_mean_correlation_within_people() -> None:
    asked, rows = asked_of(make(**MIDDLING), s.TEST_SEEN)
    found = noise_balancing.mean_correlations(asked, rows.get_column(s.RATING).to_numpy()[None])[0]
    frame = rows.with_columns(pl.Series("shared", asked.shared))
    known = ("shared", "utility")
    wanted = [
        *(pl.corr(column, s.RATING) for column in known),
        *(pl.corr(column, s.RATING, method="spearman") for column in known),
    ]
    for value, correlation in zip(found, wanted, strict=True):
        each = frame.group_by(s.USER).agg(r=correlation).get_column("r")
        assert value == pytest.approx(each.fill_nan(0.0).mean())


# --- panels ---------------------------------------------------------------------------------------
def test_the_panel_most_like_the_others_is_chosen() -> None:
    rng = np.random.default_rng(0)
    trained = rng.normal(0.4, 0.1, (150, 2))
    strange = rng.normal(0.6, 0.1, (20, 10, 2))
    strange[13] = rng.normal(0.4, 0.1, (10, 2))
    assert unseen_panel.choose_panel(trained, strange.reshape(-1, 2), 10) == slice(130, 140)


def test_predictability_is_what_ratings_show() -> None:
    """The expected correlations against those of many simulated ratings."""
    rng = np.random.default_rng(2)
    world = World.create(params())
    scenes = unseen_panel.reference_scenes(rng, 300)
    shared = world.shared_utility(scenes)
    expected = unseen_panel.predictability(world.people, scenes, shared)
    users = world.users.get_column(s.USER).to_list()
    opinions = world.utility(users, scenes)
    art = np.array([scene.type == v.ART for scene in scenes])
    people = pl.concat([rows.head(2) for rows in world.people.partition_by(RATES_ART, RATES_PHOTO)])
    assert people.height >= 6
    for person in people.iter_rows(named=True):
        row = users.index(person[s.USER])
        weight = np.where(art, person[RATES_ART], person[RATES_PHOTO])
        asked = rng.choice(len(scenes), 12_000, p=weight / weight.sum())
        ratings = world.rate(opinions[row, asked][None], [person[s.USER]], rng)[0]
        for column, known in enumerate((shared[asked], opinions[row, asked])):
            assert np.corrcoef(known, ratings)[0, 1] == pytest.approx(
                expected[row, column], abs=0.03
            )


# --- opinions and ratings -------------------------------------------------------------------------
def test_ratings_use_the_scale_as_each_person_does() -> None:
    world = World.create(params())
    users = world.users.get_column(s.USER).to_list()
    flat = np.full((len(users), 4000), 3.0)
    ratings = world.rate(flat, users, np.random.default_rng(0))
    assert ratings.min() >= 1
    assert ratings.max() <= 5
    bias = world.people.get_column("bias").to_numpy()
    assert np.corrcoef(ratings.mean(axis=1), bias)[0, 1] > 0.95
    assert np.corrcoef(ratings.std(axis=1), world.noise_std(users))[0, 1] > 0.9


def test_own_taste_is_own_and_unknown_people_are_named() -> None:
    world = World.create(params())
    users = world.users.get_column(s.USER).to_list()
    scenes = [scene_of("A photo of a cat", seed) for seed in range(30)]
    utility = world.utility(users, scenes)
    assert utility.shape == (len(users), 30)
    np.testing.assert_allclose(world.utility(users[3:5], scenes), utility[3:5])
    assert (utility - world.shared_utility(scenes)).std(axis=0).mean() > 0.2
    with pytest.raises(PamelaError, match="'nobody'"):
        world.utility(["nobody"], scenes)


@pytest.mark.parametrize("rating", [1.2, 1.89, 3.16, 4.7])
def test_opinion_and_rating_are_inverse(rating: float) -> None:
    opinion = taste.opinion_of(np.array([rating]), 1.2)
    assert taste.rating_of(opinion, 1.2)[0] == pytest.approx(rating, abs=1e-9)
    noisy = opinion + 1.2 * np.random.default_rng(0).normal(size=200_000)
    assert np.clip(np.rint(noisy), 1, 5).mean() == pytest.approx(rating, abs=0.02)


def test_apportioning_keeps_the_total() -> None:
    parts = design.apportion(17, np.array([5.0, 3.0, 0.5]))
    assert parts.sum() == 17
    assert (np.diff(parts) < 0).all()
