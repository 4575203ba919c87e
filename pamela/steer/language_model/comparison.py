"""What rewriters reach in the same searches, under planted utilities that training never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pamela.core.arrays import Floats
from pamela.steer.language_model import planted
from pamela.steer.language_model.searches import VARIANTS, PlantedSearch
from pamela.steer.rewriters.base import Rewriter, RewriteRequest
from pamela.synthetic.prompts import parse_prompt

SEED: Final = 2_000_003
ROUNDS: Final = 3
SCALE, OFFSET = 0.2, 3.0  # rewards as a rewriter sees them: like ratings


@dataclass(frozen=True)
class Reached:
    """Utilities of the prompts with the highest reward after each round, (searches, rounds).

    As a share of the way from the original's utility to that of the best of all looks.
    """

    share: Floats

    @property
    def mean(self) -> float:
        """The mean share after the last round."""
        return float(self.share[:, -1].mean())

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval of `mean`."""
        return float(1.96 * self.share[:, -1].std(ddof=1) / len(self.share) ** 0.5)


def compare(rewriters: Mapping[str, Rewriter | None], searches: int) -> dict[str, Reached]:
    """Run the same searches with each rewriter; None is the Thompson sampling of the training."""
    return {name: run(rewriter, searches) for name, rewriter in rewriters.items()}


def run(rewriter: Rewriter | None, searches: int) -> Reached:
    """Run `searches` planted searches side by side for `ROUNDS` rounds of `VARIANTS` variants."""
    streams = [np.random.default_rng([SEED, number]) for number in range(searches)]
    found = [PlantedSearch.start(rng) for rng in streams]
    shares = []
    for number in range(1, ROUNDS + 1):
        written = _thompson(found, streams) if rewriter is None else _ask(rewriter, found, number)
        for search, prompts, rng in zip(found, written, streams, strict=True):
            looks = np.array([planted.look_of(parse_prompt(prompt)) for prompt in prompts])
            search.try_(looks, prompts, rng)
        shares.append([_share(search) for search in found])
    return Reached(np.array(shares).T)


def _ask(rewriter: Rewriter, found: Sequence[PlantedSearch], number: int) -> list[list[str]]:
    requests = [
        RewriteRequest(one.prompts[0], one.history(SCALE, OFFSET), VARIANTS, (number, place))
        for place, one in enumerate(found)
    ]
    return rewriter.rewrite(requests)


def _thompson(
    found: Sequence[PlantedSearch], streams: Sequence[np.random.Generator]
) -> list[list[str]]:
    return [search.propose(VARIANTS, rng)[1] for search, rng in zip(found, streams, strict=True)]


def _share(search: PlantedSearch) -> float:
    worth = search.utility(np.array(search.looks))
    start = worth[0]
    return float((worth[int(np.argmax(search.rewards))] - start) / (search.highest - start))
