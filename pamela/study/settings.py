"""What a study is made of: fixed when it is first served, and the same whenever it goes on."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path, read_json, write_json
from pamela.core.paths import Project
from pamela.params import first_fault
from pamela.steer.generators.base import Candidate

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")  # becomes part of ids and of batches' names
FILE: Final = "study.json"
CONSENT: Final = "consent.md"
SECRET: Final = "secret"  # noqa: S105, the name of a file


class StartPrompt(BaseModel):
    """A prompt that is steered, and the seed of its pictures."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prompt_id: str
    prompt: str
    seed: int
    type: str | None = None
    group: str | None = None
    style: str | None = None

    @property
    def candidate(self) -> Candidate:
        """The original picture."""
        return Candidate(self.prompt_id, self.prompt, self.seed)


class Settings(BaseModel):
    """``study.json``, strictly.

    Attributes
    ----------
    scale : of the dataset's ratings.
    model_version : of the model that suggests, adapts and steers.
    ratings : pictures that a person rates; 0: none.
    repeats : pairs that a person sees a second time.
    prompts : what is steered; empty where the pictures were made elsewhere.
    pictures : hash of the table of such pictures; None where they are steered here.
    steering : generator, rewriter and size of the searches, as one text.
    consent : hash of the text.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    dataset: str
    scale: Annotated[list[float], Field(min_length=2, max_length=2)]
    model_version: str
    ratings: int
    repeats: int
    seed: int
    prompts: list[StartPrompt]
    pictures: str | None
    steering: str
    consent: str


def study_folder(project: Project, name: str) -> Path:
    """Return where the study called `name` lies.

    Raises
    ------
    PamelaError
        If no study can be called that.
    """
    if not NAME.fullmatch(name):
        raise PamelaError(
            f"--name {name}: give small letters, digits and dashes, at most 40, beginning with a "
            "letter or digit"
        )
    return project.studies / name


def begin(folder: Path, wanted: Settings, consent: str) -> None:
    """Write the settings of a new study, or hold them to those it was begun with.

    Raises
    ------
    PamelaError
        If the study was begun with others: answers to two studies would mix.
    """
    path = folder / FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / CONSENT) as aside:
            aside.write_text(consent, encoding="utf-8")
        write_json(path, wanted.model_dump())
        return
    begun, now = load_settings(folder).model_dump(), wanted.model_dump()
    # a set of pictures may grow while people take part: each was shown what it held by then
    differs = [key for key in now if begun[key] != now[key] and key != "pictures"]
    if (begun["pictures"] is None) != (now["pictures"] is None):
        differs.append("pairs")
    if differs:
        key = differs[0]
        values = f" ({_short(begun.get(key))}, now {_short(now.get(key))})"
        raise PamelaError(
            f"study {wanted.name}: it was begun with another {key}{values}; start it as it was "
            "begun, or give another --name"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def load_settings(folder: Path) -> Settings:
    """Read ``study.json``; a missing or broken one is an error that names it."""
    path = folder / FILE
    if not path.is_file():
        there = sorted(found.parent.name for found in folder.parent.glob(f"*/{FILE}"))
        names = ", ".join(there) or "none"
        raise PamelaError(f"study {folder.name}: there is none of this name; there are: {names}")
    try:
        return Settings.model_validate(read_json(path))
    except ValidationError as error:
        raise PamelaError(f"{path}: {first_fault(error)}") from None


def read_secret(folder: Path) -> bytes:
    """Return the key that signs cookies and makes codes and addresses; made once."""
    path = folder / SECRET
    if not path.exists():
        with atomic_path(path) as aside:
            aside.touch(mode=0o600)
            aside.write_text(secrets.token_hex(32))
    return bytes.fromhex(path.read_text().strip())


@contextmanager
def served_alone(folder: Path) -> Iterator[None]:
    """Hold a study's folder; the system drops the lock with the process.

    Raises
    ------
    PamelaError
        If another process serves this study.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PamelaError(
                f"study {folder.name}: another process serves it; stop that one, or give another "
                "--name"
            ) from None
        yield
    finally:
        os.close(descriptor)
