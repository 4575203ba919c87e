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
from pamela.steer import arm_search, results
from pamela.steer.arms import CHAMPION, CHANCE, NONE, OTHER, POPULATION, SELF, TRUTH, all_arms
from pamela.steer.generators.base import Candidate
from pamela.steer.generators.embedded import EmbeddedGenerator
from pamela.steer.judging.judges import FIRST, SECOND, TIE, SimulatedJudge
from pamela.steer.outcomes.contact_sheet import pick_prompts, write_steering_sheet
from pamela.steer.outcomes.curves import best_by_round, mean_gains
from pamela.steer.outcomes.metrics import chosen_metrics, drawing_counts, win_metrics
from pamela.steer.people import Rewards
from pamela.steer.rewards.models import ModelReward, RenderFeatures
from pamela.steer.rewards.truth import TruthReward
from pamela.steer.rewriters.vocabulary import VocabularyRewriter
from pamela.steer.sampling import EvaluationCase
from pamela.steer.search import loop as search
from pamela.steer.search import scoring
from pamela.steer.search.store import MemoryStore
from pamela.steer.steer import (
    Tables,
    arms_of,
    judge_arms,
    outcome_line,
    skip_reason,
    unjudged_reason,
    write_pictures,
    write_skipped,
    write_steering_results,
)
from pamela.synthetic.prompts import sample_spec, write_prompt
from pamela.synthetic.raters.world import World
from tests.paths import ROOT

SIZE = 64
ARMS = [arm.name for arm in all_arms([], truth=True)]
PARAMS = load_params(ROOT / "params.yaml")


class Blank:
    """Draws nothing, quickly; counts what it was asked for."""

    fingerprint = "blank"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

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
    size = {"variants": variants, "rounds": rounds}
    params = PARAMS.model_copy(update={"steer": PARAMS.steer.model_copy(update=size)})
    rewards = {CHAMPION: champion, POPULATION: population, TRUTH: TruthReward(champion.judge)}
    tools = arm_search.Tools(generator or Blank(), VocabularyRewriter(), MemoryStore())
    return arm_search.search(params, cases, all_arms([], truth=True), rewards, tools)


def _table(found, judge):
    chosen = results.chosen_rows(found.plan, found.trials, judge)
    judgments = results.judgment_rows(chosen, found.plan.arms, judge, np.random.default_rng(0))
    return pl.concat([results.render_rows(found.plan, found.trials, judge), judgments])


