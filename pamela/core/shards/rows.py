"""Ratings in shards, each with all ratings of some people, so that nobody must hold all of them.

What a closed form needs of the ratings is a sum over them, or belongs to one person: a function of
one shard, whose answers are added up. `Shards.run` says where the function runs: here, one shard
after the other, or wherever something that is called like the builtin `map` sends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from pamela.core.dataset import Pairs

R = TypeVar("R")


class Shard(Protocol):
    """Where the ratings of some people are; small, and may be sent to another process."""

    def read(self) -> Pairs:
        """Return the ratings."""
        ...


class Run(Protocol):
    """Calls a function of one shard for each, and returns the answers in their order."""

    def __call__(self, function: Callable[[Shard], R], shards: Sequence[Shard], /) -> Iterable[R]:
        """Return ``function(shard)`` for every shard."""
        ...


def run_here(function: Callable[[Shard], R], shards: Sequence[Shard], /) -> Iterable[R]:
    """Call `function` for one shard after the other, in this process."""
    return map(function, shards)


@dataclass(frozen=True)
class Held:
    """A shard in memory."""

    pairs: Pairs

    def read(self) -> Pairs:
        """Return the ratings."""
        return self.pairs


@dataclass(frozen=True)
class Shards:
    """Ratings; nobody's are in two shards.

    Attributes
    ----------
    run : how a function is called for all of them.
    """

    every: tuple[Shard, ...]
    run: Run = run_here

    @classmethod
    def of(cls, *held: Pairs) -> Self:
        """Return ratings in memory, a shard each."""
        return cls(tuple(Held(pairs) for pairs in held))

    def __len__(self) -> int:
        return len(self.every)

    def map(self, function: Callable[[Shard], R]) -> Iterable[R]:
        """Return what `function` answers for each shard, in their order."""
        return self.run(function, self.every)

    def read(self) -> Pairs:
        """Return all ratings together."""
        if len(self) == 1:
            return self.every[0].read()
        return Pairs.concat(Pairs.empty(), *(shard.read() for shard in self.every))
