"""The loop on a small real world: planted rewards whose outcome is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.models.base import Prediction, RewardModel
from pamela.params import load_params
from pamela.steer import results
from pamela.steer.contact_sheet import write_steering_sheet
from pamela.steer.generators.base import Candidate
from pamela.steer.generators.embedded import EmbeddedGenerator
from pamela.steer.judging.judges import FIRST, SECOND, TIE, SimulatedJudge
from pamela.steer.results import ARMS, CHAMPION, NONE, OTHER, POPULATION, SELF
from pamela.steer.rewards.models import ModelReward, RenderFeatures
from pamela.steer.rewriters.vocabulary import VocabularyRewriter
from pamela.steer.sampling import EvaluationCase
from pamela.steer.search import loop as search
from pamela.steer.search import scoring
from pamela.steer.steer import (
    SteeringResult,
    judge_arms,
    skip_reason,
    write_skipped,
    write_steering_results,
)
from pamela.synthetic.prompts import sample_spec, write_prompt
from pamela.synthetic.raters.world import World
from tests.paths import ROOT

SIZE = 64


class Blank:
    """Draws nothing, quickly; counts what it was asked for."""

    fingerprint = "blank"

    def __init__(self):
        self.asked = []

    def generate(self, prompts, seeds):
        self.asked += list(zip(prompts, seeds, strict=True))
        return [np.zeros((1, 1, 3), np.uint8) for _ in prompts]


class Planted:
    """A reward that is the truth, times `sign`; in general: the mean over all users."""

    def __init__(self, judge, everybody, sign=1.0, personal=True):
        self.judge, self.everybody, self.sign, self.personal = judge, everybody, sign, personal
        self.fingerprint = f"planted:{sign}:{personal}"

    def score(self, users, candidates, images):
        if self.personal and users[0] is not None:
            return self.sign * self.judge.truth(users, candidates)
        n = len(candidates)
        everybody = [user for user in self.everybody for _ in range(n)]
        each = self.judge.truth(everybody, list(candidates) * len(self.everybody))
        return self.sign * each.reshape(-1, n).mean(axis=0)


@pytest.fixture(scope="module")
def world():
    size = {"seed": 3, "train_users": 16, "unseen_users": 4}
    return World.create(load_params(ROOT / "params.yaml").synthetic.model_copy(update=size))


@pytest.fixture(scope="module")
def cases(world):
    """Four pairs of users, each with four prompts of their own."""
    users = world.users[s.USER].to_list()[:8]
    rng = np.random.default_rng(5)
    found = []
    for i in range(16):
        start = Candidate(f"p{i}", write_prompt(sample_spec(rng), rng), int(rng.integers(2**31)))
        one, other = users[2 * (i // 4) : 2 * (i // 4) + 2]
        found += [EvaluationCase(one, other, start), EvaluationCase(other, one, start)]
    return found


def _search(cases, champion, population, *, rounds=3, variants=10, generator=None):
    searches = results.plan_searches(cases)
    trials = search.run_searches(
        searches,
        generator=generator or Blank(),
        rewriter=VocabularyRewriter(),
        rewards={CHAMPION: champion, POPULATION: population},
        settings=load_params(ROOT / "params.yaml").steer.model_copy(
            update={"variants": variants, "rounds": rounds}
        ),
        advance=lambda n: None,
    )
    return SteeringResult(results.assign(cases, searches), trials)


def _metrics(table):
    judgments = table.filter(pl.col("kind") == "judgment")
    return results.steering_metrics(judgments, bootstrap=200, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def judge(world):
    return SimulatedJudge(world)


@pytest.fixture(scope="module")
def planted(cases, judge):
    """The search under the truth itself, and its table."""
    users = sorted({x.user for x in cases})
    found = _search(cases, Planted(judge, users), Planted(judge, users))
    return found, judge_arms(found, judge, seed=0)


def test_the_truth_as_a_reward_beats_every_other_arm(planted):
    _, table = planted
    metrics = _metrics(table)
    assert metrics["win_self_none_ci_low"] > 0.6
    assert metrics["win_self_other"] > 0.55
    assert metrics["win_self_population"] > 0.5
    assert metrics["elo_self"] == max(metrics[f"elo_{arm}"] for arm in ARMS)
    assert sum(metrics[f"elo_{arm}"] for arm in ARMS) == pytest.approx(4000, abs=0.01)
    mine = table.filter((pl.col("kind") == "render") & (pl.col("arm") == SELF))
    best = mine.group_by(s.USER, s.PROMPT_ID, "round")
    by_round = best.agg(pl.col("truth").max()).group_by("round").agg(pl.col("truth").mean())
    curve = by_round.sort("round")["truth"].to_list()
    assert curve[-1] > curve[0] + 0.1


def test_a_reward_against_the_truth_loses_to_the_original(cases, judge):
    users = sorted({x.user for x in cases})
    contrary = Planted(judge, users, sign=-1.0)
    found = _search(cases, contrary, contrary, rounds=1)
    metrics = _metrics(judge_arms(found, judge, seed=0))
    assert metrics["win_self_none_ci_high"] < 0.5
    assert metrics["elo_none"] == max(metrics[f"elo_{arm}"] for arm in ARMS)


def test_a_reward_that_ignores_the_user_cannot_tell_self_from_other(cases, judge):
    users = sorted({x.user for x in cases})
    same = Planted(judge, users, personal=False)
    found = _search(cases, same, same, rounds=1)
    metrics = _metrics(judge_arms(found, judge, seed=0))
    for opponent in (OTHER, POPULATION):
        key = f"win_self_{opponent}"
        assert metrics[key] == metrics[f"{key}_ci_low"] == metrics[f"{key}_ci_high"] == 0.5


def test_the_table_holds_every_render_and_every_judgment(planted, cases):
    _, table = planted
    assert table.schema == results.STEERING_SCHEMA
    renders = table.filter(pl.col("kind") == "render")
    assert renders.height == len(cases) * (1 + 3 * (1 + 3 * 10))
    untouched = renders.filter(pl.col("arm") == NONE)
    assert untouched["reward"].null_count() == untouched.height
    assert renders["truth"].null_count() == 0
    assert renders.filter(pl.col("arm") != NONE)["reward"].null_count() == 0
    judgments = table.filter(pl.col("kind") == "judgment")
    assert judgments.height == len(cases) * 6 * 2
    per_pair = judgments.group_by(s.USER, s.PROMPT_ID, "arm", "opponent").agg("order")
    assert per_pair.height == len(cases) * 6
    assert all(sorted(orders) == [1, 2] for orders in per_pair["order"].to_list())
    fair = (
        (pl.col("winner") == pl.col("arm"))
        | (pl.col("winner") == pl.col("opponent"))
        | (pl.col("winner") == results.TIE)
    )
    assert judgments.filter(~fair).is_empty()


def test_the_arm_other_is_somebody_elses_self(planted, cases):
    _, table = planted
    one = cases[0]

    def prompts(user, arm):
        mine = (pl.col(s.USER) == user) & (pl.col(s.PROMPT_ID) == one.start.prompt_id)
        return table.filter(mine & (pl.col("arm") == arm))["prompt"].drop_nulls().to_list()

    assert prompts(one.user, OTHER) == prompts(one.other, SELF)
    assert prompts(one.user, OTHER) != prompts(one.user, SELF)


def test_winners_follow_the_recorded_truth(planted):
    """Joining the chosen renders to the judgments, the truly better picture wins more often."""
    _, table = planted
    keys = [s.USER, s.PROMPT_ID, "arm"]
    chosen = (
        table.filter(pl.col("kind") == "render")
        .sort("reward", "round", "variant", descending=[True, False, False], nulls_last=True)
        .group_by(keys, maintain_order=True)
        .first()
        .select(*keys, "truth")
    )
    rows = (
        table.filter((pl.col("kind") == "judgment") & (pl.col("winner") != results.TIE))
        .drop("truth")
        .join(chosen, on=keys)
        .join(chosen, left_on=[*keys[:2], "opponent"], right_on=keys, suffix="_opponent")
        .filter((pl.col("truth") - pl.col("truth_opponent")).abs() > 0.3)
    )
    right = (pl.col("truth") > pl.col("truth_opponent")) == (pl.col("winner") == pl.col("arm"))
    assert rows.height > 50
    assert rows.select(right.mean()).item() > 0.6


def test_a_picture_is_drawn_once_and_the_parts_do_not_matter(cases, judge, monkeypatch):
    few = cases[:6]
    users = sorted({x.user for x in few})
    reward, blank = Planted(judge, users), Blank()
    found = _search(few, reward, reward, generator=blank)
    assert len(blank.asked) == len(set(blank.asked)) < found.trials.height
    monkeypatch.setattr(scoring, "AT_ONCE", 25)
    again = _search(few, reward, reward)
    assert again.trials.equals(found.trials)
    assert judge_arms(again, judge, seed=0).equals(judge_arms(found, judge, seed=0))


def test_all_rewards_see_the_same_first_variants(planted):
    found, _ = planted
    searches = found.assignment.join(found.trials.filter(pl.col("round") == 1), on="search")
    prompts = searches.group_by(s.PROMPT_ID, "variant").agg(pl.col("prompt").n_unique())
    assert prompts["prompt"].max() == 1


def test_both_presentation_orders_cancel_a_position_bias(world, cases):
    """Two different pictures, everybody's verdict in both orders, under a strong bias."""
    judge = SimulatedJudge(world, position_bias=1.0)
    a = [x.start for x in cases] * 40
    b = [Candidate(c.prompt_id, c.prompt, c.seed + 1) for c in a]
    users = [x.user for x in cases] * 40
    rng = np.random.default_rng(0)
    ab, ba = judge.compare(users, a, b, rng), judge.compare(users, b, a, rng)
    assert (ab == FIRST).mean() - (ab == SECOND).mean() > 0.2
    assert (ba == FIRST).mean() - (ba == SECOND).mean() > 0.2
    fair = SimulatedJudge(world)
    unbiased = fair.compare(users * 2, a * 2, b * 2, rng)
    both = np.concatenate([ab, -ba])  # in favour of a
    assert both.mean() == pytest.approx(unbiased.mean(), abs=0.1)


