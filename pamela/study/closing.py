"""The end of a study: what people gave who stopped before theirs goes into the inbox, too.

A closed study is not served again: somebody who went on would add to a batch that is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import write_json, writing_to
from pamela.core.paths import Project
from pamela.data.withdrawn import read_withdrawn
from pamela.study.delivery import deliver_choices, deliver_ratings, user_id
from pamela.study.journal import now
from pamela.study.participant import Participant
from pamela.study.pictures import PictureStore
from pamela.study.settings import Settings, load_settings, served_alone, study_folder
from pamela.study.study import PICTURES, load_people

CLOSED: Final = "closed.json"


@dataclass(frozen=True)
class Closing:
    """What the end of a study came to.

    Attributes
    ----------
    inbox : where batches of the study's dataset lie.
    batches : names of those that were delivered now.
    withdrawn : ids of the people who have withdrawn: nothing of theirs was delivered now.
    """

    inbox: Path
    batches: list[str]
    withdrawn: list[str]


def is_closed(folder: Path) -> bool:
    """Tell whether a study is closed."""
    return (folder / CLOSED).exists()


def require_open(folder: Path) -> None:
    """Raise unless people may still take part in a study."""
    if is_closed(folder):
        raise PamelaError(
            f"study {folder.name}: it is closed, and what people gave is delivered; give another "
            "--name"
        )


def close_study(project: Project, name: str) -> Closing:
    """End a study and deliver what was not: the ratings and choices of those who stopped.

    It is closed before anything is delivered, so a command that was killed is given again, and
    every batch comes once. Whoever stands in ``data/withdrawn.csv`` is left out.

    Raises
    ------
    PamelaError
        If there is no such study, it is being served, or a file of it is broken.
    """
    folder = study_folder(project, name)
    settings = load_settings(folder)
    with served_alone(folder), writing_to(folder):
        people = load_people(folder)
        withdrawn = _withdrawn(project, settings, people)
        if not is_closed(folder):
            write_json(folder / CLOSED, {"at": now()})
        store = PictureStore(folder / PICTURES)
        batches = [
            batch
            for person in people
            if person.id not in withdrawn
            for batch in _deliver(project, settings, person, store)
        ]
    return Closing(project.inbox / settings.dataset, batches, withdrawn)


def _withdrawn(project: Project, settings: Settings, people: list[Participant]) -> list[str]:
    mine = pl.col(s.DATASET) == settings.dataset
    out = set(read_withdrawn(project).filter(mine)[s.USER])
    return [one.id for one in people if user_id(settings, one) in out]


def _deliver(
    project: Project, settings: Settings, person: Participant, store: PictureStore
) -> Iterator[str]:
    """Deliver what somebody gave and what is not in the inbox yet; yield the batches' names."""
    before = set(person.delivered)
    if person.ratings:
        deliver_ratings(project, settings, person)
    if person.choices:
        deliver_choices(project, settings, person, store)
    yield from sorted(person.delivered - before)
