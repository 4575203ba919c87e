"""The mark of a refusal: a file ``_REFUSED`` in the batch, with the reason and what was looked at.

While the batch is as it was, later cycles pass it by. Changing it, or deleting the file, has it
tried again. Where the file cannot be written (a link, a folder of somebody else's, a full disk) the
mark is kept in ``.cache/refused/``, which may be deleted at will.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path
from pamela.core.paths import Project
from pamela.retraining.intake.contents import REFUSED, state_of

ADVICE: Final = (
    "Mend the batch: as soon as it is changed, the next retrain tries it again. If nothing in it "
    "is wrong (a limit was raised, say), delete this file."
)
STATE: Final = re.compile(r"^state of the batch: ([0-9a-f]{64})$", re.M)


@dataclass(frozen=True)
class Refusal:
    """Why a batch was refused, and in which state it was."""

    why: str
    state: str | None


def refuse(project: Project, folder: Path, why: str, state: str, *, trace: str = "") -> bool:
    """Mark the batch in `folder` as refused; return whether that could be written.

    Parameters
    ----------
    state : of the batch before it was looked at (`contents.state_of`).
    trace : of an exception that nobody expected.
    """
    text = f"{why}\n{ADVICE}\nstate of the batch: {state}\n{trace}"
    for mark in _marks(project, folder):
        try:
            with atomic_path(mark) as aside:
                aside.write_text(text, encoding="utf-8", errors="replace")
            return True
        except (OSError, PamelaError):
            continue
    return False


def refusal_of(project: Project, folder: Path) -> Refusal | None:
    """Return the refusal of the batch in `folder`, if it still stands."""
    for mark in _marks(project, folder):
        try:
            text = mark.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        state = STATE.search(text)
        if state is None or state[1] == state_of(folder):
            return Refusal(text.partition("\n")[0], state[1] if state else None)
    return None


def forget(project: Project, folder: Path) -> None:
    """Remove the mark that does not lie in the batch itself."""
    _kept_apart(project, folder).unlink(missing_ok=True)


def _marks(project: Project, folder: Path) -> list[Path]:
    """Return where the mark may lie: in the batch, unless a link leads there; else apart."""
    linked = folder.is_symlink() or folder.parent.is_symlink()
    apart = _kept_apart(project, folder)
    return [apart] if linked else [folder / REFUSED, apart]


def _kept_apart(project: Project, folder: Path) -> Path:
    name = hashlib.sha256(project.relative(folder).encode(errors="surrogateescape")).hexdigest()
    return project.refusals / f"{name}.txt"
