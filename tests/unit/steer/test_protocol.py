"""What language models are asked, and what they answer, read and checked."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.steer.rewriters.base import RewriteRequest, Trial
from pamela.steer.rewriters.protocol import (
    AnswerError,
    check,
    messages,
    read_answer,
    write_answer,
)
from pamela.steer.rewriters.subjects import keeps_world_subject, shares_a_word

BARN = "a red barn at dusk"
texts = st.text(max_size=30)


def request(*tried: str, n: int = 5) -> RewriteRequest:
    return RewriteRequest(BARN, tuple(Trial(one, 3.0) for one in tried), n, (0,))


def test_the_messages_are_the_format_that_models_are_trained_on():
    history = (Trial("a red barn,\nwarm light", 4.5), Trial(BARN, 0.31456), Trial("no", 0.0))
    system, user = messages(RewriteRequest(BARN, history, 20, (0,)), 20, 2)
    assert system["role"] == "system"
    assert '{"prompts": ["...", "..."]}' in system["content"]
    assert user["content"] == (
        "Original prompt: a red barn at dusk\n\n"
        "Best so far, as score: prompt\n"
        "4.5: a red barn, warm light\n"
        "0.315: a red barn at dusk\n\n"
        "Write 20 new prompts."
    )


def test_one_score_alone_is_not_told():
    assert "Best so far" not in messages(request(BARN), 5, 10)[1]["content"]


@given(st.lists(texts, min_size=1, max_size=6), texts, texts)
def test_what_is_written_is_read(prompts, before, after):
    text = f"{before.replace('{', '')}</think>```json\n{write_answer(prompts)}\n```{after}"
    assert read_answer(text) == [" ".join(one.split()) for one in prompts]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.integers(0, 200))
def test_an_answer_that_is_cut_gives_its_complete_prompts(prompts, cut):
    whole = json.dumps({"prompts": prompts})
    text = whole[: min(cut, len(whole))]
    try:
        found = read_answer(text)
    except AnswerError:
        assert text.count('"') < 4
        return
    assert found == [" ".join(one.split()) for one in prompts][: len(found)]


@given(st.text() | st.text('{}[]":,a prompts\\u0\n', max_size=60))
def test_any_other_text_is_told_and_nothing_is_made_up(text):
    with suppress(AnswerError):
        assert all(isinstance(one, str) for one in read_answer('{"prompts":' + text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("Sure!", "without"),
        ('{"prompts": "a barn"}', "without"),
        ('{"prompts": [1, 2]}', "without"),
        ('{"prompts": []}', "without any"),
        ('["a barn"]', "without"),
        ('{"prompts": ' + "[" * 9000, "JSON"),
        ("x" * 200_001, "200001 characters"),
    ],
)
def test_what_is_no_answer_says_why(text, why):
    with pytest.raises(AnswerError, match=why):
        read_answer(text)


@given(st.lists(st.sampled_from(["", BARN, "barn a", "Barn A.", "barn b", "cat", "barn\x07"])))
def test_accepted_variants_differ_from_the_context_and_each_other(prompts):
    accepted, faults = check(prompts, request("barn b"), ["barn c"], shares_a_word)
    assert len(accepted) + faults.total() == len(prompts)
    assert set(accepted) <= {"barn a", "Barn A."}
    assert len(accepted) <= 1


def test_the_subject_of_the_embedded_world_is_exact():
    said = "A baroque painting of a bowl of fruit, in warm tones."
    assert keeps_world_subject(said, "A baroque painting of a bowl of fruit, in cool tones.")
    assert not keeps_world_subject(said, "A cubist painting of a bowl of fruit, in cool tones.")
    assert not keeps_world_subject(said, "something else")


@pytest.mark.parametrize(
    ("variant", "kept"),
    [("THE BARN, from above", True), ("I cannot help", False), ("a photo of a cat at sea", False)],
)
def test_elsewhere_a_variant_shares_a_word(variant, kept):
    assert shares_a_word("a photo of a barn at dusk", variant) is kept


def test_a_prompt_without_words_of_a_subject_holds_for_all():
    assert shares_a_word("猫", "犬")
