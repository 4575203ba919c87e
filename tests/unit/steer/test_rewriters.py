"""The embedded world's rewriter: what it varies, and what it keeps."""

from __future__ import annotations

import numpy as np
import pytest

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
    rewriter = VocabularyRewriter(explore=0.0, max_moves=1)
    best = _variants(VocabularyRewriter(explore=1.0), prompt, [], 1, 0)[0]
    history = [Trial(best, 4.0), Trial(prompt, 3.0)]
    for variant in _variants(rewriter, prompt, history, 10, 1):
        changed = {name for name, _ in _said(variant) ^ _said(best)}
        assert len(changed) == 1
