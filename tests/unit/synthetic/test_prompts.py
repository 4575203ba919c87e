"""Prompts: every mentioned thing is read back, and what nobody knows is said in one line."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import (
    LEVELS,
    Spec,
    level_of,
    parse_prompt,
    sample_spec,
    write_prompt,
)
from pamela.synthetic.published_facts import GROUP_FACTS, STYLE_FACTS


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    kind = draw(st.sampled_from((v.ART, v.PHOTO)))
    group = draw(st.sampled_from(list(v.GROUPS[kind])))
    style = draw(st.sampled_from(list(v.STYLES))) if kind == v.ART else None
    names = draw(st.lists(st.sampled_from(v.ATTRIBUTES), unique=True))
    return Spec(
        kind,
        group,
        draw(st.sampled_from(v.GROUPS[kind][group])),
        style,
        {name: draw(st.sampled_from(LEVELS)) for name in names},
        draw(st.sampled_from([None, *v.LIGHTINGS])),
    )


@settings(max_examples=300, deadline=None)
@given(specs(), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read_back(spec: Spec, seed: int) -> None:
    assert parse_prompt(write_prompt(spec, np.random.default_rng(seed))) == spec


@settings(max_examples=100, deadline=None)
@given(specs(), st.floats(-1, 1), st.integers(0, 2**32 - 1))
def test_any_value_is_said_at_its_level(spec: Spec, value: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    read = parse_prompt(write_prompt(replace(spec, attributes={"warmth": value}), rng))
    level = level_of(value)
    assert read.attributes == ({} if level is None else {"warmth": level})


def test_case_and_spaces_do_not_matter() -> None:
    spec = parse_prompt("  A  PHOTO of A Cat,   IN WARM tones and from a bird’s-eye view")
    assert spec.subject == "a cat"
    assert spec.attributes == {"warmth": v.MILD, "angle": v.STRONG}


def test_the_type_follows_words_and_otherwise_the_subject() -> None:
    assert parse_prompt("a mountain lake").type == v.PHOTO
    assert parse_prompt("a painting of a mountain lake").type == v.ART
    assert parse_prompt("a baroque painting of a cat").group == "animal"
    assert parse_prompt("a photo of tulips").type == v.PHOTO


def test_a_prompt_without_a_known_subject_is_one_clear_line() -> None:
    with pytest.raises(PamelaError, match="no known subject") as caught:
        parse_prompt("a quantum flux in warm tones")
    assert "\n" not in str(caught.value)


def test_articles_fit_the_word_that_follows() -> None:
    rng = np.random.default_rng(1)
    prompts = [write_prompt(sample_spec(rng), rng) for _ in range(3000)]
    assert any("in an early renaissance manner" in prompt for prompt in prompts)
    wrong = re.compile(r"\ba [aeiou]|\ban [^aeiou]", re.IGNORECASE)
    assert not [prompt for prompt in prompts if wrong.search(prompt)]


def test_every_phrase_has_one_meaning() -> None:
    phrases = [p for levels in v.WORDS.values() for options in levels.values() for p in options]
    phrases += [p for options in v.LIGHTINGS.values() for p in options]
    phrases += [*v.STYLES.values(), *v.SUBJECTS]
    assert len(phrases) == len(set(phrases))


def test_the_vocabulary_is_the_releases() -> None:
    assert set(STYLE_FACTS) == set(v.STYLES)
    assert len(v.STYLES) == 26
    assert {(kind, group) for kind, groups in v.GROUPS.items() for group in groups} == set(
        GROUP_FACTS
    )
    assert len({group for _, group in GROUP_FACTS}) == 19


def test_samples_have_only_what_shows_and_all_groups_occur() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_spec(rng) for _ in range(2000)]
    assert len({(spec.type, spec.group) for spec in drawn}) == len(GROUP_FACTS)
    for spec in drawn:
        assert set(spec.attributes) <= set(v.attributes_of(spec.group, spec.style))
        assert (spec.style is None) == (spec.type == v.PHOTO)
        if spec.group == v.ABSTRACT:
            assert spec.style in v.ABSTRACT_STYLES
            assert spec.lighting is None
