"""What the language model learns from: planted utilities, good answers, questions."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from pamela.steer.language_model import planted
from pamela.steer.language_model.searches import VARIANTS, PlantedSearch, simulate
from pamela.steer.rewriters.protocol import read_answer
from pamela.steer.rewriters.subjects import keeps_world_subject
from pamela.synthetic.prompts import parse_prompt, sample_spec, write_prompt


@pytest.mark.parametrize("seed", range(5))
def test_a_look_is_what_a_prompt_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = sample_spec(rng)
    assert planted.dress(spec, planted.look_of(spec)) == spec
    read = parse_prompt(write_prompt(spec, rng))
    np.testing.assert_array_equal(planted.look_of(read), planted.look_of(spec))


def test_the_posterior_is_that_of_linear_regression_and_finds_the_weights() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=planted.N_OPTIONS)
    aspects = np.ones(len(planted.ASPECTS), bool)
    looks = planted.best_looks(
        rng.normal(size=(4000, planted.N_OPTIONS)), aspects, rng.integers(1, 13, 4000)
    )
    rewards = planted.design_matrix(looks)[:, :-1] @ weights + 2.0 + rng.normal(0, 0.1, 4000)
    known = planted.Posterior.of(looks, rewards, 0.1)
    np.testing.assert_allclose(known.mean[:-1], weights, atol=0.1)
    assert known.mean[-1] == pytest.approx(2.0, abs=0.1)
    said, prior = planted.design_matrix(looks), planted.prior_covariance()
    precision = np.linalg.inv(prior) + said.T @ said / 0.1**2
    np.testing.assert_allclose(known.factor @ known.factor.T, np.linalg.inv(precision), atol=1e-6)


def test_the_best_look_says_what_gains_most() -> None:
    weights = np.full((1, planted.N_OPTIONS), -1.0)
    weights[0, [2, 7]] = 2.0, 1.0  # an option of the first aspect, one of the second
    aspects = np.ones(len(planted.ASPECTS), bool)
    (both,) = planted.best_looks(weights, aspects, np.array([5]))
    assert both[:2].tolist() == [2, 7]
    assert set(both[2:].tolist()) == {planted.UNSAID}
    (one,) = planted.best_looks(weights, aspects, np.array([1]))
    assert one[:2].tolist() == [2, planted.UNSAID]


def test_thompson_sampling_reaches_most_of_what_can_be_reached() -> None:
    shares = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        search = PlantedSearch.start(rng)
        for _ in range(3):
            search.try_(*search.propose(VARIANTS, rng), rng)
        best = search.looks[int(np.argmax(search.rewards))]
        shares.append(search.utility(best[None])[0] / search.highest)
    assert np.mean(shares) > 0.6


def test_answers_are_new_alike_in_nothing_but_their_subject() -> None:
    examples = list(islice(simulate(3), 40))
    assert examples == list(islice(simulate(3), 40))
    for one in examples:
        question = one.messages[-1]["content"]
        original = question.splitlines()[0].removeprefix("Original prompt: ")
        prompts = read_answer(one.answer)
        assert question.endswith(f"Write {len(prompts)} new prompts.")
        assert all(keeps_world_subject(original, prompt) for prompt in prompts)
        looks = {planted.look_of(parse_prompt(prompt)).tobytes() for prompt in prompts}
        assert len(looks) == len(prompts)
        assert planted.look_of(parse_prompt(original)).tobytes() not in looks
