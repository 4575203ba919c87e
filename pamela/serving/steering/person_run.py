"""Steer a prompt for one person: search, choose, write the run's folder, log it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pamela.core.errors import PamelaError
from pamela.core.files import writing_to
from pamela.core.paths import Project
from pamela.core.timeline import Span
from pamela.evaluation.provenance import stable_hash
from pamela.serving.steering.outcome import OutcomeWriter
from pamela.serving.steering.people_reward import PeopleReward
from pamela.serving.steering.progress import Listener, Teller
from pamela.serving.steering.result import Steered
from pamela.serving.steering.settings import SteerSettings, folder_name
from pamela.serving.steering.tracking import publish_run, require_tracking
from pamela.steer.generators.factory import get_generator
from pamela.steer.rewriters.factory import get_rewriter
from pamela.steer.search.loop import run_identity, run_searches
from pamela.steer.search.run_record import SETTINGS
from pamela.steer.search.store import FolderStore
from pamela.steer.search.trials import Search

if TYPE_CHECKING:
    from pamela.serving.api import Reward
    from pamela.serving.user_context import UserContext

PERSON: Final = "person"  # the one reward there is


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a run's folder; the system lets go of it with the process.

    Raises
    ------
    PamelaError
        If another command is at work there, or something else lies there.
    """
    import fcntl  # not everywhere, and needed only to write

    if folder.is_dir() and any(folder.iterdir()) and not (folder / SETTINGS).is_file():
        raise PamelaError(f"{folder}: holds something else; name an empty or a new folder")
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PamelaError(f"{folder}: another command is steering there; wait for it") from None
    finally:
        os.close(held)


class PersonRun:
    """One prompt steered for one person.

    Parameters
    ----------
    user : what to call the person; None for people in general.
    person : what is known of them.
    """

    def __init__(
        self,
        reward: Reward,
        project: Project,
        settings: SteerSettings,
        user: str | None,
        person: UserContext,
    ) -> None:
        self.reward, self.project, self.settings = reward, project, settings
        self.user, self.person = user, person
        self.store = FolderStore(project.steering_cache)

    def run(self, folder: Path | None, *, track: bool, listener: Listener | None) -> Steered:
        """Search, write the folder and log it.

        Parameters
        ----------
        folder : of the run; by default one below ``steering/``, the same for the same run.
        track : whether MLflow is to show it.
        listener : told of every part that is drawn and scored, and of every round.
        """
        began = time.time()
        if track:
            require_tracking(self.project, self.settings.params)
        self.reward.pictures.encoder("a drawn picture")  # or it is said before anything is drawn
        params = self.settings.params
        search = Search(PERSON, self.user, self.settings.start)
        opinion = PeopleReward(
            self.reward.user_contexts,
            self.reward.pictures,
            {self.user: self.person},
            penalty=self.settings.penalty,
        )
        with get_generator(params) as generator, get_rewriter(params) as rewriter:
            parts: dict[str, Any] = {
                "generator": generator,
                "rewriter": rewriter,
                "rewards": {PERSON: opinion},
                "settings": params.steer,
            }
            identity = run_identity([search], **parts)
            folder = folder or self._folder(identity)
            scale = self.reward.bundle.scales[self.person.dataset]
            teller = Teller(params.steer.rounds, params.steer.variants, folder, scale, listener)
            with alone_in(folder):
                trials = run_searches(
                    [search],
                    **parts,
                    advance=teller.advance,
                    on_round=teller.finish_round,
                    store=self.store,
                    folder=folder,
                )
                writer = OutcomeWriter(
                    self.reward, self.project, self.settings, self.person, self.store, generator
                )
                steered = writer.write(folder, trials, self._facts())
        if track:
            facts, span = self._facts(), Span(began, time.time())
            run_id = publish_run(self.project, params, steered, identity, facts, span)
            steered = replace(steered, run_id=run_id)
        return steered

    def _folder(self, identity: dict[str, Any]) -> Path:
        name = folder_name(self.user, self.settings.prompt, stable_hash(identity))
        return self.project.steering / name

    def _facts(self) -> dict[str, Any]:
        """Return what people want to know of the run beside its result."""
        steer = self.settings.params.steer
        return {
            "user": self.user,
            "source": self.person.source,
            "prompt": self.settings.prompt,
            "dataset": self.person.dataset,
            "model_version": self.reward.version,
            "generator": steer.generator,
            "rewriter": steer.rewriter,
            "rounds": steer.rounds,
            "variants": steer.variants,
            "seed": steer.seed,
            "penalty": self.settings.penalty,
        }
