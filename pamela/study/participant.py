"""One participant: what their journal says, and what they are asked next."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pamela.core.errors import PamelaError
from pamela.study.journal import AT, KIND, Event, Journal, now
from pamela.study.plan import Comparison, Shown

LEFT, RIGHT, TIE = "left", "right", "tie"
ANSWERS: Final = (LEFT, RIGHT, TIE)
CODE_LETTERS: Final = 12  # 60 bits
LONGEST_COMMENT: Final = 5_000


@dataclass(frozen=True)
class Rate:
    """A picture is to be rated: the one of this number, of so many."""

    number: int
    of: int
    image_id: str


@dataclass(frozen=True)
class Wait:
    """Pictures are being drawn, or made elsewhere."""


@dataclass(frozen=True)
class Choose:
    """Two pictures are to be compared: the pair of this number, of so many."""

    number: int
    of: int
    pair: Comparison


@dataclass(frozen=True)
class Comment:
    """Everything is answered; whoever likes may say something."""


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do."""


Step = Rate | Wait | Choose | Comment | Finished


@dataclass
class Participant:
    """What a journal says of a person.

    Attributes
    ----------
    id : part of the batches and the report; says nothing of who it is.
    pictures : ids of the pictures to rate, in this person's order.
    ratings, choices : the events, in the order of their numbers.
    other : whose reward their arm `other` follows.
    pairs : what they compare; empty until the pictures are there.
    delivered : names of the batches in the inbox.
    """

    journal: Journal
    id: str
    joined: str
    pictures: list[str]
    sessions: set[str] = field(default_factory=set)
    ratings: list[Event] = field(default_factory=list)
    other: str | None = None
    shown: list[Shown] = field(default_factory=list)
    pairs: list[Comparison] = field(default_factory=list)
    choices: list[Event] = field(default_factory=list)
    comment: str | None = None
    finished: bool = False
    delivered: set[str] = field(default_factory=set)
    last: str = ""

    @classmethod
    def join(cls, journal: Journal, name: str, pictures: Sequence[str]) -> Participant:
        """Return a new participant, written down."""
        event = {KIND: "joined", AT: now(), "id": name, "pictures": list(pictures)}
        journal.append(event)
        return cls._begin(journal, event)

    @classmethod
    def load(cls, journal: Journal) -> Participant | None:
        """Return whom a journal tells of; None where its first line was never finished."""
        events = journal.read()
        if not events:
            return None
        try:
            person = cls._begin(journal, events[0])
            for event in events[1:]:
                person._take(event)
        except (KeyError, TypeError, ValueError) as error:
            raise PamelaError(f"{journal.path}: not a journal of a study ({error!r})") from None
        return person

    @classmethod
    def _begin(cls, journal: Journal, event: Event) -> Participant:
        return cls(journal, event["id"], event[AT], event["pictures"], last=event[AT])

    # --- what happened ------------------------------------------------------------------------
    def record(self, kind: str, **facts: Any) -> None:
        """Write an event down, then count it.

        Raises
        ------
        OSError
            If it cannot be written; then it does not count.
        """
        event = {KIND: kind, AT: now(), **facts}
        self.journal.append(event)
        self._take(event)

    def prepare(self, shown: Sequence[Shown], pairs: Sequence[Comparison]) -> None:
        """Write down which pictures this person compares, and how."""
        place = {one: i for i, one in enumerate(shown)}
        rows = [[place[pair.left], place[pair.right], pair.repeat_of] for pair in pairs]
        self.record("prepared", shown=[asdict(one) for one in shown], pairs=rows)

    def _take(self, event: Event) -> None:
        self.last = event[AT]
        match event[KIND]:
            case "session":
                self.sessions.add(event["session"])
            case "rating":
                self.ratings.append(event)
            case "steering":
                self.other = event["other"]
            case "prepared":
                self.shown = [Shown(**one) for one in event["shown"]]
                self.pairs = [
                    Comparison(self.shown[left], self.shown[right], repeat_of)
                    for left, right, repeat_of in event["pairs"]
                ]
            case "choice":
                self.choices.append(event)
            case "comment":
                self.comment = event["text"]
            case "finished":
                self.finished = True
            case "delivered":
                self.delivered.add(event["batch"])
            case other:
                raise ValueError(f"event {other!r}")

    # --- what comes next ----------------------------------------------------------------------
    @property
    def rated(self) -> bool:
        """Whether every picture is rated."""
        return len(self.ratings) >= len(self.pictures)

    @property
    def asked(self) -> list[Comparison]:
        """The pairs that are shown: all but those of one and the same picture."""
        return [pair for pair in self.pairs if not pair.same]

    @property
    def chosen(self) -> bool:
        """Whether every pair is compared."""
        return bool(self.pairs) and len(self.choices) >= len(self.asked)

    @property
    def step(self) -> Step:
        """What this person is asked now."""
        if not self.rated:
            number = len(self.ratings)
            return Rate(number, len(self.pictures), self.pictures[number])
        if not self.pairs:
            return Wait()
        if not self.chosen:
            number = len(self.choices)
            return Choose(number, len(self.asked), self.asked[number])
        return Finished() if self.finished else Comment()


# --- codes, sessions and addresses --------------------------------------------------------------
def digest(secret: bytes, *parts: str) -> bytes:
    """Return what only the holder of the study's key can work out."""
    return hmac.new(secret, "\0".join(parts).encode(), hashlib.sha256).digest()


def code_of(secret: bytes, person: str) -> str:
    """Return the code by which a person goes on elsewhere: ``abcd-efgh-2345``."""
    text = base64.b32encode(digest(secret, "code", person)).decode().lower()[:CODE_LETTERS]
    return "-".join(text[i : i + 4] for i in range(0, CODE_LETTERS, 4))


def plain_code(typed: str) -> str:
    """Return a code as it was typed, in the form of `code_of`."""
    text = "".join(c for c in typed.lower() if c.isalnum())[: CODE_LETTERS + 1]
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def session_key(session: str) -> str:
    """Return what is kept of a browser's session: nothing by which one could take it over."""
    return hashlib.sha256(session.encode()).hexdigest()


def picture_token(secret: bytes, person: str, step: str, side: str) -> str:
    """Return the address of a picture: another one for every person, step and side."""
    return base64.urlsafe_b64encode(digest(secret, "picture", person, step, side)).decode()[:43]
