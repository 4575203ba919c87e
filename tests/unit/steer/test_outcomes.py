"""What follows from steering: comparisons of two orders, fidelity, likeness of ends."""

from __future__ import annotations

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.steer.generators.base import Candidate
from pamela.steer.outcomes.comparisons import compare, count_wins
from pamela.steer.outcomes.convergence import convergence_metrics
from pamela.steer.outcomes.fidelity import subject_kept
from pamela.steer.results import STEERING_SCHEMA


def _judgments(*orders):
    """One user's judgments of self and none on prompts p0, p1, ...: a pair of winners each."""
    rows = [
        {"kind": "judgment", s.USER: "a", s.PROMPT_ID: f"p{i}", "arm": "none", "opponent": "self",
         "order": order, "winner": winner, "cold_start": False}
        for i, pair in enumerate(orders)
        for order, winner in enumerate(pair, start=1)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides=STEERING_SCHEMA)


def test_two_orders_that_disagree_are_a_tie():
    judgments = _judgments(
        ("self", "self"), ("none", "none"), ("self", "none"), ("tie", "tie"), ("self", "tie")
    )
    scores = compare(judgments)
    assert scores["score"].to_list() == [0.0, 1.0, 0.5, 0.5, 0.5]  # of `none`
    wins = count_wins(scores, ["none", "self"])
    assert wins.wins.sum(axis=0).tolist() == [[0.0, 2.5], [2.5, 0.0]]
    assert wins.wins.sum() == 5  # one each: two judgments are one comparison


def test_the_names_of_the_arms_change_nothing():
    judgments = _judgments(("self", "self"), ("none", "tie"), ("self", "self"))
    renamed = judgments.with_columns(
        pl.col("arm", "opponent", "winner").replace({"none": "z", "self": "a"})
    )
    one = count_wins(compare(judgments), ["none", "self"]).wins
    other = count_wins(compare(renamed), ["a", "z"]).wins
    assert np.array_equal(one, other[:, ::-1, ::-1])


class Words:
    """An encoder whose features say which subject is named, in a picture as in a prompt."""

    image_dim = prompt_dim = 4
    subjects = ("a cat", "a dog", "a bird on a branch", "a horse")

    def encode_prompts(self, prompts):
        return np.array([[float(one in text.lower()) for one in self.subjects] for text in prompts])


def test_a_picture_keeps_its_subject_if_it_is_nearest_to_it():
    asked = [Candidate("p", "A photo of a cat, in warm tones", 1)] * 2
    pictures = np.eye(4, dtype=np.float32)[[0, 3]]  # a cat, and a horse
    kept = subject_kept(asked, pictures, Words())
    assert kept.tolist() == [True, False]


def test_without_a_shared_space_nothing_is_said_of_subjects():
    encoder = Words()
    encoder.prompt_dim = 3
    assert subject_kept([], np.zeros((0, 4), np.float32), encoder) is None


def test_runs_that_end_alike_are_more_alike_than_others():
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"p{p}", run) for u in range(6) for p in range(2) for run in range(2)]
    ends = pl.DataFrame(rows, schema=[s.USER, s.PROMPT_ID, "run"], orient="row")
    own = {key: rng.normal(size=8) for key in {row[:2] for row in rows}}
    features = np.stack([own[row[:2]] for row in rows]) + 0.1 * rng.normal(size=(24, 8))
    found = convergence_metrics(
        ends, features, rng.normal(size=(24, 8)), bootstrap=100, rng=np.random.default_rng(1)
    )
    assert found["likeness_within_person"] > 0.9
    assert abs(found["likeness_between_people"]) < 0.4
    assert abs(found["likeness_by_chance"]) < 0.4
    for name in ("within_person", "between_people", "by_chance"):
        key = f"likeness_{name}"
        assert found[f"{key}_ci_low"] <= found[key] <= found[f"{key}_ci_high"]
