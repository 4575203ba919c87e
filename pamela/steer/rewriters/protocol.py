"""The paper's protocol as chat messages, and what a language model answers, read and checked.

A conversation is a system and a user message. The user message has the original prompt, the best so
far with their scores, what this answer may not repeat, and how many new prompts are wanted:

    Original prompt: a red barn at dusk

    Best so far, as score: prompt
    4.31: a red barn at dusk, warm light
    3.9: a red barn at dusk

    Write 20 new prompts.

The answer is JSON, ``{"prompts": ["...", ...]}``. The language model of the embedded world is
trained on exactly this text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from pydantic_core import from_json

from pamela.steer.rewriters.base import RewriteRequest, Trial

Message = dict[str, str]  # role, content
Keeps = Callable[[str, str], bool]  # whether a variant (second) has the subject of a prompt (first)

SYSTEM: Final = (
    "You rewrite prompts of a text-to-image model, so that the pictures get higher scores. "
    "Keep the subject and the style of the original prompt. Change how it is shown: lighting, "
    "angle, viewpoint, palette, composition, mood. Learn from the scores which changes help. "
    'Answer with JSON alone: {"prompts": ["...", "..."]}'
)
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"prompts": {"type": "array", "items": {"type": "string"}}},
    "required": ["prompts"],
    "additionalProperties": False,
}
LONGEST_PROMPT: Final = 2000  # characters; what is longer is no prompt
LONGEST_ANSWER: Final = 200_000  # characters; what is longer is not read
_FORM: Final = '{"prompts": [texts]}'
_START: Final = re.compile(r'\{\s*"prompts"\s*:')
_NO_TEXT: Final = ("Cc", "Cs")  # control characters, halves of a character
_SHOWN: Final = 80  # characters of an answer that a message quotes


class AnswerError(ValueError):
    """An answer of a language model that holds no prompts; the message says why."""


def messages(
    request: RewriteRequest, n: int, context: int, written: Sequence[str] = ()
) -> list[Message]:
    """Return the conversation that asks for `n` variants.

    Parameters
    ----------
    context : how many of the best so far are shown.
    written : variants of this request that an earlier answer gave.
    """
    user = [f"Original prompt: {_line(request.prompt)}"]
    # one score alone teaches nothing; without it, all searches of a prompt begin with one question
    shown = request.history[:context] if len(request.history) > 1 else ()
    if shown:
        user += ["", "Best so far, as score: prompt", *map(_scored, shown)]
    if written:
        user += ["", "Already written:", *map(_line, written)]
    user += ["", f"Write {n} new prompts."]
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "\n".join(user)},
    ]


def write_answer(prompts: Iterable[str]) -> str:
    """Return `prompts` as the answer of a language model that follows the protocol."""
    return json.dumps({"prompts": list(prompts)}, ensure_ascii=False)


def read_answer(text: str) -> list[str]:
    """Return the prompts of an answer, each on one line.

    Text around the JSON (a model that thinks aloud, a code fence) is passed over; of an answer that
    ends in the middle, the prompts that are complete are read.

    Raises
    ------
    AnswerError
        If there are none.
    """
    if len(text) > LONGEST_ANSWER:
        raise AnswerError(f"an answer of {len(text)} characters")
    if not text.strip():
        raise AnswerError("an empty answer")
    thought = max(text.rfind("</think>"), 0)
    found = _START.search(text, thought)
    if found is None:
        raise AnswerError(f"an answer without {_FORM}: {_quoted(text)}")
    prompts = _json_from(text, found.start()).get("prompts")
    if not isinstance(prompts, list) or not all(isinstance(one, str) for one in prompts):
        raise AnswerError(f"an answer without {_FORM}: {_quoted(text)}")
    if not prompts:
        raise AnswerError("an answer without any prompt")
    return [_line(one) for one in prompts]


def check(
    prompts: Iterable[str], request: RewriteRequest, written: Sequence[str], keeps: Keeps
) -> tuple[list[str], Counter[str]]:
    """Return those of `prompts` that can be drawn as variants, and what is wrong with the others.

    Parameters
    ----------
    written : variants of this request that were accepted before.
    """
    context = {_key(request.prompt), *(_key(trial.prompt) for trial in request.history)}
    taken = {_key(prompt) for prompt in written}
    accepted: list[str] = []
    faults: Counter[str] = Counter()
    for prompt in prompts:
        key = _key(prompt)
        if not key:
            faults["empty"] += 1
        elif any(unicodedata.category(c) in _NO_TEXT for c in prompt):
            faults["not text"] += 1
        elif len(prompt) > LONGEST_PROMPT:
            faults[f"longer than {LONGEST_PROMPT} characters"] += 1
        elif key in context:
            faults["tried before"] += 1
        elif key in taken:
            faults["repeated"] += 1
        elif not keeps(request.prompt, prompt):
            faults["without the subject"] += 1
        else:
            taken.add(key)
            accepted.append(prompt)
    return accepted, faults


def _json_from(text: str, begin: int) -> dict[str, Any]:
    """Return the object that begins at `begin`; one that is cut off, as far as it goes."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text, begin)
    except (ValueError, RecursionError):
        try:
            value = from_json(text[begin:], allow_partial=True)
        except ValueError as error:
            raise AnswerError(f"malformed JSON ({error}): {_quoted(text)}") from None
    return dict(value)


def _quoted(text: str) -> str:
    return repr(text.strip()[:_SHOWN])


def _scored(trial: Trial) -> str:
    return f"{trial.reward:.3g}: {_line(trial.prompt)}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _key(prompt: str) -> str:
    """Return what two prompts that say the same in the same words share."""
    return _line(prompt).casefold().rstrip(".!, ")
