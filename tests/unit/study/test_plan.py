"""Which pairs are shown: every two arms once, sides even, repeats turned round, seeded."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pamela.study.plan import Shown, compare_arms, rng_of, shuffled


def pictures(prompts: int, arms: int, same: bool = False) -> list[Shown]:
    return [
        Shown(f"q{i}", f"arm{j}", f"{i}-{0 if same and j < 2 else j}")
        for i in range(prompts)
        for j in range(arms)
    ]


@given(st.integers(1, 8), st.integers(2, 5), st.integers(0, 40), st.integers(0, 99))
def test_every_two_arms_meet_once_and_sides_are_even(prompts, arms, repeats, seed):
    pairs = compare_arms(pictures(prompts, arms), repeats, np.random.default_rng(seed))
    first = [p for p in pairs if p.repeat_of is None]
    met = Counter((p.left.prompt_id, *sorted((p.left.arm, p.right.arm))) for p in first)
    assert set(met.values()) == {1}
    assert len(met) == prompts * len(list(combinations(range(arms), 2)))
    for a, b in combinations([f"arm{j}" for j in range(arms)], 2):
        left = sum((p.left.arm, p.right.arm) == (a, b) for p in first)
        assert abs(2 * left - prompts) <= 1
    again = [p for p in pairs if p.repeat_of is not None]
    assert len(again) == min(repeats, len(first))
    assert all(
        (p.left, p.right) == (pairs[p.repeat_of].right, pairs[p.repeat_of].left) for p in again
    )
    assert pairs[: len(first)] == first  # repeats come after all others


def test_pairs_of_one_picture_are_kept_for_the_record_and_never_shown():
    pairs = compare_arms(pictures(3, 3, same=True), 4, np.random.default_rng(0))
    assert sum(p.same for p in pairs) == 3
    assert all(p.same for p in pairs[-3:])
    assert not any(p.same for p in pairs[:-3])


def test_orders_differ_by_person_and_are_the_same_again():
    ids = [f"i{n}" for n in range(20)]
    orders = {tuple(shuffled(ids, rng_of(0, f"p{n}", "ratings"))) for n in range(10)}
    assert len(orders) == 10
    assert shuffled(ids, rng_of(0, "p1", "ratings")) == shuffled(ids, rng_of(0, "p1", "ratings"))


def test_an_arm_that_a_prompt_lacks_is_left_out_there():
    shown = [*pictures(2, 3), Shown("q9", "arm0", "x"), Shown("q9", "arm2", "y")]
    pairs = compare_arms(shown, 0, np.random.default_rng(0))
    assert [{p.left.arm, p.right.arm} for p in pairs if p.left.prompt_id == "q9"] == [
        {"arm0", "arm2"}
    ]
