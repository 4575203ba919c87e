"""Search over the words of the embedded world: the rewriter `vocabulary`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from pamela.steer.rewriters.aspects import AspectWorth, Choices, Look
from pamela.steer.rewriters.base import RewriteRequest, Trial

if TYPE_CHECKING:
    from pamela.synthetic.prompts import Spec


_LIGHTING = "lighting"
LEARN_FROM = 12  # trials


@dataclass(frozen=True)
class VocabularyRewriter:
    """Edits what a prompt of the embedded world says about attributes and lighting.

    Subject, group, type and style stay. The first round's variants say `fresh_aspects` aspects at
    random, mostly. From then on most say what seems best after the rewards so far (`AspectWorth`).
    The others are moves: one to `max_moves` aspects of the best prompt are said otherwise, or no
    longer, so that what no sum over aspects explains is found too.

    Attributes
    ----------
    fresh : share of variants at random, before there is anything to learn from.
    learn : share of variants by what was learned, later.
    most_said : aspects that these say at most: encoders read so much and no more.
    curiosity : see `AspectWorth.best_look`.
    drop : chance that a move leaves an aspect unsaid.
    """

    fresh: float = 0.9
    fresh_aspects: int = 7
    learn: float = 0.9
    most_said: int = 8
    curiosity: float = 0.5
    max_moves: int = 3
    drop: float = 0.1

    @property
    def fingerprint(self) -> str:
        """The kind and its settings."""
        return f"vocabulary:{':'.join(f'{value:g}' for value in astuple(self))}"

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
        looks = [_look_of(trial.prompt) for trial in history]
        best = looks[0] if looks else _look(base)
        tried = {frozenset(look.items()) for look in (_look(base), *looks)}
        worth = None
        if len(history) >= LEARN_FROM:
            rewards = np.array([trial.reward for trial in history])
            worth = AspectWorth.fit(looks, rewards, choices)
        variants: list[str] = []
        for left in range(10 * n, 0, -1):
            look = self._look(worth, best, choices, rng)
            if worth is not None and frozenset(look.items()) in tried:
                look = self._move(look, choices, rng)
            key = frozenset(look.items())
            if key not in tried or left <= n - len(variants):
                tried.add(key)
                variants.append(write_prompt(_dress(base, look), rng))
            if len(variants) == n:
                break
        return variants

    def _look(
        self, worth: AspectWorth | None, best: Look, choices: Choices, rng: np.random.Generator
    ) -> Look:
        """Return one thing to say."""
        if worth is None:
            fresh = rng.random() < self.fresh
            return self._afresh(choices, rng) if fresh else self._move(best, choices, rng)
        if rng.random() < self.learn:
            return worth.best_look(self.most_said, self.curiosity, rng)
        return self._move(best, choices, rng)

    def _move(self, look: Look, choices: Choices, rng: np.random.Generator) -> Look:
        """Return `look` with a few aspects said otherwise."""
        moved = dict(look)
        for name in _some(choices, int(rng.integers(1, self.max_moves + 1)), rng):
            if name in moved and rng.random() < self.drop:
                del moved[name]
            else:
                others = [value for value in choices[name] if value != moved.get(name)]
                moved[name] = others[int(rng.integers(len(others)))]
        return moved

    def _afresh(self, choices: Choices, rng: np.random.Generator) -> Look:
        """Return some aspects said at random."""
        names = _some(choices, self.fresh_aspects, rng)
        return {name: choices[name][int(rng.integers(len(choices[name])))] for name in names}


def _some(choices: Choices, n: int, rng: np.random.Generator) -> list[str]:
    names = list(choices)
    return [names[i] for i in rng.permutation(len(names))[:n]]


def _choices(spec: Spec) -> Choices:
    """Return what can be said of each aspect that a picture like `spec` shows."""
    from pamela.synthetic import prompts, vocabulary

    names = vocabulary.attributes_of(spec.group, spec.style)
    choices: dict[str, tuple[float | str, ...]] = dict.fromkeys(names, prompts.LEVELS)
    if vocabulary.has_lighting(spec.group, spec.style):
        choices[_LIGHTING] = tuple(vocabulary.LIGHTINGS)
    return choices


@lru_cache(maxsize=2**14)
def _look_of(prompt: str) -> Look:
    """Return what a prompt says, not to be changed: each round reads the whole history."""
    from pamela.synthetic.prompts import parse_prompt

    return _look(parse_prompt(prompt))


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
