"""What proposes new versions of a prompt: the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Trial:
    """A version of the prompt that was drawn, and the reward of its picture."""

    prompt: str
    reward: float


@dataclass(frozen=True, slots=True)
class RewriteRequest:
    """What one search asks for in one round.

    Attributes
    ----------
    prompt : the original prompt, whose subject every variant keeps.
    history : what was tried for this prompt so far, best first: the context of a language model.
    n : how many variants.
    seed : of the random numbers; equal requests get equal answers where the rewriter can.
    """

    prompt: str
    history: tuple[Trial, ...]
    n: int
    seed: tuple[int, ...]


class Rewriter(Protocol):
    """Writes variants of a prompt that say what it says about the subject.

    A context manager, which ends what it started.

    Attributes
    ----------
    fingerprint : the kind and every setting that changes what it writes.
    """

    @property
    def fingerprint(self) -> str:
        """What identifies what it writes."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[list[str]]:
        """Return ``request.n`` variants for each request, in their order."""
        ...
