"""What changed from one prompt to another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pamela.steer.wording import changes
from pamela.synthetic.prompts import Spec, write_prompt


def said(before, after, embedded=True):
    return [str(change) for change in changes(before, after, embedded=embedded)]


def test_prompts_of_the_world_are_compared_by_what_they_ask_for():
    before = "A photo of a pizza, in cool tones, very dark, backlit"
    after = "A fine photograph of a pizza, in a low key, against the light, seen from above."
    assert said(before, after) == [
        "warmth: in cool tones -> unsaid",
        "brightness: very dark -> in a low key",
        "angle: seen from above",
    ]


def test_other_prompts_are_compared_word_by_word():
    def words(before, after):
        return said(before, after, embedded=False)

    assert words("A red cat, at dusk.", "a red cat at dawn, foggy") == ["dusk -> dawn, foggy"]
    assert words("a red cat at dusk", "a cat at dusk, foggy") == ["left out: red", "added: foggy"]
    assert words("a cat", "A cat.") == []


def test_another_subject_or_style_is_seen():
    assert said("A photo of a pizza", "A photo of a burger") == ["pizza -> burger"]


@given(st.sampled_from(range(50)))
def test_the_same_said_in_other_words_is_no_change(seed):
    import numpy as np

    spec = Spec("Photorealism", "food", "a pizza", None, {"warmth": 0.5, "grain": -0.9}, "neon")
    one, other = (write_prompt(spec, np.random.default_rng([seed, i])) for i in range(2))
    assert said(one, other) == []
