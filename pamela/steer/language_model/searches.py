"""Simulated searches: what a language model is asked, and good answers, under planted utilities.

Originals are drawn as people write prompts, from random numbers of their own: neither the pictures'
prompts nor the raters of the embedded dataset have a part in them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from pamela.core.arrays import Bools, Floats, Ints
from pamela.steer.language_model import planted
from pamela.steer.rewriters.base import RewriteRequest, Trial
from pamela.steer.rewriters.protocol import Message, messages, write_answer
from pamela.synthetic.prompts import Spec, sample_spec, write_prompt
from pamela.synthetic.vocabulary import ART

Rng = np.random.Generator

VARIANTS: Final = 20  # of a round
ROUNDS: Final = 4
SAID: Final = (4, 8)  # aspects that an answer says at most, from and to
NOISE: Final = (0.1, 0.8)  # deviation of rewards, beside weights of about 1
HASTE: Final = (1.0, 3.0, 10.0)  # earlier rounds that took the noise for so many times larger
CONTEXT: Final = (3, 14)  # of the best so far that are shown
USUAL_CONTEXT: Final = 10
WITHOUT_STYLE: Final = 0.1  # share of paintings whose style nobody names
FULL_SHARE: Final = 0.6  # of questions that ask for all variants of a round at once
CONTINUED_SHARE: Final = 0.2  # of questions that ask for what an answer lacked


@dataclass(frozen=True)
class Example:
    """A conversation and a good answer to it."""

    messages: list[Message]
    answer: str


@dataclass
class PlantedSearch:
    """A search whose reward is a planted utility, and all that was tried in it."""

    spec: Spec
    weights: Floats  # of all options
    noise: float
    aspects: Bools
    looks: list[Ints] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, rng: Rng) -> PlantedSearch:
        """Draw an original prompt and a utility, and try the prompt as it is."""
        spec = sample_spec(rng)
        if spec.type == ART and rng.random() < WITHOUT_STYLE:
            spec = replace(spec, style=None)
        factor = np.linalg.cholesky(planted.prior_covariance()[:-1, :-1])
        weights = factor @ rng.normal(size=planted.N_OPTIONS)
        noise = float(rng.uniform(*NOISE))
        search = cls(spec, weights, noise, planted.open_aspects(spec))
        search.try_(np.array([planted.look_of(spec)]), [write_prompt(spec, rng)], rng)
        return search

    def utility(self, looks: Ints) -> Floats:
        """Return what looks (n, aspects) are worth."""
        found: Floats = planted.design_matrix(looks)[:, :-1] @ self.weights
        return found

    @property
    def highest(self) -> float:
        """The utility of the best of all looks."""
        most = np.array([len(planted.ASPECTS)])
        return float(self.utility(planted.best_looks(self.weights[None], self.aspects, most))[0])

    def try_(self, looks: Ints, prompts: Sequence[str], rng: Rng) -> None:
        """Draw and score prompts: their utility and noise."""
        self.looks += list(looks)
        self.prompts += prompts
        self.rewards += (self.utility(looks) + rng.normal(0, self.noise, len(looks))).tolist()

    def propose(self, n: int, rng: Rng, haste: float = 1.0) -> tuple[Ints, list[str]]:
        """Return n looks of Thompson sampling, and prompts that say them."""
        looks, rewards = np.array(self.looks), np.array(self.rewards)
        known = planted.Posterior.of(looks, rewards, self.noise * haste)
        tried = {look.tobytes() for look in self.looks}
        found = planted.propose(known, self.aspects, tried, n, SAID, rng)
        return found, [write_prompt(planted.dress(self.spec, look), rng) for look in found]

    def history(self, scale: float = 1.0, offset: float = 0.0) -> tuple[Trial, ...]:
        """Return all trials, best first, their rewards on another scale."""
        trials = [
            Trial(prompt, offset + scale * reward)
            for prompt, reward in zip(self.prompts, self.rewards, strict=True)
        ]
        return tuple(sorted(trials, key=lambda trial: -trial.reward))


def search_examples(rng: Rng) -> list[Example]:
    """Return an example for each round of one planted search."""
    search = PlantedSearch.start(rng)
    scale, offset = _scale(rng)
    haste = float(rng.choice(HASTE))
    examples = []
    for number in range(ROUNDS):
        _, answer = search.propose(VARIANTS, rng)
        examples.append(_example(search.history(scale, offset), search.prompts[0], answer, rng))
        if number + 1 < ROUNDS:
            search.try_(*search.propose(VARIANTS, rng, haste), rng)
    return examples


def _scale(rng: Rng) -> tuple[float, float]:
    """Return a reward's scale and offset: mostly ratings of 1 to 5, or any other."""
    if rng.random() < 0.6:
        return float(rng.uniform(0.05, 0.4)), float(rng.uniform(2.0, 4.0))
    scale = float(np.exp(rng.uniform(np.log(0.01), np.log(20.0))))
    return scale, scale * float(rng.normal(0, 5))


def _example(history: tuple[Trial, ...], prompt: str, answer: Sequence[str], rng: Rng) -> Example:
    """Return a question about a search and its answer; some continue an earlier answer."""
    n = len(answer)
    if rng.random() > FULL_SHARE:
        n = int(rng.integers(1, len(answer)))
    written: Sequence[str] = ()
    if rng.random() < CONTINUED_SHARE:
        begin = int(rng.integers(1, len(answer)))
        written, answer = answer[:begin], answer[begin:]
    answer = answer[:n]
    usual = rng.random() < 0.5
    context = USUAL_CONTEXT if usual else int(rng.integers(CONTEXT[0], CONTEXT[1] + 1))
    request = RewriteRequest(prompt, history, len(answer), (0,))
    return Example(messages(request, len(answer), context, written), write_answer(answer))


def simulate(seed: int, begin: int = 0) -> Iterator[Example]:
    """Yield examples without end, search after search from number `begin` on."""
    for number in itertools.count(begin):
        yield from search_examples(np.random.default_rng([seed, number]))
