"""What is said of somebody or something that is not there: what comes near, or what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

MOST_COMPARED: Final = 20_000  # names compared with an unknown one: each costs microseconds
LONGEST_COMPARED: Final = 200
LONGEST_SHOWN: Final = 60
MOST_NAMED: Final = 3
# What people write for a path where no file is: how it looks, and what to do.
NO_PATHS: Final = (
    (re.compile(r"https?:/", re.I), "a web address; download the picture and give its file"),
    (re.compile(r"[a-z][a-z0-9+.-]+:/", re.I), "an address; give the path of a file"),
    (re.compile(r"[a-z]:[\\/]|.*\\", re.I), "a path of Windows; write it as it is here, with /"),
    (re.compile(r"~"), "~ is not replaced here; write the folder out"),
    (re.compile(r".*%[0-9a-f]{2}", re.I), "looks encoded for the web; write %20 as a blank"),
)


def unknown_image(image_id: str, dataset: str, known: Iterable[str]) -> str:
    """Return what to say of a picture id that `dataset`, with the ids `known`, does not have."""
    return f"no picture {quoted(image_id)} in dataset {dataset}: {nearest(image_id, known, 'ids')}"


def nearest(wanted: str, names: Iterable[str], what: str) -> str:
    """Return the names that come near `wanted`, or some to begin with."""
    known = list(dict.fromkeys(names))
    if len(known) <= MOST_COMPARED and len(wanted) <= LONGEST_COMPARED:
        folded = {name.casefold(): name for name in known}
        close = difflib.get_close_matches(wanted.casefold(), folded, MOST_NAMED)
        if close:
            return f"did you mean {', '.join(folded[one] for one in close)}?"
    some = ", ".join(known[:MOST_NAMED]) or "none"
    return f"{len(known)} {what} are known, such as {some}"


def quoted(text: str) -> str:
    """Return text for a message: as Python writes it, never longer than a line."""
    said = repr(text)
    return said if len(said) <= LONGEST_SHOWN else f"{said[: LONGEST_SHOWN - 3]}..."


def missing_file(path: str, why: str) -> str:
    """Return why there is no file at `path`: what the system says, or how `path` looks."""
    return next((advice for look, advice in NO_PATHS if look.match(path)), why)
