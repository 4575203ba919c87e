"""People who are kept so that any later model finds them again: what `pamela adapt` saves.

A saved person is ``data/people/NAME.json``: what they rated, how, and what they said of themselves.
Nothing a model made of it is in there, so that the next champion can read it too: a picture is
found by its content or its id in the model's catalog, else encoded again from where it lay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from pydantic import ValidationError

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.params import first_fault
from pamela.serving.adaptation import Adapter
from pamela.serving.arguments.chosen_pictures import NO_CHOICES, ChosenPictures
from pamela.serving.saved.records import (
    FORMAT,
    SavedChoice,
    SavedPerson,
    SavedPicture,
    SavedRating,
)
from pamela.serving.types import Recorded, ResolvedImage
from pamela.serving.user_context import User

PEOPLE: Final = "people"  # `people/NAME` is a saved person, whoever else has that name
NAME: Final = re.compile(r"[^\W_][\w.-]{0,63}")
LONGEST_NAME: Final = 200  # bytes; a file system takes 255, and a letter may have four
State: TypeAlias = tuple[int, int, int]  # of a file: another one after every change


class SavedPeople:
    """The saved people of a project: one JSON file each.

    Parameters
    ----------
    folder : where they are kept.
    root : the project root, which recorded paths are relative to.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root

    @property
    def names(self) -> list[str]:
        """Who is there."""
        return sorted(path.stem for path in self.folder.glob("[!.]*.json") if path.is_file())

    def path(self, name: str) -> Path:
        """Return the file of the person called `name`.

        Raises
        ------
        PamelaError
            If nobody can be called that.
        """
        known = _spelling(name)
        if known is None:
            raise PamelaError(
                f"name {name!r}: give up to 64 letters, digits, dots, dashes or underscores "
                f"({LONGEST_NAME} bytes), beginning with a letter or digit"
            )
        return self.folder / f"{known}.json"

    def has(self, name: str) -> bool:
        """Tell whether there is such a person."""
        return _spelling(name) is not None and self.path(name).is_file()

    def state(self, name: str) -> State | None:
        """Return what changes when a person's file does; None where there is none."""
        try:
            found = self.path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def load(self, name: str) -> SavedPerson:
        """Read a person; a file that is none is an error that names it."""
        path = self.path(name)
        raw: Any = read_json(path)
        try:
            found = SavedPerson.model_validate(raw)
        except ValidationError as error:
            raise PamelaError(f"{path}: {first_fault(error)}") from None
        if found.format != FORMAT:
            raise PamelaError(f"{path}: format {found.format}, not {FORMAT}; adapt again")
        return found

    def save(self, name: str, person: SavedPerson, before: State | None) -> bool:
        """Write a person, unless somebody else has written them meanwhile.

        Parameters
        ----------
        before : the `state` when what is saved was worked out.

        Returns
        -------
        Whether it was written; if not, load it again.

        Raises
        ------
        PamelaError
            If the file cannot be written.
        """
        path = self.path(name)
        try:
            with self._locked():
                if self.state(name) != before:
                    return False
                for left in self.folder.glob(".*.json"):  # by a writer that was killed: we hold
                    left.unlink(missing_ok=True)  # the lock, so nobody else is writing
                write_json(path, person.model_dump())
        except OSError as error:
            raise PamelaError(f"{path}: cannot be written ({error.strerror})") from None
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock; the system drops it with the process."""
        import fcntl  # not everywhere, and needed only to write

        self.folder.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def record(
        self,
        adapter: Adapter,
        user: User,
        resolved: Sequence[ResolvedImage],
        ratings: Sequence[float],
        chosen: ChosenPictures = NO_CHOICES,
    ) -> SavedPerson:
        """Return what to save of `user`, who rated the pictures `resolved` and chose.

        Parameters
        ----------
        chosen : with pictures that were looked up, as `resolved`.
        """
        low, high = adapter.bundle.scales[user.dataset]
        prompts = user.context.frame[s.PROMPT].to_list()

        def picture(one: ResolvedImage, row: int) -> dict[str, Any]:
            return {
                "image_id": adapter.pictures.catalog.image_id(one, user.dataset),
                "sha256": one.sha256,
                "file": self._shown(one.picture) or adapter.pictures.catalog.file(one),
                "prompt": prompts[row],
            }

        rows = [
            SavedRating(rating=float(rating), **picture(one, row))
            for row, (one, rating) in enumerate(zip(resolved, ratings, strict=True))
        ]
        looked_up = cast("Sequence[ResolvedImage]", chosen.images)
        sides = zip(user.choices, chosen.choices, looked_up[::2], looked_up[1::2], strict=True)
        choices = [
            SavedChoice.model_validate(
                {"choice": choice, "a": picture(one, a), "b": picture(other, b)}
            )
            for (a, b, _), choice, one, other in sides
        ]
        return SavedPerson(
            format=FORMAT,
            dataset=user.dataset,
            scale=[low, high],
            demographics=dict(user.demographics),
            ratings=rows,
            choices=choices,
        )

    def _shown(self, picture: Any) -> str | None:
        if isinstance(picture, Recorded):
            picture = picture.file
        if not isinstance(picture, Path):
            return None
        path = Path(os.path.abspath(picture))  # noqa: PTH100 (links stay as they are)
        return path.relative_to(self.root).as_posix() if self._below(path) else path.as_posix()

    def _below(self, path: Path) -> bool:
        return path.is_relative_to(self.root)

    def pictures(self, person: SavedPerson) -> list[Recorded]:
        """Return how a model finds the pictures that `person` rated."""
        return [self._recorded(person.dataset, one) for one in person.ratings]

    def chosen(self, person: SavedPerson) -> ChosenPictures:
        """Return the choices of `person`, with how a model finds the pictures."""
        sides = [side for one in person.choices for side in (one.a, one.b)]
        return ChosenPictures(
            [self._recorded(person.dataset, side) for side in sides],
            [side.prompt for side in sides],
            [one.choice for one in person.choices],
            [f"choice {i + 1}" for i in range(len(person.choices))],
        )

    def _recorded(self, dataset: str, one: SavedPicture) -> Recorded:
        file = self.root / one.file if one.file else None
        return Recorded(dataset, one.image_id, one.sha256, file)

    def recall(self, name: str, adapter: Adapter, person: SavedPerson | None = None) -> User:
        """Return a saved person as a user of this model.

        Parameters
        ----------
        person : what to go by in place of the file.

        Raises
        ------
        PamelaError
            If the dataset or its scale is another now, or a picture is not to be had; it names the
            file and the rating.
        """
        path, person = self.path(name), person or self.load(name)
        where = os.path.relpath(path, self.root)
        scale = adapter.bundle.scales.get(person.dataset)
        if scale is None:
            raise PamelaError(
                f"{where}: this model does not know dataset {person.dataset}, only "
                f"{', '.join(adapter.bundle.scales)}; adapt again on one of them"
            )
        if list(scale) != person.scale:
            low, high = person.scale
            raise PamelaError(
                f"{where}: rated on {low:g}..{high:g}, but {person.dataset} has the scale "
                f"{scale[0]:g}..{scale[1]:g}; adapt again"
            )
        try:
            return adapter.user(
                person.dataset,
                person.demographics,
                self.pictures(person),
                [one.prompt for one in person.ratings],
                [one.rating for one in person.ratings],
                [f"rating {i + 1} ({_named(one)})" for i, one in enumerate(person.ratings)],
                chosen=self.chosen(person),
                keep=True,
            )
        except PamelaError as error:
            raise PamelaError(f"{where}: {error}") from None


def _named(one: SavedRating) -> str:
    return one.file or one.image_id or (one.sha256 or "")[:12]


def _spelling(name: str) -> str | None:
    """Return how a person's name is spelt in a file's name; None where nobody can be called so."""
    try:
        known = s.one_spelling(name)
    except UnicodeEncodeError:  # half a character, as a terminal of another encoding passes it
        return None
    return known if NAME.fullmatch(known) and len(known.encode()) <= LONGEST_NAME else None
