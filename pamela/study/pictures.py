"""The pictures of a study: files that people see byte for byte."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path
from pamela.core.images import Picture, open_rgb

KINDS: Final = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


@dataclass(frozen=True)
class PictureStore:
    """PNG files by their hash: pixels alone, without a name or a word of where they come from."""

    folder: Path

    def add(self, picture: Picture, name: str) -> str:
        """Keep a picture as a scorer sees it (`open_rgb`); return the file's hash.

        Raises
        ------
        PamelaError
            If it is none; `name` is what the message calls it.
        """
        stream = io.BytesIO()
        rgb = open_rgb(picture, name)
        Image.frombytes("RGB", rgb.size, rgb.tobytes()).save(stream, "PNG")  # no words of the file
        content = stream.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if not path.is_file():
            with atomic_path(path) as aside:
                aside.write_bytes(content)
        return sha256

    def path(self, sha256: str) -> Path:
        """Return the file of a picture."""
        return self.folder / f"{sha256}.png"


def read_picture(path: Path) -> tuple[bytes, str]:
    """Return a file's bytes, and what a browser is told that they are."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PamelaError(f"{path}: {error.strerror}") from None
    kinds = (kind for start, kind in KINDS.items() if content.startswith(start))
    return content, next(kinds, "application/octet-stream")
