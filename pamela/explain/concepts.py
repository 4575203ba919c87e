"""Concepts that a picture can be asked about in words, and how far each one holds (zero-shot).

A concept is a direction between two texts in the joint space of an encoder with a text tower: the
similarity of a picture to "a very bright picture" less that to "a very dark picture". The embedded
encoder is asked in the words that it was trained on; any other in those of
``pamela/concepts/general.yaml``. Nothing here knows what was drawn or who rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pamela.core.arrays import Floats, Floats32
from pamela.core.errors import PamelaError
from pamela.core.strict_yaml import read_yaml
from pamela.features.encoders.base import EMBEDDED, Encoder

GENERAL: Final = Path(__file__).parent / "concepts" / "general.yaml"
KEYS: Final = {"sentence", "opposites", "kinds"}


@dataclass(frozen=True)
class Concept:
    """One direction.

    Attributes
    ----------
    theme : what it belongs to, e.g. colour.
    low, high : the words of its two ends; `low` is None where a kind stands against its theme.
    texts_low, texts_high : the sentences whose mean features are the ends.
    """

    theme: str
    low: str | None
    high: str
    texts_low: tuple[str, ...]
    texts_high: tuple[str, ...]


def concepts_for(encoder: str) -> list[Concept]:
    """Return what the encoder called `encoder` (as ``embed.encoder``) can be asked about."""
    return _embedded() if encoder == EMBEDDED else read_concepts(GENERAL)


def _embedded() -> list[Concept]:
    """Return the ends of every attribute and every lighting, in the encoder's own vocabulary."""
    from pamela.features.encoders.embedded_clip.labels import looks
    from pamela.synthetic.vocabulary import LIGHTINGS, STRONG, WORDS

    def said(phrases: Sequence[str]) -> tuple[str, ...]:
        return tuple(looks([phrase]) for phrase in phrases)

    ends = [
        Concept(name, lows[0], highs[0], said(lows), said(highs))
        for name, levels in WORDS.items()
        for lows, highs in [(levels[-STRONG], levels[STRONG])]
    ]
    every = tuple(text for phrases in LIGHTINGS.values() for text in said(phrases))
    kinds = [
        Concept("lighting", None, phrases[0], every, said(phrases))
        for phrases in LIGHTINGS.values()
    ]
    return ends + kinds


def read_concepts(path: Path) -> list[Concept]:
    """Return the concepts of a file such as ``general.yaml``.

    Raises
    ------
    PamelaError
        If the file is missing, is no YAML, or a theme lacks its sentence or words; it names which.
    """
    try:
        themes = read_yaml(path)
    except FileNotFoundError:
        raise PamelaError(f"{path}: no such file; it lists the words to explain with") from None
    if not isinstance(themes, dict) or not themes:
        raise PamelaError(f"{path}: holds no themes; see pamela/concepts/general.yaml")
    return [concept for name, theme in themes.items() for concept in _theme(path, name, theme)]


def _theme(path: Path, name: str, theme: Any) -> list[Concept]:
    if not isinstance(theme, dict) or not set(theme) <= KEYS or "{}" not in _text(theme):
        raise PamelaError(f"{path}: theme {name}: give a sentence with {{}}, opposites or kinds")
    sentence = _text(theme)
    opposites, kinds = theme.get("opposites") or [], theme.get("kinds") or []
    if not opposites and len(kinds) < 2:
        raise PamelaError(f"{path}: theme {name}: give opposites, or at least two kinds")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in opposites):
        raise PamelaError(f"{path}: theme {name}: opposites are pairs [one end, other end]")

    def say(words: Any) -> tuple[str, ...]:
        return (sentence.replace("{}", str(words)),)

    every = tuple(text for words in kinds for text in say(words))
    return [
        *(Concept(name, str(low), str(high), say(low), say(high)) for low, high in opposites),
        *(Concept(name, None, str(words), every, say(words)) for words in kinds),
    ]


def _text(theme: dict[str, Any]) -> str:
    return str(theme.get("sentence", ""))


def concept_scores(encoder: Encoder, image: Floats32, concepts: Sequence[Concept]) -> Floats:
    """Return how far each concept's high end holds in each picture, (n, concepts).

    Parameters
    ----------
    image : float32 (n, d), image features of `encoder`.
    """
    texts = sorted({text for c in concepts for text in (*c.texts_low, *c.texts_high)})
    place = {text: row for row, text in enumerate(texts)}
    said = encoder.encode_prompts(texts).astype(np.float64)
    ends = np.array(
        [
            said[[place[t] for t in c.texts_high]].mean(axis=0)
            - said[[place[t] for t in c.texts_low]].mean(axis=0)
            for c in concepts
        ]
    )
    return joint_space(encoder, image).astype(np.float64) @ ends.T


def joint_space(encoder: Encoder, image: Floats32) -> Floats32:
    """Return image features where they can be compared with those of texts, (n, prompt_dim)."""
    project = getattr(encoder, "project", None)  # the embedded encoder's features lie before it
    joint: Floats32 = image if project is None else project(image)
    if joint.shape[1] != encoder.prompt_dim:
        raise PamelaError(
            f"encoder {encoder.name!r}: image features of width {joint.shape[1]} cannot be "
            f"compared with prompt features of width {encoder.prompt_dim}"
        )
    return joint
