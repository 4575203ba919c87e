"""What `Reward.steer` is given, checked, and who it is for."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import load_params
from pamela.serving.arguments.texts import shown
from pamela.serving.steering.person_run import PersonRun
from pamela.serving.steering.progress import Listener
from pamela.serving.steering.result import Steered
from pamela.serving.steering.settings import read_settings
from pamela.serving.user_context import User

if TYPE_CHECKING:
    from pamela.serving.api import Reward


def steer(
    reward: Reward,
    root: Path | None,
    *,
    user: str | User | None,
    dataset: str | None,
    folder: str | PathLike[str] | None,
    track: bool,
    listener: Listener | None,
    **asked: Any,
) -> Steered:
    """Steer a prompt for a person; `Reward.steer` says what is what.

    Parameters
    ----------
    root : of the project; None: the one around the working directory.
    asked : what `read_settings` reads.
    """
    project = Project(root) if root else Project.here()
    settings = read_settings(load_params(project.params_file), **asked)
    if folder is not None and not isinstance(folder, str | PathLike):
        raise PamelaError(f"folder {shown(folder)}; give a path")
    person = reward.user_context(user, dataset)
    if user is not None and not reward.bundle.model.personal:
        raise PamelaError(
            f"the model {reward.version} knows no single user, so it steers for people in general "
            "alone: leave the user out, or name another model"
        )
    name = _name(user, person.key) if user is not None else None
    run = PersonRun(reward, project, settings, name, person)
    try:
        return run.run(Path(folder) if folder else None, track=track, listener=listener)
    except OSError as error:  # a folder that may not be read or written
        where = error.filename or folder or project.steering
        raise PamelaError(f"{where}: {error.strerror or error}") from None


def _name(user: str | User, key: str) -> str:
    """Return what to call somebody: as the model knows them, else as they were asked for."""
    if isinstance(user, User):
        return "adapted"
    return user if key.endswith("/") else key  # somebody adapted to has no id
