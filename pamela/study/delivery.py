"""From a participant's journal to batches in ``data/inbox/``: complete at once, and once each.

A batch is written aside and takes its name in one rename, ``_DONE`` included. Its bytes follow
from the journal alone: one that a killed server delivers again is known as the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.files import atomic_folder
from pamela.core.paths import Project
from pamela.retraining.intake.contents import DONE
from pamela.study.journal import AT
from pamela.study.participant import LEFT, RIGHT, TIE, Participant
from pamela.study.pictures import PictureStore
from pamela.study.settings import Settings, StartPrompt

RATINGS, CHOICES = "ratings", "choices"
SAID: Final = {LEFT: s.CHOSE_A, RIGHT: s.CHOSE_B, TIE: s.TIE}
IMAGE_COLUMNS: Final = (s.IMAGE, s.FILE, s.PROMPT, *s.METADATA, s.PROMPT_ID)


def batch_name(settings: Settings, person: Participant, what: str) -> str:
    """Return the name of a participant's batch."""
    return f"{settings.name}-{person.id}-{what}"


def user_id(settings: Settings, person: Participant) -> str:
    """Return what a participant is called in the data."""
    return f"{settings.name}-{person.id}"


def deliver_ratings(project: Project, settings: Settings, person: Participant) -> None:
    """Put a participant's ratings into the inbox."""
    rows = pl.DataFrame(
        {
            s.USER: user_id(settings, person),
            s.IMAGE: [one["image_id"] for one in person.ratings],
            s.RATING: [float(one["rating"]) for one in person.ratings],
            s.RATED_AT: [one[AT] for one in person.ratings],
            s.POSITION: [one["number"] + 1 for one in person.ratings],
        }
    )
    _deliver(project, settings, person, RATINGS, {"ratings.csv": rows})


def deliver_choices(
    project: Project, settings: Settings, person: Participant, store: PictureStore
) -> None:
    """Put a participant's choices into the inbox, with the pictures between which they chose.

    A picture has an id of this participant's own, so that batches do not wait for each other;
    those of equal content, or of one prompt, lie on one side of a split nevertheless.
    """
    asked = person.asked[: len(person.choices)]
    shown = {one.sha256: one for pair in asked for one in (pair.left, pair.right)}
    ids = {sha: f"{user_id(settings, person)}-{n:03d}" for n, sha in enumerate(sorted(shown), 1)}
    rows = pl.DataFrame(
        {
            s.USER: user_id(settings, person),
            s.IMAGE_A: [ids[pair.left.sha256] for pair in asked],
            s.IMAGE_B: [ids[pair.right.sha256] for pair in asked],
            s.CHOICE: [SAID[one["choice"]] for one in person.choices],
            s.CHOSEN_AT: [one[AT] for one in person.choices],
            s.POSITION: [one["number"] + 1 for one in person.choices],
        }
    )
    starts = {start.prompt_id: start for start in settings.prompts}
    images = pl.DataFrame(
        [
            {
                s.IMAGE: ids[sha],
                s.FILE: f"images/{ids[sha]}.png",
                s.PROMPT: one.prompt,
                **_metadata(starts.get(one.prompt_id)),
                s.PROMPT_ID: one.prompt_id,
            }
            for sha, one in sorted(shown.items())
        ],
        schema=dict.fromkeys(IMAGE_COLUMNS, pl.String),
    )
    files = {f"images/{ids[sha]}.png": store.path(sha) for sha in shown}
    _deliver(project, settings, person, CHOICES, {"choices.csv": rows, "images.csv": images}, files)


def _metadata(start: StartPrompt | None) -> dict[str, str | None]:
    """Return the metadata of a prompt, which its variants keep."""
    return {name: getattr(start, name, None) for name in s.METADATA}


def _deliver(
    project: Project,
    settings: Settings,
    person: Participant,
    what: str,
    tables: Mapping[str, pl.DataFrame],
    files: Mapping[str, Path] | None = None,
) -> None:
    name = batch_name(settings, person, what)
    if name in person.delivered:
        return
    about = f"name: {settings.dataset}\n"
    if what == RATINGS:
        about += f"scale: {json.dumps(settings.scale)}\n"
    try:
        with atomic_folder(project.inbox / settings.dataset / name, replace=False) as aside:
            (aside / "dataset.yaml").write_text(about, encoding="utf-8")
            for file, table in tables.items():
                table.write_csv(aside / file)
            for file, source in (files or {}).items():
                (aside / file).parent.mkdir(exist_ok=True)
                shutil.copyfile(source, aside / file)
            (aside / DONE).touch()
    except FileExistsError:
        pass  # a server that was killed before it could write so had delivered it
    person.record("delivered", batch=name)
