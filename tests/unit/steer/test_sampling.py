"""Who is steered for: known test users, test prompts of their type, a partner of the same type."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, People
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import load_params
from pamela.steer.people import Rewards, prompt_images
from pamela.steer.sampling import sample_cases
from pamela.steer.steer import choose_cases
from tests.helpers.folders import write_split
from tests.paths import ROOT


def _tables(n_users=6, n_images=12):
    """Even users rate Art most, odd ones Photorealism; the last third of the images is test."""
    images = pl.DataFrame(
        {
            s.IMAGE: [f"i{i}" for i in range(n_images)],
            s.PROMPT_ID: [f"p{i // 2}" for i in range(n_images)],  # two images of each prompt
            s.PROMPT: [f"prompt {i // 2}" for i in range(n_images)],
            s.TYPE: ["Art" if i // 2 % 2 == 0 else "Photorealism" for i in range(n_images)],
        }
    )
    rows = []
    for u in range(n_users):
        mine = ["Art", "Photorealism"][u % 2]
        for i, kind in enumerate(images[s.TYPE]):
            test = i >= n_images * 2 // 3
            if kind == mine or i == 0 or i == 2:
                rows.append((f"u{u}", f"i{i}", s.TEST_SEEN if test else s.TRAIN))
    return pl.DataFrame(rows, schema=[s.USER, s.IMAGE, s.PART], orient="row"), images


def test_users_are_known_and_get_test_prompts_of_their_own_type_and_a_partner():
    ratings, images = _tables()
    known = [f"u{u}" for u in range(5)]
    cases = sample_cases(ratings, images, known, users=4, prompts=1, seed=0)
    assert len(cases) == 4
    kinds = dict(images.select(s.PROMPT_ID, s.TYPE).iter_rows())
    test = {"p4", "p5"}
    for case in cases:
        assert case.user in known
        assert case.other in known
        assert case.other != case.user
        assert int(case.other[1:]) % 2 == int(case.user[1:]) % 2
        assert case.start.prompt_id in test
        own = ["Art", "Photorealism"][int(case.user[1:]) % 2]
        assert kinds[case.start.prompt_id] == own
    by_prompt = {}
    for case in cases:
        by_prompt.setdefault(case.start.prompt_id, set()).add(case.start.seed)
    assert all(len(seeds) == 1 for seeds in by_prompt.values())


def test_the_draw_follows_the_seed_and_not_the_order_of_the_rows():
    ratings, images = _tables(n_users=20, n_images=48)
    known = [f"u{u}" for u in range(20)]
    first = sample_cases(ratings, images, known, users=6, prompts=2, seed=1)
    again = sample_cases(ratings.reverse(), images, known[::-1], users=6, prompts=2, seed=1)
    assert first == again
    assert first != sample_cases(ratings, images, known, users=6, prompts=2, seed=2)


def test_groups_have_prompts_of_their_own_while_there_are_enough():
    ratings, images = _tables(n_users=20, n_images=96)
    known = [f"u{u}" for u in range(20)]
    cases = sample_cases(ratings, images, known, users=8, prompts=2, seed=0)
    users_of = {}
    for x in cases:
        users_of.setdefault(x.start.prompt_id, set()).add(x.user)
        assert x.user in {y.other for y in cases if y.start == x.start}
    assert len(users_of) == 8
    assert all(len(users) == 2 for users in users_of.values())
    few = sample_cases(ratings, images, known, users=8, prompts=40, seed=0)
    assert len(few) == 8 * 8  # 16 test prompts, half of each type


def test_half_are_cold_start_users_with_partners_and_prompts_of_their_own():
    ratings, images = _tables(n_users=20, n_images=96)
    cold = [f"u{u}" for u in range(12, 20)]
    rated = pl.col(s.USER).is_in(cold) & (pl.col(s.PART) == s.TEST_SEEN)
    shown = ratings.filter(rated).group_by(s.USER, maintain_order=True).head(2)
    known = [f"u{u}" for u in range(12)]
    cases = sample_cases(
        ratings.filter(~pl.col(s.USER).is_in(cold) | rated), images, known,
        users=8, prompts=3, seed=0, shown=shown.select(s.USER, s.IMAGE), group=4,
    )  # fmt: skip
    kinds = {x.user: x.cold_start for x in cases}
    assert sum(kinds.values()) == 4
    assert all((user in cold) == is_cold for user, is_cold in kinds.items())
    assert all(kinds[x.other] == x.cold_start for x in cases)
    of = dict(images.select(s.IMAGE, s.PROMPT_ID).iter_rows())
    told = {}
    for user, image in shown.select(s.USER, s.IMAGE).iter_rows():
        told.setdefault(user, set()).add(of[image])
    assert all(x.start.prompt_id not in told.get(x.user, set()) for x in cases)
    sharing = {}
    for x in cases:
        sharing.setdefault(x.start.prompt_id, set()).add(x.cold_start)
    assert all(len(groups) == 1 for groups in sharing.values())


def test_too_few_cold_start_users_are_made_up_for_by_known_ones():
    ratings, images = _tables(n_users=12, n_images=48)
    shown = pl.DataFrame({s.USER: ["u0"], s.IMAGE: ["i0"]})  # one alone has no partner
    known = [f"u{u}" for u in range(1, 12)]
    cases = sample_cases(ratings, images, known, users=6, prompts=1, seed=0, shown=shown)
    assert len({x.user for x in cases}) == 6
    assert not any(x.cold_start for x in cases)


def test_pictures_without_prompt_ids_are_prompts_of_their_own(tmp_path):
    """The release names no prompt ids; other datasets' rows and other folds do not count."""
    ratings, images = _tables()
    world = {s.DATASET: pl.lit("synthetic"), s.FOLD: pl.lit(0)}
    rows = ratings.with_columns(**world)
    elsewhere = rows.with_columns(pl.lit("oasis").alias(s.DATASET))
    project = Project(tmp_path)
    write_split(project, pl.concat([elsewhere, rows]))
    nameless = images.with_columns(
        pl.lit("synthetic").alias(s.DATASET), pl.lit(None, pl.String).alias(s.PROMPT_ID)
    )
    params = load_params(ROOT / "params.yaml")
    none = np.zeros((nameless.height, 0), np.float32)
    fold = Fold(0, Items(nameless, none, none), People(pl.DataFrame()), {})
    known = [f"u{u}" for u in range(6)]
    told = nameless.select(s.IMAGE).clear().with_columns(pl.lit("").alias(s.USER))
    rewards = Rewards({}, None, known, prompt_images(fold, "synthetic"), told, None)
    cases = choose_cases(project, params, rewards)
    assert {x.start.prompt_id for x in cases} == {"i8", "i9", "i10", "i11"}


def test_an_odd_number_leaves_nobody_without_a_partner():
    ratings, images = _tables(n_users=20, n_images=48)
    known = [f"u{u}" for u in range(20)]
    for users in (2, 3, 5, 40):
        cases = sample_cases(ratings, images, known, users=users, prompts=1, seed=0)
        assert len({x.user for x in cases}) == min(users, 20)
        assert all(x.other != x.user for x in cases)
        assert {x.other for x in cases} == {x.user for x in cases}


def test_nobody_to_steer_for_is_an_error_that_says_so():
    ratings, images = _tables()
    with pytest.raises(PamelaError, match="no two users known to the champion"):
        sample_cases(ratings, images, ["u0", "u1"], users=4, prompts=1, seed=0)
