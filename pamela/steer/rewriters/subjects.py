"""Whether a variant still is about the subject of the original prompt."""

from __future__ import annotations

import re

from pamela.core.errors import PamelaError

_WORD = re.compile(r"[^\W\d_]{3,}")
# Words that say how a picture is made, or nothing: they name no subject.
_NO_SUBJECT = frozenset(
    {"the", "and", "with", "from", "into", "over", "under", "near", "this", "that", "its", "his",
     "her", "their", "some", "many", "very", "photo", "photograph", "picture", "image", "portrait",
     "painting", "drawing", "illustration", "rendering", "sketch", "style", "view", "scene", "shot"}
)  # fmt: skip


def keeps_world_subject(prompt: str, variant: str) -> bool:
    """Tell whether the embedded world reads the same type, group, subject and style in both."""
    from pamela.synthetic.prompts import parse_prompt

    base = parse_prompt(prompt)
    try:
        spec = parse_prompt(variant)
    except PamelaError:
        return False
    return (spec.type, spec.group, spec.subject, spec.style) == (
        base.type, base.group, base.subject, base.style,
    )  # fmt: skip


def shares_a_word(prompt: str, variant: str) -> bool:
    """Tell whether `variant` has a word of `prompt` that may name its subject.

    It finds answers about something else (a refusal, an example of the instructions) in any
    language that writes words apart. A prompt without such words holds for every variant.
    """
    words = _words(prompt)
    return not words or bool(words & _words(variant))


def _words(prompt: str) -> set[str]:
    return set(_WORD.findall(prompt.casefold())) - _NO_SUBJECT
