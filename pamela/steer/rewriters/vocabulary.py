"""Search over the words of the embedded world: the rewriter `vocabulary`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from pamela.steer.rewriters.base import RewriteRequest, Trial

if TYPE_CHECKING:
    from pamela.synthetic.prompts import Spec


Look = dict[str, float | str]  # what is said of each aspect: an attribute's level, or a lighting
_LIGHTING = "lighting"


@dataclass(frozen=True)
class VocabularyRewriter:
    """Edits what a prompt of the embedded world says about attributes and lighting.

    Subject, group, type and style stay. Most variants are coordinate moves: one to `max_moves`
    aspects of the best prompt so far are said otherwise, or no longer; the others forget it and
    describe `fresh_aspects` aspects at random, so that the search does not settle too early.

    Attributes
    ----------
    explore : share of variants that start afresh.
    drop : chance that a move leaves an aspect unsaid.
    """

    explore: float = 0.25
    max_moves: int = 3
    fresh_aspects: int = 4
    drop: float = 0.1

    @property
    def fingerprint(self) -> str:
        """The kind and its settings."""
        return f"vocabulary:{self.explore}:{self.max_moves}:{self.fresh_aspects}:{self.drop}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[list[str]]:
        """Return variants that say other things than each other and all of the history.

        Where the vocabulary has no more to say, variants repeat themselves.
        """
        return [
            self._variants(r.prompt, r.history, r.n, np.random.default_rng(r.seed))
            for r in requests
        ]

    def _variants(
        self, prompt: str, history: Sequence[Trial], n: int, rng: np.random.Generator
    ) -> list[str]:
        from pamela.synthetic.prompts import parse_prompt, write_prompt

        base = parse_prompt(prompt)
        choices = _choices(base)
        looks = [_look(parse_prompt(trial.prompt)) for trial in history]
        best = looks[0] if looks else _look(base)
        tried = {frozenset(look.items()) for look in (_look(base), *looks)}
        variants: list[str] = []
        for left in range(10 * n, 0, -1):
            fresh = rng.random() < self.explore
            look = self._afresh(choices, rng) if fresh else self._move(best, choices, rng)
            key = frozenset(look.items())
            if key not in tried or left <= n - len(variants):
                tried.add(key)
                variants.append(write_prompt(_dress(base, look), rng))
            if len(variants) == n:
                break
        return variants

    def _move(
        self, look: Look, choices: dict[str, tuple[float | str, ...]], rng: np.random.Generator
    ) -> Look:
        """Return `look` with a few aspects said otherwise."""
        moved = dict(look)
        for name in _some(choices, int(rng.integers(1, self.max_moves + 1)), rng):
            if name in moved and rng.random() < self.drop:
                del moved[name]
            else:
                others = [value for value in choices[name] if value != moved.get(name)]
                moved[name] = others[int(rng.integers(len(others)))]
        return moved

    def _afresh(
        self, choices: dict[str, tuple[float | str, ...]], rng: np.random.Generator
    ) -> Look:
        """Return a few aspects said at random."""
        names = _some(choices, self.fresh_aspects, rng)
        return {name: choices[name][int(rng.integers(len(choices[name])))] for name in names}


def _some(
    choices: dict[str, tuple[float | str, ...]], n: int, rng: np.random.Generator
) -> list[str]:
    names = list(choices)
    return [names[i] for i in rng.permutation(len(names))[:n]]


def _choices(spec: Spec) -> dict[str, tuple[float | str, ...]]:
    """Return what can be said of each aspect that a picture like `spec` shows."""
    from pamela.synthetic import prompts, vocabulary

    names = vocabulary.attributes_of(spec.group, spec.style)
    choices: dict[str, tuple[float | str, ...]] = dict.fromkeys(names, prompts.LEVELS)
    if vocabulary.has_lighting(spec.group, spec.style):
        choices[_LIGHTING] = tuple(vocabulary.LIGHTINGS)
    return choices


def _look(spec: Spec) -> Look:
    said: Look = dict(spec.attributes)
    return said | ({_LIGHTING: spec.lighting} if spec.lighting is not None else {})


def _dress(spec: Spec, look: Look) -> Spec:
    """Return `spec` with `look` in place of what it says."""
    attributes = {name: float(value) for name, value in look.items() if name != _LIGHTING}
    lighting = look.get(_LIGHTING)
    return replace(
        spec, attributes=attributes, lighting=None if lighting is None else str(lighting)
    )
