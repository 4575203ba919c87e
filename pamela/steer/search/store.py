"""What was drawn and scored before, kept by content: nothing is drawn or scored twice.

A picture stands under the hash of what it was drawn from (the generator's fingerprint, the prompt,
the seed), a score under the hash of what was scored (the reward's fingerprint, the user, the
candidate, the picture's pixels).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from pamela.core.files import atomic_path
from pamela.steer.generators.base import Candidate, Image
from pamela.steer.search.score_table import ScoreTable

PIXELS: Final = "pixels"  # the text chunk of a kept picture that holds the hash of its pixels
MEMORY: Final = 512 * 2**20  # bytes of pixels that are kept where there is no folder
COMPRESSION: Final = 1  # of PNG's 0..9: more costs time and saves a tenth


@dataclass
class Counts:
    """How many pictures were asked for and drawn.

    Attributes
    ----------
    asked : trials, whether their pictures were there already or not.
    drawn : pictures that the generator drew.
    """

    asked: int = 0
    drawn: int = 0

    @property
    def reused(self) -> int:
        """How many were there already."""
        return self.asked - self.drawn


class Store(Protocol):
    """Where a search keeps pictures and scores; `counts` says what that saved."""

    counts: Counts

    def picture(self, key: str) -> Image | None:
        """Return a kept picture; None where there is none, or a damaged one."""
        ...

    def keep_picture(self, key: str, image: Image) -> None:
        """Keep a picture."""
        ...

    def scores(self, keys: Iterable[str]) -> dict[str, float]:
        """Return those of the scores that are kept."""
        ...

    def keep_scores(self, scores: Mapping[str, float]) -> None:
        """Keep scores."""
        ...


@dataclass
class MemoryStore:
    """Keeps scores, and the last `most` bytes of pictures, as long as it lives."""

    most: int = MEMORY
    counts: Counts = field(default_factory=Counts)
    _pictures: OrderedDict[str, Image] = field(default_factory=OrderedDict)
    _scores: dict[str, float] = field(default_factory=dict)
    _bytes: int = 0

    def picture(self, key: str) -> Image | None:
        """Return a kept picture."""
        return self._pictures.get(key)

    def keep_picture(self, key: str, image: Image) -> None:
        """Keep a picture; the oldest ones make room for it."""
        self._pictures[key] = image
        self._bytes += image.nbytes
        while self._bytes > self.most and len(self._pictures) > 1:
            self._bytes -= self._pictures.popitem(last=False)[1].nbytes

    def scores(self, keys: Iterable[str]) -> dict[str, float]:
        """Return those of the scores that are kept."""
        return {key: self._scores[key] for key in keys if key in self._scores}

    def keep_scores(self, scores: Mapping[str, float]) -> None:
        """Keep scores."""
        self._scores.update(scores)


class FolderStore:
    """Keeps pictures as PNG files and scores in a table, for this and all later runs.

    ::

        pictures/<two digits>/<key>.png     with the hash of its pixels in a text chunk
        scores.sqlite

    It may be deleted at any time. A file that was damaged is as good as none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts = Counts()
        self._scores = ScoreTable(folder / "scores.sqlite")

    def path(self, key: str) -> Path:
        """Return where a picture is kept; its name says nothing about it."""
        return self.folder / "pictures" / key[:2] / f"{key}.png"

    def picture(self, key: str) -> Image | None:
        """Return a kept picture; None where there is none, or its pixels are not what they were."""
        try:
            with PillowImage.open(io.BytesIO(self.path(key).read_bytes()), formats=["PNG"]) as file:
                image = np.array(file)
                known = file.text.get(PIXELS) if hasattr(file, "text") else None
        except FileNotFoundError:
            return None
        except Exception:  # Pillow's decoders raise a dozen kinds on broken bytes
            return None
        return image if known == pixel_hash(image) else None

    def keep_picture(self, key: str, image: Image) -> None:
        """Write a picture whole or not at all."""
        note = PngInfo()
        note.add_text(PIXELS, pixel_hash(image))
        with atomic_path(self.path(key)) as aside:
            PillowImage.fromarray(image).save(
                aside, "PNG", pnginfo=note, compress_level=COMPRESSION
            )

    def scores(self, keys: Iterable[str]) -> dict[str, float]:
        """Return those of the scores that are kept."""
        return self._scores.get(keys)

    def keep_scores(self, scores: Mapping[str, float]) -> None:
        """Write scores, all or none."""
        self._scores.add(scores)


def picture_key(generator: str, candidate: Candidate) -> str:
    """Return what a picture is kept under.

    Parameters
    ----------
    generator : the generator's fingerprint.
    """
    return _hash(generator, candidate.prompt, candidate.seed)


def score_key(reward: str, user: str | None, candidate: Candidate, pixels: str) -> str:
    """Return what a score is kept under.

    Parameters
    ----------
    reward : the reward's fingerprint.
    user : whom it is for; None where it does not depend on them.
    pixels : `pixel_hash` of the picture.
    """
    return _hash(reward, user, candidate.prompt_id, candidate.prompt, pixels)


def pixel_hash(image: Image) -> str:
    """Return the hash of a picture's pixels."""
    return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()


def _hash(*parts: str | int | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
