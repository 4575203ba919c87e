"""Asking a language model until every request has its variants: what `chat` and `transformers` do.

An answer may lack variants, repeat what was tried or drop the subject; what is missing is asked for
again, a bounded number of times. What is still missing then is an error: nothing is made up.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pamela.core.errors import PamelaError
from pamela.params import LanguageModelParams
from pamela.steer.rewriters import protocol
from pamela.steer.rewriters.base import RewriteRequest
from pamela.steer.rewriters.protocol import AnswerError, Keeps, Message


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation that a language model is to answer, and the seed of its random numbers."""

    messages: tuple[Message, ...]
    seed: int

    @property
    def key(self) -> tuple[str, int]:
        """What equal questions share: they are asked once."""
        return self.messages[-1]["content"], self.seed


Ask = Callable[[Sequence[Question]], list[str]]


@dataclass
class _Open:
    """A request, the variants that it has so far, and what was wrong with the others."""

    request: RewriteRequest
    written: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> int:
        return self.request.n - len(self.written)


class Dialogue:
    """The protocol with one language model.

    Parameters
    ----------
    name : the model, for messages.
    keeps : whether a variant has the subject of the original prompt.

    Attributes
    ----------
    faults : what was wrong with answers, in all; `answers`, `asked_again` : how many.
    """

    def __init__(self, name: str, settings: LanguageModelParams, keeps: Keeps) -> None:
        self.name, self.settings, self.keeps = name, settings, keeps
        self.faults: Counter[str] = Counter()
        self.answers = 0
        self.asked_again = 0

    def rewrite(self, requests: Sequence[RewriteRequest], ask: Ask) -> list[list[str]]:
        """Return the variants of each request.

        Parameters
        ----------
        ask : answers questions, in their order.

        Raises
        ------
        PamelaError
            If some are missing after `attempts` rounds of asking.
        """
        found = [_Open(request) for request in requests]
        for attempt in range(self.settings.attempts):
            waiting = [one for one in found if one.missing]
            if not waiting:
                break
            self._ask(waiting, ask, attempt)
        if lacking := [one for one in found if one.missing]:
            raise self._error(lacking)
        return [one.written for one in found]

    def report(self) -> None:
        """Say how many answers had faults, and which."""
        if self.faults:
            print(
                f"steer: {self.name}: {self.answers} answers, {self.asked_again} of them asked for "
                f"again; not used: {_listed(self.faults)}",
                file=sys.stderr,
            )

    def _ask(self, waiting: Sequence[_Open], ask: Ask, attempt: int) -> None:
        """Ask for what each request misses, and keep what can be drawn."""
        asked = [(one, question) for one in waiting for question in self._questions(one, attempt)]
        unique = {question.key: question for _, question in asked}
        answers = dict(zip(unique, ask(list(unique.values())), strict=True))
        self.answers += len(unique)
        self.asked_again += len(unique) if attempt else 0
        for one, question in asked:
            faults = self._take(one, answers[question.key])
            one.faults += faults
            self.faults += faults

    def _questions(self, one: _Open, attempt: int) -> list[Question]:
        """Return the questions that together ask for what is missing."""
        sizes = _split(one.missing, self.settings.variants_per_answer)
        context = self.settings.context_trials
        return [
            Question(
                tuple(protocol.messages(one.request, n, context, one.written)),
                _seed(one.request.seed, attempt, number),
            )
            for number, n in enumerate(sizes)
        ]

    def _take(self, one: _Open, answer: str) -> Counter[str]:
        try:
            prompts = protocol.read_answer(answer)
        except AnswerError as error:
            return Counter({str(error): 1})
        accepted, faults = protocol.check(prompts, one.request, one.written, self.keeps)
        one.written += accepted[: one.missing]
        return faults

    def _error(self, lacking: Sequence[_Open]) -> PamelaError:
        first = lacking[0]
        more = f" (and of {len(lacking) - 1} more requests)" if len(lacking) > 1 else ""
        why = _listed(first.faults) or "the answers hold fewer than asked for"
        return PamelaError(
            f"steer: {self.name}: {first.missing} of {first.request.n} variants of "
            f"{first.request.prompt[:80]!r}{more} are missing, asked {self.settings.attempts} "
            f"times: {why}. Raise steer.language_model.attempts or temperature, lower steer."
            "variants, or name another model; what was drawn is kept"
        )


def _split(n: int, at_most: int) -> list[int]:
    """Return parts of `n` that are as even as can be, each of `at_most`."""
    parts = -(-n // at_most)
    return [n // parts + (place < n % parts) for place in range(parts)]


def _seed(seed: Sequence[int], attempt: int, number: int) -> int:
    """Return 31 bits, which every server takes as a seed."""
    words = ",".join(map(str, (*seed, attempt, number)))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4]) >> 1


def _listed(faults: Counter[str]) -> str:
    return ", ".join(f"{what} ({n})" for what, n in faults.most_common(4))
