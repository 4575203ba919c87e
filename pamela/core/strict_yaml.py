"""YAML 1.2 read strictly: a key that stands twice is an error, and ``1e-05`` is a number.

It is the version that DVC reads and writes, so both see the same values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pamela.core.errors import PamelaError


def read_yaml(path: Path, shown: str | None = None) -> Any:
    """Return the plain value of a YAML file, called `shown` in errors.

    Raises
    ------
    PamelaError
        If it is no YAML in UTF-8, names a Python object, nests too deeply, or has a key twice; it
        names the line where it can.
    FileNotFoundError
        If there is no such file: what to do about that, its reader knows.
    """
    text = path.read_bytes()
    try:
        # pure: the parser in C knows YAML 1.1 only
        return YAML(typ="safe", pure=True).load(text.decode("utf-8-sig"))
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: also a date that is none
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f":{mark.line + 1}" if mark else ""
        # of a list that stands twice, ruamel.yaml names a value that it has not read yet
        said = problem.partition(" with value ")[0] if problem else _of_a_value(error)
        why = f" ({said})" if said else ""
        raise PamelaError(f"{shown or path}{where}: not valid YAML{why}") from None


def _of_a_value(error: Exception) -> str:
    """Return what is wrong with a value that looks like a date or a time and is none."""
    if isinstance(error, UnicodeError):
        return "not UTF-8 text; save it as UTF-8"
    if isinstance(error, YAMLError | RecursionError):
        return ""
    return f"a date or time that is none: {error}"
