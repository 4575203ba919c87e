"""Specifications of pictures, prompts written from them in natural English, and reading them back.

>>> parse_prompt("A baroque painting of a bowl of fruit, in warm tones.").attributes
{'warmth': 0.5}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np

from pamela.core.errors import PamelaError
from pamela.synthetic import vocabulary as v
from pamela.synthetic.published_facts import GROUP_FACTS, STYLE_FACTS

T = TypeVar("T")


@dataclass(frozen=True)
class Spec:
    """What a prompt asks for or, completed by `rendering.render.scene_of`, what is drawn.

    Attributes
    ----------
    type, group, subject : as in `vocabulary.GROUPS`.
    style : one of `vocabulary.STYLES`; None for photographs.
    attributes : name -> value in [-1, 1]. Parsed: the mentioned ones. Complete: all that a picture
        of this group and style shows (`vocabulary.attributes_of`).
    lighting : one of `vocabulary.LIGHTINGS`, or None: not mentioned, or (complete) not to be seen.
    """

    type: str
    group: str
    subject: str
    style: str | None
    attributes: dict[str, float] = field(default_factory=dict)
    lighting: str | None = None


# --- sampling ---------------------------------------------------------------------------------
MENTIONED_SHARE: Final = 0.28  # of the attributes that the picture would show
LIGHTING_SHARE: Final = 0.35
_KEYS: Final = tuple(GROUP_FACTS)
_KEY_WEIGHTS: Final = np.array([n for n, _ in GROUP_FACTS.values()], float)
LEVELS: Final = (-v.STRONG, -v.MILD, v.MILD, v.STRONG)


def sample_spec(rng: np.random.Generator) -> Spec:
    """Draw what a person might ask for: groups and styles as frequent as in the release."""
    kind, group = _KEYS[int(rng.choice(len(_KEYS), p=_KEY_WEIGHTS / _KEY_WEIGHTS.sum()))]
    return sample_spec_of(kind, group, sample_style(kind, group, rng), rng)


def sample_style(kind: str, group: str, rng: np.random.Generator) -> str | None:
    """Draw a style of `group` as frequent as in the release; None for photographs."""
    if kind != v.ART:
        return None
    names = styles_of(group)
    weights = np.array([STYLE_FACTS[name][0] for name in names], float)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def styles_of(group: str) -> tuple[str, ...]:
    """Return the styles that the release has in an Art group."""
    abstract = group == v.ABSTRACT
    return tuple(name for name in v.STYLES if (name in v.ABSTRACT_STYLES) == abstract)


def sample_spec_of(kind: str, group: str, style: str | None, rng: np.random.Generator) -> Spec:
    """Draw subject, lighting and mentioned attributes of a picture of `group` in `style`."""
    attributes = {
        name: LEVELS[int(rng.integers(len(LEVELS)))]
        for name in v.attributes_of(group, style)
        if rng.random() < MENTIONED_SHARE
    }
    lit = v.has_lighting(group, style) and rng.random() < LIGHTING_SHARE
    lighting = _pick(tuple(v.LIGHTINGS), rng) if lit else None
    return Spec(kind, group, _pick(v.GROUPS[kind][group], rng), style, attributes, lighting)


def _pick(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]


# --- writing ----------------------------------------------------------------------------------
MENTION_FROM: Final = 0.25  # a weaker wish has no word
STRONG_FROM: Final = 0.7
_PHOTO_OPENINGS: Final = (
    "A photograph of {subject}",
    "A photo of {subject}",
    "A realistic photo of {subject}",
    "{subject}, photograph",
    "A {mood} photograph of {subject}",
)
_ART_OPENINGS: Final = (
    "{a} {style} painting of {subject}",
    "A painting of {subject}, {style} style",
    "{subject}, {style} painting",
    "{subject} painted in {a} {style} manner",
)
_MOODS: Final = ("fine", "beautiful", "detailed", "striking")
_ENDINGS: Final = ("", ".")


def level_of(value: float) -> float | None:
    """Return the level whose words say `value`; None where it is too weak for a word."""
    if abs(value) < MENTION_FROM:
        return None
    size = v.STRONG if abs(value) >= STRONG_FROM else v.MILD
    return size if value > 0 else -size


def write_prompt(spec: Spec, rng: np.random.Generator) -> str:
    """Write `spec` as a person might type it; `parse_prompt` reads everything back.

    Attributes nearer to 0 than `MENTION_FROM` go unsaid; the others are said at their level.
    """
    phrases = [
        _pick(v.WORDS[name][level], rng)
        for name, value in spec.attributes.items()
        if (level := level_of(value)) is not None
    ]
    if spec.lighting is not None:
        phrases.append(_pick(v.LIGHTINGS[spec.lighting], rng))
    order = rng.permutation(len(phrases))
    text = ", ".join([_opening(spec, rng), *(phrases[i] for i in order)])
    return text[0].upper() + text[1:] + _pick(_ENDINGS, rng)


def _opening(spec: Spec, rng: np.random.Generator) -> str:
    if spec.type == v.PHOTO:
        return _pick(_PHOTO_OPENINGS, rng).format(subject=spec.subject, mood=_pick(_MOODS, rng))
    style = v.STYLES[spec.style] if spec.style is not None else "fine"
    return _pick(_ART_OPENINGS, rng).format(a=article_of(style), style=style, subject=spec.subject)


def article_of(word: str) -> str:
    """Return the indefinite article before `word` (of this vocabulary)."""
    return "an" if word[0] in "aeiou" else "a"


# --- reading ----------------------------------------------------------------------------------
def _reader(phrases: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    body = "|".join(re.escape(phrase) for phrase in longest_first)
    return re.compile(rf"(?<![\w-])(?:{body})(?![\w-])")


_ATTRIBUTE_OF: Final = {
    phrase: (name, level)
    for name, levels in v.WORDS.items()
    for level, phrases in levels.items()
    for phrase in phrases
}
_LIGHTING_OF: Final = {phrase: name for name, ps in v.LIGHTINGS.items() for phrase in ps}
_STYLE_OF: Final = {phrase: name for name, phrase in v.STYLES.items()}
_SUBJECTS: Final = _reader(v.SUBJECTS)
_PHRASES: Final = _reader([*_ATTRIBUTE_OF, *_LIGHTING_OF, *_STYLE_OF])
_PHOTO_WORD: Final = re.compile(r"\b(photo|photos|photograph|photographs|photography)\b")
_ART_WORD: Final = re.compile(r"\b(painting|painted|paint|artwork)\b")


def parse_prompt(prompt: str) -> Spec:
    """Return what `prompt` mentions; the last mention of an attribute counts.

    Raises
    ------
    PamelaError
        If no subject is known.
    """
    text = " ".join(prompt.lower().replace("’", "'").split())
    found = _SUBJECTS.search(text)
    if found is None:
        raise PamelaError(
            f"prompt {prompt[:80]!r}: no known subject; name one of vocabulary.SUBJECTS, "
            f"for example {v.SUBJECTS[0]!r} or {v.SUBJECTS[-1]!r}"
        )
    rest = text[: found.start()] + "#" + text[found.end() :]
    attributes: dict[str, float] = {}
    style = lighting = None
    for match in _PHRASES.finditer(rest):
        phrase = match.group()
        if phrase in _ATTRIBUTE_OF:
            name, level = _ATTRIBUTE_OF[phrase]
            attributes[name] = level
        elif phrase in _LIGHTING_OF:
            lighting = _LIGHTING_OF[phrase]
        else:
            style = _STYLE_OF[phrase]
    kind, group = _type_and_group(found.group(), rest, style)
    return Spec(kind, group, found.group(), style if kind == v.ART else None, attributes, lighting)


def _type_and_group(subject: str, rest: str, style: str | None) -> tuple[str, str]:
    """Return the asked type, else the subject's own; a subject keeps its group in either."""
    groups = v.groups_of(subject)
    if _PHOTO_WORD.search(rest):
        kind = v.PHOTO
    elif style is not None or _ART_WORD.search(rest):
        kind = v.ART
    else:
        kind = v.PHOTO if v.PHOTO in groups else v.ART
    return kind, groups.get(kind) or next(iter(groups.values()))