def test_the_same_picture_twice_is_a_tie_and_small_differences_may_be(world, cases, judge):
    users, starts = [x.user for x in cases], [x.start for x in cases]
    rng = np.random.default_rng(0)
    assert (judge.compare(users, starts, starts, rng) == TIE).all()
    blind = SimulatedJudge(world, just_noticeable=100.0)
    others = [Candidate(c.prompt_id, c.prompt, c.seed + 1) for c in starts]
    assert (blind.compare(users, starts, others, rng) == TIE).all()


def test_of_equal_rewards_the_earliest_is_kept():
    rows = [
        (0, 0, 0, "start", 1, 0.1),
        (0, 2, 0, "later round", 1, 0.7),
        (0, 1, 1, "later variant", 1, 0.7),
        (0, 1, 0, "earliest", 1, 0.7),
        (1, 0, 0, "alone", 1, 0.2),
    ]
    trials = pl.DataFrame(rows, search.TRIALS_SCHEMA, orient="row")
    assert search.best_trials(trials)[s.PROMPT].to_list() == ["earliest", "alone"]


def test_a_reward_that_is_not_a_number_stops_the_search(cases):
    class Broken:
        fingerprint, personal = "broken", True

        def score(self, users, candidates, images):
            return np.full(len(users), np.nan)

    with pytest.raises(PamelaError, match="not a number"):
        _search(cases[:2], Broken(), Broken(), rounds=1)


