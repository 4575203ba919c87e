"""The embedded world's rewriter: what it varies, and what it keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.steer.rewriters.aspects import AspectWorth
from pamela.steer.rewriters.base import RewriteRequest, Trial
from pamela.steer.rewriters.vocabulary import VocabularyRewriter
from pamela.synthetic.prompts import parse_prompt, sample_spec, write_prompt


def _variants(rewriter, prompt, history, n, seed):
    return rewriter.rewrite([RewriteRequest(prompt, tuple(history), n, (seed,))])[0]


def _said(prompt):
    spec = parse_prompt(prompt)
    return frozenset([*spec.attributes.items(), ("lighting", spec.lighting)])


@pytest.mark.parametrize("seed", range(4))
def test_variants_keep_the_subject_and_the_style(seed):
    rng = np.random.default_rng(seed)
    prompt = write_prompt(sample_spec(rng), rng)
    base = parse_prompt(prompt)
    variants = _variants(VocabularyRewriter(), prompt, [Trial(prompt, 3.0)], 20, seed)
    assert len(variants) == len(set(variants)) == 20
    assert prompt not in variants
    for variant in variants:
        spec = parse_prompt(variant)
        kept = (spec.type, spec.group, spec.subject, spec.style)
        assert kept == (base.type, base.group, base.subject, base.style)
    assert len({_said(variant) for variant in (prompt, *variants)}) == 21


def test_moves_stay_near_the_best_prompt_so_far():
    rng = np.random.default_rng(0)
    base = sample_spec(rng)
    prompt = write_prompt(base, rng)
    rewriter = VocabularyRewriter(fresh=0.0, max_moves=1)
    best = _variants(VocabularyRewriter(fresh=1.0), prompt, [], 1, 0)[0]
    history = [Trial(best, 4.0), Trial(prompt, 3.0)]
    for variant in _variants(rewriter, prompt, history, 10, 1):
        changed = {name for name, _ in _said(variant) ^ _said(best)}
        assert len(changed) == 1


def test_what_was_rewarded_is_said_again_in_other_company():
    """A planted reward of warmth and golden hour: most later variants say both."""
    prompt = "A photograph of a mountain lake"

    def reward(variant):
        spec = parse_prompt(variant)
        return spec.attributes.get("warmth", 0.0) + (spec.lighting == "golden hour")

    rewriter = VocabularyRewriter()
    first = _variants(rewriter, prompt, [Trial(prompt, 0.0)], 20, 0)
    tried = [Trial(prompt, 0.0), *(Trial(variant, reward(variant)) for variant in first)]
    history = sorted(tried, key=lambda trial: -trial.reward)
    later = _variants(rewriter, prompt, history, 20, 1)
    assert len({_said(variant) for variant in [*first, *later]}) == 40
    assert np.mean([reward(v) for v in later]) > np.mean([reward(v) for v in first]) + 0.5
    said = [len(parse_prompt(variant).attributes) for variant in later]
    assert max(said) <= rewriter.most_said + rewriter.max_moves


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=13, max_size=13),
    st.integers(0, 3),
)
@settings(max_examples=25, deadline=None)
def test_any_rewards_give_a_look_of_known_words(rewards, seed):
    """Equal ones too: whose spread is nothing."""
    choices = {"warmth": (-0.9, -0.5, 0.5, 0.9), "lighting": ("soft", "neon")}
    looks = [{"warmth": 0.5}, {"lighting": "neon"}, {}] * 4 + [{}]
    worth = AspectWorth.fit(looks, np.array(rewards), choices)
    look = worth.best_look(2, 0.5, np.random.default_rng(seed))
    assert all(value in choices[name] for name, value in look.items())
    assert len(worth.best_look(1, 0.5, np.random.default_rng(seed))) <= 1