def _metrics(table):
    judgments = table.filter(pl.col("kind") == "judgment")
    return win_metrics(judgments, ARMS, bootstrap=200, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def judge(world):
    return SimulatedJudge(world)


@pytest.fixture(scope="module")
def planted(cases, judge):
    """The search under the truth itself, and its table."""
    users = sorted({x.user for x in cases})
    found = _search(cases, Planted(judge, users), Planted(judge, users))
    return found, _table(found, judge)


def test_the_truth_as_a_reward_beats_every_other_arm(planted):
    _, table = planted
    metrics = _metrics(table)
    assert metrics["win_self_none_ci_low"] > 0.6
    assert metrics["win_self_other"] > 0.55
    assert metrics["win_self_population"] > 0.5
    assert metrics["win_self_truth"] == 0.5  # the same pictures
    assert metrics["elo_self"] > max(metrics[f"elo_{arm}"] for arm in (NONE, POPULATION, OTHER))
    assert sum(metrics[f"elo_{arm}"] for arm in ARMS) == pytest.approx(6000, abs=0.01)
    mine = table.filter((pl.col("kind") == "render") & (pl.col("arm") == SELF))
    best = mine.group_by(s.USER, s.PROMPT_ID, "round")
    by_round = best.agg(pl.col("truth").max()).group_by("round").agg(pl.col("truth").mean())
    curve = by_round.sort("round")["truth"].to_list()
    assert curve[-1] > curve[0] + 0.1


def test_a_reward_against_the_truth_loses_to_the_original(cases, judge):
    users = sorted({x.user for x in cases})
    contrary = Planted(judge, users, sign=-1.0)
    found = _search(cases, contrary, contrary, rounds=1)
    metrics = _metrics(_table(found, judge))
    assert metrics["win_self_none_ci_high"] < 0.5
    assert metrics["elo_none"] > metrics["elo_self"]


def test_a_reward_that_ignores_the_user_cannot_tell_self_from_other(cases, judge):
    users = sorted({x.user for x in cases})
    same = Planted(judge, users, personal=False)
    found = _search(cases, same, same, rounds=1)
    metrics = _metrics(_table(found, judge))
    for opponent in (OTHER, POPULATION):
        key = f"win_self_{opponent}"
        assert metrics[key] == metrics[f"{key}_ci_low"] == metrics[f"{key}_ci_high"] == 0.5


def test_the_table_holds_every_render_and_every_judgment(planted, cases):
    _, table = planted
    assert table.schema == results.STEERING_SCHEMA
    renders = table.filter(pl.col("kind") == "render")
    assert renders.height == len(cases) * (1 + 5 * (1 + 3 * 10))  # the same budget for each
    untouched = renders.filter(pl.col("arm") == NONE)
    assert untouched["reward"].null_count() == untouched.height
    assert renders["truth"].null_count() == 0
    assert renders.filter(pl.col("arm") != NONE)["reward"].null_count() == 0
    judgments = table.filter(pl.col("kind") == "judgment")
    assert judgments.height == len(cases) * 15 * 2
    per_pair = judgments.group_by(s.USER, s.PROMPT_ID, "arm", "opponent").agg("order")
    assert per_pair.height == len(cases) * 15
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
    assert _table(again, judge).equals(_table(found, judge))


def test_all_rewards_see_the_same_first_variants(planted):
    found, _ = planted
    steered = found.plan.assignment.filter(~pl.col("arm").is_in([NONE, CHANCE]))
    searches = steered.join(found.trials.filter(pl.col("round") == 1), on="search")
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
        fingerprint, personal, judge = "broken", True, None

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


def test_what_does_not_depend_on_the_user_is_drawn_once(cases, judge):
    """One search per prompt for the population; one set of pictures per prompt for chance."""
    users = sorted({x.user for x in cases})
    blank, pair = Blank(), cases[:2]
    found = _search(pair, Planted(judge, users), Planted(judge, users), generator=blank)
    plan = found.plan
    one = {arm: plan.assignment.filter(pl.col("arm") == arm)["search"] for arm in ARMS}
    assert one[POPULATION].n_unique() == 1
    assert one[OTHER].to_list() == one[SELF].to_list()[::-1]
    shown = [found.trials.filter(pl.col("search") == number)["prompt"] for number in one[CHANCE]]
    assert shown[0].equals(shown[1])
    counts = drawing_counts(plan, found.trials)
    assert counts == {f"drawings_{arm}": 0 if arm == NONE else 30 for arm in ARMS}
    searched = found.trials.join(
        plan.assignment.filter(pl.col("arm") != TRUTH), on="search", how="semi"
    )
    assert len(blank.asked) == searched.select("prompt", "seed").n_unique()  # the truth needs none


def test_the_best_so_far_by_round_never_falls_in_the_optimised_reward(planted):
    found, _ = planted
    best = best_by_round(found.plan, found.trials, variants=10)
    assert best.group_by(s.USER, s.PROMPT_ID, "arm").len()["len"].unique().to_list() == [4]
    gains = mean_gains(best, ["reward"])
    for _, rows in gains.group_by("arm"):
        curve = rows.sort("round")["reward"]
        assert curve[0] == 0.0
        assert curve.is_sorted()
    last = best.filter(pl.col("round") == 3).sort(s.USER, s.PROMPT_ID, "arm")
    chosen = results.chosen_rows(found.plan, found.trials, None)
    chosen = chosen.join(last.select(s.USER, s.PROMPT_ID, "arm"), on=[s.USER, s.PROMPT_ID, "arm"])
    assert chosen.sort(s.USER, s.PROMPT_ID, "arm")["prompt"].equals(last["prompt"])


def test_results_and_sheet_are_written_and_the_same_again(planted, judge, tmp_path):
    found, table = planted
    project, store = Project(tmp_path), MemoryStore()
    chosen = results.chosen_rows(found.plan, found.trials, judge)
    chosen = chosen.with_columns(faithful=pl.lit(1.0))
    tables = Tables(table, chosen, pl.DataFrame())
    one = write_steering_results(project, PARAMS, found, tables, store.counts)
    written = (tmp_path / "reports/steering.parquet").read_bytes()
    assert write_steering_results(project, PARAMS, found, tables, store.counts) == one
    assert (tmp_path / "reports/steering.parquet").read_bytes() == written
    names = [f"win_self_{a}" for a in ARMS if a != SELF] + [f"elo_{a}" for a in ARMS]
    for name in [*names, "win_other_none", "gain_personal_other", "gain_self_share_of_truth"]:
        assert one[f"{name}_ci_low"] <= one[name] <= one[f"{name}_ci_high"]
    assert one["gain_self_share_of_truth"] == pytest.approx(1.0)
    assert one["gain_self"] == pytest.approx(one["gain_generic"] + one["gain_personal_other"])
    assert one["n_judgments"] == 2 * one["n_comparisons"] == table.filter(kind="judgment").height
    path = tmp_path / "reports/steering/sheet.png"
    write_steering_sheet(chosen, EmbeddedGenerator(SIZE, 1), store, judge, path)
    assert path.stat().st_size > 50_000
    rows = pick_prompts(chosen)
    assert len(rows) == 8
    for row in rows:
        assert [shown["arm"] for shown in row] == [NONE, POPULATION, SELF, SELF]
        assert row[2][s.USER] != row[3][s.USER]
        assert len({shown[s.PROMPT_ID] for shown in row}) == 1
    ratings = judge.would_rate(chosen[s.USER].to_list(), results.candidates_of(chosen))
    assert 1.0 <= ratings.min() <= ratings.max() <= 5.0


def test_pictures_that_nobody_simulated_can_judge_are_drawn_and_scored_alone(
    cases, judge, tmp_path
):
    planted = Planted(judge, sorted({x.user for x in cases}))
    rewards = {CHAMPION: planted, POPULATION: planted}
    tools = arm_search.Tools(Blank(), VocabularyRewriter(), MemoryStore())
    size = {"variants": 3, "rounds": 2, "generator": "diffusers:folder"}
    params = PARAMS.model_copy(update={"steer": PARAMS.steer.model_copy(update=size)})
    found = arm_search.search(params, cases[:4], arms_of(rewards), rewards, tools)
    fitted = Rewards(rewards, planted, [], pl.DataFrame(), pl.DataFrame(), None)
    tables = judge_arms(params, found, fitted, rewards, None, tools)
    project = Project(tmp_path)
    metrics = write_steering_results(project, params, found, tables, tools.store.counts)
    write_pictures(project, tables, None, tools)
    assert metrics["n_judgments"] == 0
    assert metrics["drawings_self"] == metrics["drawings_chance"] == 6
    assert metrics["n_drawn"] == len(tools.generator.asked) < metrics["n_asked"]
    assert not any(key.startswith(("win_", "elo_", "gain_", "fidelity_")) for key in metrics)
    table = pl.read_parquet(tmp_path / "reports/steering.parquet")
    assert table["kind"].unique().to_list() == ["render"]
    assert table["truth"].null_count() == table.height
    names = {path.name for path in (tmp_path / "reports/steering").iterdir()}
    assert names == {"sheet.png", "gains_by_round.csv", "chosen.parquet"}
    assert "none judged" in outcome_line(metrics)


def test_fidelity_is_averaged_where_the_encoder_can_say(planted):
    found, _ = planted
    chosen = results.chosen_rows(found.plan, found.trials, None)
    kept = pl.when(pl.col("arm") == SELF).then(0.0).otherwise(1.0).alias("faithful")
    told = chosen_metrics(chosen.with_columns(kept), bootstrap=100, rng=np.random.default_rng(0))
    assert told["fidelity_self"] == 0.0
    assert told["fidelity_none"] == 1.0
    assert not any(key.startswith("gain_") for key in told)  # nobody knows the truth
    unknown = chosen.with_columns(faithful=pl.lit(None, pl.Float64))
    assert chosen_metrics(unknown, bootstrap=100, rng=np.random.default_rng(0)) == {}


def test_what_cannot_be_steered_is_skipped_aloud_with_empty_typed_outputs(tmp_path):
    params = load_params(ROOT / "params.yaml")
    own = params.model_copy(
        update={"ingest": params.ingest.model_copy(update={"datasets": ["oasis"]})}
    )
    precomputed = params.model_copy(
        update={"embed": params.embed.model_copy(update={"encoder": "precomputed"})}
    )
    assert skip_reason(params) is unjudged_reason(params) is None
    real = own.model_copy(
        update={"steer": own.steer.model_copy(update={"generator": "diffusers:folder"})}
    )
    assert skip_reason(real) is None
    assert "`pamela study serve` asks people" in (unjudged_reason(real) or "")
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