class Brightness(RewardModel):
    """User 0 likes what is bright, user 1 what is dark."""

    name, personal = "brightness", True

    def _fit(self, fold, *, seed, progress=None):
        return pl.DataFrame()

    def predict(self, items: Items, people: People, pairs: Pairs, context=None, choices=None):
        assert items.frame[s.TYPE].null_count() == 0
        sign = np.where(pairs.user == 0, 1.0, -1.0)
        mean = (sign * items.image[pairs.item, 0]).astype(np.float32)
        return Prediction(mean, np.ones_like(mean))

    def knows(self, people):
        return np.ones(len(people), bool)

    def state(self):
        return {}, {}

    @classmethod
    def from_state(cls, config, arrays):
        return cls()


class MeanColour:
    """An encoder of one number, that counts its pictures."""

    name, fingerprint, context_length = "mean", "mean", 99

    def __init__(self):
        self.encoded = 0

    def encode_images(self, images, label=None):
        self.encoded += len(images)
        return np.array([[np.mean(image)] for image in images], np.float32)

    def encode_prompts(self, prompts):
        return np.zeros((len(prompts), 1), np.float32)

    def prompt_lengths(self, prompts):
        return [len(prompt.split()) for prompt in prompts]

    def unread(self, prompts):
        return [False for _ in prompts]


