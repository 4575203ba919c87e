"""A study that is going on: who takes part, what they are asked, what becomes of their answers.

Everything here is said before anything is shown: an answer is on the disk when its method returns,
and a server that is killed goes on from there. Pages ask by session, which is a browser's cookie.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from pamela.core.files import writing_to
from pamela.core.paths import Project
from pamela.study import participant as of
from pamela.study.delivery import deliver_choices, deliver_ratings, user_id
from pamela.study.journal import Journal
from pamela.study.participant import Choose, Comment, Participant, Rate, Step, Wait
from pamela.study.pictures import PictureStore, read_picture
from pamela.study.plan import Shown, compare_arms, rng_of, shuffled
from pamela.study.preparing import Advance, Preparing, Progress
from pamela.study.settings import Settings

PARTICIPANTS: Final = "participants"
PICTURES: Final = "pictures"
ID_BYTES: Final = 4


class Drawer(Protocol):
    """What makes a person's pictures (`pamela.study.steering.Steering`)."""

    def other(self, person: Participant, rated: Sequence[Participant]) -> str:
        """Draw whose reward the arm `other` follows."""
        ...

    def run(
        self, person: Participant, other: str, people: Mapping[str, Participant], advance: Advance
    ) -> Sequence[Shown]:
        """Make the pictures; `advance` is told of trials as they are done."""
        ...


def journals(folder: Path) -> list[Journal]:
    """Return the journals of a study."""
    return [Journal(path) for path in sorted((folder / PARTICIPANTS).glob("*.jsonl"))]


def load_people(folder: Path) -> list[Participant]:
    """Return a study's participants, in the order of their ids."""
    return [one for journal in journals(folder) if (one := Participant.load(journal))]


