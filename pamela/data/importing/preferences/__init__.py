"""Releases of choices and rankings, each read by a module and written in the tables format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pamela.data.importing.preferences import hpd, image_reward, pick_a_pic
from pamela.data.importing.preferences.release import ChoiceRelease


@dataclass(frozen=True)
class Kind:
    """How a release of choices is read.

    Attributes
    ----------
    read : ``read(src)`` gives what is in a folder or file.
    columns : its files and their columns, for ``pamela import --help``; lines of at most 78.
    """

    read: Callable[[Path], ChoiceRelease]
    columns: str


KINDS: Final[dict[str, Kind]] = {
    "pick-a-pic": Kind(pick_a_pic.read, pick_a_pic.COLUMNS),
    "hpd": Kind(hpd.read, hpd.COLUMNS),
    "image-reward": Kind(image_reward.read, image_reward.COLUMNS),
}
