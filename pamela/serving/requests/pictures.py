"""Pictures as a client sends them: a file's content in base64, or a path below one folder.

No message tells whether anything lies outside that folder, and nothing but a regular file is read:
a pipe would never end, a device neither.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pamela.core.errors import PamelaError

# The first bytes of a PNG, JPEG or WebP file; base64 of anything else is taken for a path.
CONTENT: Final = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF")
LONGEST_PATH: Final = 80  # what is longer is not shown in messages: it may be a whole picture
# How base64 of such a file begins: where it does and the rest is wrong, it is no path either.
BEGINNINGS: Final = ("iVBORw0KGg", "/9j/", "UklGR")
URL_SAFE: Final = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class PictureDoor:
    """What lets a client's pictures in.

    Parameters
    ----------
    folder : below which a client may name files; None for nowhere.
    """

    folder: Path | None

    def enter(self, given: str | bytes, name: str) -> bytes | Path:
        """Return the content that was sent, or the file that was named.

        Raises
        ------
        PamelaError
            Naming the picture, with `name` before it.
        """
        if isinstance(given, bytes):
            return given
        content = decode_base64(given, name)
        return content if content is not None else self._file(given, name)

    def _file(self, text: str, name: str) -> Path:
        if self.folder is None:
            raise PamelaError(
                f"{name}: image is not a PNG, JPEG or WebP file in base64 (paths are read only "
                "below serve.image_folder of params.yaml, which is not set)"
            )
        found = _regular_file(self.folder, text)
        if found is None:
            raise PamelaError(
                f"{name}: image is neither a PNG, JPEG or WebP file in base64 nor the path of a "
                "file below serve.image_folder"
            )
        return found


def _regular_file(folder: Path, text: str) -> Path | None:
    """Return the readable regular file that `text` names below `folder`, links followed."""
    root = os.path.realpath(folder)
    try:
        # first by name alone: nothing outside is even looked for
        plain = os.path.normpath(text)
        outside = os.path.commonpath([root, plain]) != root if plain.startswith("/") else False
        if outside or plain.split("/")[0] == "..":
            return None
        real = os.path.realpath(os.path.join(root, text), strict=True)  # noqa: PTH118
        if os.path.commonpath([root, real]) != root or not stat.S_ISREG(os.stat(real).st_mode):  # noqa: PTH116
            return None
    except (OSError, ValueError):
        return None
    return Path(real) if os.access(real, os.R_OK) else None


def decode_base64(text: str, name: str) -> bytes | None:
    """Return the picture file that `text` holds in base64, or None where it holds none.

    Line breaks, the URL-safe alphabet and missing padding are fine; so is a ``data:`` URL.
    """
    marked = text.lstrip()[:5].lower() == "data:"
    payload = text
    if marked:
        head, _, payload = text.partition(",")
        if not head.rstrip().lower().endswith(";base64"):
            raise PamelaError(
                f"{name}: a data: URL without base64; write data:image/png;base64,..."
            )
        payload = unquote(payload)
    content = _bytes_of(payload)
    if marked and not content:
        raise PamelaError(f"{name}: the data: URL holds no valid base64")
    if content is None and payload.lstrip().startswith(BEGINNINGS):
        raise PamelaError(f"{name}: base64 that is cut, or has characters that are not base64")
    return content if content and (marked or content.startswith(CONTENT)) else None


def _bytes_of(text: str) -> bytes | None:
    bare = "".join(text.split()).translate(URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def named(given: str | bytes | None, name: str) -> str:
    """Return `name` with the path that was given behind it, if it is one (base64 has no dot)."""
    is_path = isinstance(given, str) and "." in given[:LONGEST_PATH]
    return f"{name} ({given!r})" if is_path and len(given or "") <= LONGEST_PATH else name
