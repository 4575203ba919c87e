"""The model that answers now, replaced when what its URI names becomes another one."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import Params, load_params
from pamela.registry import versions
from pamela.serving.api import Reward
from pamela.serving.requests.answers import AdaptedPeople, Answers
from pamela.serving.requests.pictures import PictureDoor
from pamela.training.bundle import load_bundle

REGISTERED: Final = "models:/"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What a URI names at a moment; another one as soon as the alias or the files are others.

    Attributes
    ----------
    version : in the registry; None for a folder.
    state : of the folder's bundle: time, inode and size, where it lies here.
    """

    version: str | None
    place: str
    state: tuple[int, ...]


@dataclass(frozen=True)
class LoadedModel:
    """A model that answers."""

    answers: Answers
    found: Found
    project: Project | None
    loaded_at: str

    @cached_property
    def explaining(self) -> Answers:
        """The same model for another thread: what takes long is not to keep others waiting."""
        mine = self.answers
        reward = Reward(mine.reward.bundle, project=self.project)
        return Answers(reward, mine.door, mine.people)

    @property
    def reward(self) -> Reward:
        """The loaded reward model."""
        return self.answers.reward


class CurrentModel:
    """Loads what `uri` names, now and whenever it names another one.

    Parameters
    ----------
    uri : ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or a bundle folder.
    project : whose registry and saved people; None outside of one.
    most : pictures that are encoded at once.
    """

    def __init__(self, uri: str, project: Project | None, door: PictureDoor, most: int) -> None:
        self.uri = uri
        self._project, self._door, self._most = project, door, most
        self._people = AdaptedPeople()
        self.error: str | None = None
        self.now = self._load(self.find(), encoder=False)

    def find(self) -> Found:
        """Return what the URI names now.

        Raises
        ------
        PamelaError
            If it names nothing.
        """
        if not self.uri.startswith(REGISTERED):
            return Found(None, self.uri, _state(Path(self.uri)))
        version = self._version()
        state = _state(self._registry[0].root / version.path) if version.path else ()
        return Found(version.version, version.path or version.source, state)

    @cached_property
    def _registry(self) -> tuple[Project, Params]:
        if self._project is None:
            raise PamelaError(f"{self.uri}: a registered model is served inside its project")
        return self._project, load_params(self._project.params_file)

    def _version(self) -> versions.Version:
        parsed = versions.URI.fullmatch(self.uri)
        if not parsed:
            raise PamelaError(
                f"{self.uri}: not a model URI; write models:/{versions.NAME}@{versions.CHAMPION}"
            )
        listed = versions.list_versions(*self._registry, parsed["name"])
        return versions.choose(self.uri, listed, parsed["alias"], parsed["version"])

    def _load(self, found: Found, *, encoder: bool) -> LoadedModel:
        folder = Path(self.uri)
        if found.version is not None:
            name = self.uri.removeprefix(REGISTERED).partition("@")[0].partition("/")[0]
            # by number: the alias may move meanwhile
            uri = f"{REGISTERED}{name}/{found.version}"
            folder = versions.resolve(uri, *self._registry)
            found = replace(found, state=_state(folder))  # it may have been fetched just now
        reward = Reward(load_bundle(folder), batch_size=self._most, project=self._project)
        if encoder:  # the model before needed it: the first request is not to wait for it
            reward.pictures.encoder()
        at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        return LoadedModel(Answers(reward, self._door, self._people), found, self._project, at)

    async def watch(self, every_s: float) -> None:
        """Look every `every_s` seconds, and replace the model once another one is loaded."""
        while True:
            await asyncio.sleep(every_s)
            await self.refresh()

    async def refresh(self) -> None:
        """Replace the model if the URI names another one; if that fails, the old one stays."""
        error = None
        try:
            found = await asyncio.to_thread(self.find)
            if found != self.now.found:
                encodes = self.now.reward.pictures.encodes
                self.now = await asyncio.to_thread(self._load, found, encoder=encodes)
                log.warning("%s is %s now", self.uri, self.now.reward.version)
        except PamelaError as fault:
            error = str(fault)
        except Exception as fault:  # whatever broken files raise: the old model goes on
            error = f"{type(fault).__name__}: {fault}"
        if error is not None and error != self.error:
            log.error("no other model: %s; %s goes on", error, self.now.reward.version)
        self.error = error


def _state(folder: Path) -> tuple[int, ...]:
    """Return what is another one once a bundle was replaced."""
    try:
        found = (folder / "bundle.json").stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size