def test_a_model_scores_drawn_pictures_for_the_right_user_each_encoded_once(cases):
    people = People(pl.DataFrame({s.DATASET: ["synthetic"] * 2, s.USER: ["a", "b"]}))
    starts = list(dict.fromkeys(x.start for x in cases))
    images = EmbeddedGenerator(SIZE, 1).generate(
        [c.prompt for c in starts], [c.seed for c in starts]
    )
    assert images[0].shape == (SIZE, SIZE, 3)
    prompts = pl.DataFrame(
        {s.PROMPT_ID: [c.prompt_id for c in starts], s.TYPE: "Art", s.GROUP: "g", s.STYLE: None}
    )
    encoder = MeanColour()
    reward = ModelReward(Brightness(), people, prompts, RenderFeatures(encoder), "synthetic", "")
    n = len(starts)
    scores = reward.score(["a"] * n + ["b"] * n, starts * 2, images * 2)
    assert scores[:n] == pytest.approx([image.mean() for image in images], rel=1e-5)
    assert scores[n:] == pytest.approx(-scores[:n])
    assert reward.score(["a"], starts[:1], images[:1])[0] == pytest.approx(scores[0])
    assert encoder.encoded == n
    with pytest.raises(PamelaError, match="synthetic/nobody"):
        reward.score(["nobody"], starts[:1], images[:1])
    with pytest.raises(PamelaError, match="needs a user"):
        reward.score([None], starts[:1], images[:1])


def test_results_and_sheet_are_written_and_the_same_again(planted, judge, cases, tmp_path):
    found, table = planted
    project, params = Project(tmp_path), load_params(ROOT / "params.yaml")
    one = write_steering_results(project, params, table)
    written = (tmp_path / "reports/steering.parquet").read_bytes()
    assert write_steering_results(project, params, table) == one
    assert (tmp_path / "reports/steering.parquet").read_bytes() == written
    names = [f"win_self_{a}" for a in (NONE, POPULATION, OTHER)] + [f"elo_{a}" for a in ARMS]
    assert set(one) == {n + e for n in names for e in ("", "_ci_low", "_ci_high")} | {"n_judgments"}
    for name in names:
        assert one[f"{name}_ci_low"] <= one[name] <= one[f"{name}_ci_high"]
    path = tmp_path / "reports/steering/sheet.png"
    chosen = results.chosen_rows(found.assignment, found.trials)
    write_steering_sheet(chosen, EmbeddedGenerator(SIZE, 1), judge, path)
    sizes = [len(list(path.parent.iterdir())), path.stat().st_size]
    assert sizes[0] == 1
    assert sizes[1] > 50_000


def test_what_cannot_be_steered_is_skipped_aloud_with_empty_typed_outputs(tmp_path):
    params = load_params(ROOT / "params.yaml")
    own = params.model_copy(
        update={"ingest": params.ingest.model_copy(update={"datasets": ["oasis"]})}
    )
    precomputed = params.model_copy(
        update={"embed": params.embed.model_copy(update={"encoder": "precomputed"})}
    )
    assert skip_reason(params) is None
    assert "oasis has no generator's world" in (skip_reason(own) or "")
    assert "'precomputed'" in (skip_reason(precomputed) or "")
    for champion, steers in (("population", False), ("global_mean", False), ("mf", True)):
        train = params.train.model_copy(update={"champion": champion})
        reason = skip_reason(params.model_copy(update={"train": train}))
        assert (reason is None) == steers, champion
        assert steers or f"champion {champion!r} knows no single user" in str(reason)
    write_skipped(Project(tmp_path))
    table = pl.read_parquet(tmp_path / "reports/steering.parquet")
    assert table.is_empty()
    assert table.schema == results.STEERING_SCHEMA
    assert (tmp_path / "metrics/steering.json").read_text() == '{\n  "skipped": 1\n}\n'
    assert list((tmp_path / "reports/steering").iterdir()) == []