@dataclass
class Study:
    """A study and its people.

    Parameters
    ----------
    folder : ``data/studies/<name>``.
    to_rate : the pictures that everybody rates: id and file.
    drawer : makes a person's pictures.
    made : returns pictures that were made elsewhere, by user id; in place of `drawer`.
    total : trials of one person, for the progress.
    """

    project: Project
    folder: Path
    settings: Settings
    secret: bytes
    to_rate: dict[str, Path]
    drawer: Drawer | None = None
    made: Callable[[str], Sequence[Shown]] | None = None
    total: int = 1
    people: dict[str, Participant] = field(init=False)
    store: PictureStore = field(init=False)

    def __post_init__(self) -> None:
        self.people = {one.id: one for one in load_people(self.folder)}
        self.store = PictureStore(self.folder / PICTURES)
        self._lock = threading.RLock()
        self._preparing = Preparing(self._draw_for, self._keep_for, self.total)
        for person in self.people.values():
            self._go_on(person)

    def stop(self) -> None:
        """Draw for nobody any more."""
        self._preparing.stop()

    # --- who ----------------------------------------------------------------------------------
    def who(self, session: str) -> Participant | None:
        """Return who sits in front of a browser; None for somebody new."""
        key = of.session_key(session)
        return next((one for one in self.people.values() if key in one.sessions), None)

    def join(self, session: str) -> Participant:
        """Take somebody in who has agreed; a second click is the same person.

        Raises
        ------
        OSError, PamelaError
            If it cannot be written down.
        """
        with self._lock, writing_to(self.folder):
            found = self.who(session)
            if found is not None:
                return found
            name = f"p{secrets.token_hex(ID_BYTES)}"
            pictures = shuffled(list(self.to_rate), rng_of(self.settings.seed, name, "ratings"))
            journal = Journal(self.folder / PARTICIPANTS / f"{name}.jsonl")
            person = Participant.join(journal, name, pictures)
            person.record("session", session=of.session_key(session))
            self.people[name] = person
            self._go_on(person)
            return person

    def resume(self, session: str, code: str) -> Participant | None:
        """Let somebody go on in this browser by their code; None where the code is nobody's."""
        typed = of.plain_code(code)
        for person in list(self.people.values()):
            if secrets.compare_digest(self.code(person).encode(), typed.encode()):
                with self._lock, writing_to(self.folder):
                    if self.who(session) is not person:
                        person.record("session", session=of.session_key(session))
                return person
        return None

    def code(self, person: Participant) -> str:
        """Return a person's code."""
        return of.code_of(self.secret, person.id)

    # --- what they say ------------------------------------------------------------------------
    def rate(self, person: Participant, number: int, rating: float, ms: int) -> bool:
        """Take a rating, once; return whether it was this number's turn."""
        with self._lock, writing_to(self.folder):
            step = person.step
            if not isinstance(step, Rate) or step.number != number:
                return False
            person.record("rating", number=number, image_id=step.image_id, rating=rating, ms=ms)
            if person.rated:
                self._go_on(person)
            return True

    def choose(self, person: Participant, number: int, answer: str, ms: int) -> bool:
        """Take a choice, once; return whether it was this number's turn."""
        with self._lock, writing_to(self.folder):
            step = person.step
            if not isinstance(step, Choose) or step.number != number or answer not in of.ANSWERS:
                return False
            person.record("choice", number=number, choice=answer, ms=ms)
            if person.chosen:
                self._go_on(person)
            return True

    def say(self, person: Participant, text: str) -> None:
        """Take a comment, which may be empty, and end."""
        with self._lock, writing_to(self.folder):
            if not isinstance(person.step, Comment):
                return
            said = text.strip()[: of.LONGEST_COMMENT]
            if said:
                person.record("comment", text=said)
            person.record("finished")

    def _go_on(self, person: Participant) -> None:
        """Do what is due: deliver, look for pictures, have them drawn. Repeating it is harmless."""
        if person.pictures and person.rated:
            deliver_ratings(self.project, self.settings, person)
        if person.chosen and person.choices:
            deliver_choices(self.project, self.settings, person, self.store)
        if isinstance(person.step, Wait):
            if self.made is not None:
                shown = self.made(user_id(self.settings, person))
                if shown:
                    self._keep_for(person.id, shown)
            else:
                self._preparing.ask(person.id)

    # --- what they see ------------------------------------------------------------------------
    def look(self, person: Participant) -> Step:
        """Return what a person is asked now; whoever waits for a failed drawing is tried again."""
        if isinstance(person.step, Wait):
            with self._lock:
                self._go_on(person)
        return person.step

    def progress(self, person: Participant) -> Progress | None:
        """Return how far a waiting person's pictures are."""
        return self._preparing.progress(person.id)

    def token(self, person: Participant, step: Step, side: str) -> str:
        """Return the address of a picture of this step, for this person alone."""
        key = f"{type(step).__name__} {step.number}" if isinstance(step, Rate | Choose) else ""
        return of.picture_token(self.secret, person.id, key, side)

    def picture(self, session: str, token: str) -> tuple[bytes, str] | None:
        """Return a picture's bytes and kind if it is before this very person now; else None."""
        person = self.who(session)
        if person is None:
            return None
        step = person.step
        for side, path in self._files(step).items():
            if secrets.compare_digest(self.token(person, step, side).encode(), token.encode()):
                return read_picture(path)
        return None

    def _files(self, step: Step) -> dict[str, Path]:
        if isinstance(step, Rate):
            return {"one": self.to_rate[step.image_id]}
        if isinstance(step, Choose):
            pair = step.pair
            return {
                of.LEFT: self.store.path(pair.left.sha256),
                of.RIGHT: self.store.path(pair.right.sha256),
            }
        return {}

    # --- their pictures -----------------------------------------------------------------------
    def _draw_for(self, name: str, advance: Advance) -> Sequence[Shown]:
        if self.drawer is None:
            return []
        person = self.people[name]
        with self._lock, writing_to(self.folder):
            rated = [one for one in self.people.values() if one.rated and one.ratings]
            if person.other is None:  # the same again after a stop
                person.record("steering", other=self.drawer.other(person, rated))
        return self.drawer.run(person, str(person.other), self.people, advance)

    def _keep_for(self, name: str, shown: Sequence[Shown]) -> None:
        person = self.people[name]
        rng = rng_of(self.settings.seed, name, "pairs")
        with self._lock, writing_to(self.folder):
            if not person.pairs:
                person.prepare(shown, compare_arms(shown, self.settings.repeats, rng))
                if person.chosen and person.choices:
                    self._go_on(person)
