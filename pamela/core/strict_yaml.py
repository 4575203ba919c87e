"""YAML 1.2 read strictly: a key that stands twice is an error, and ``1e-05`` is a number.

It is the version that DVC reads and writes, so both see the same values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from pamela.core.errors import PamelaError


class _Constructor(SafeConstructor):
    """Names the place of a value that looks like a date or a time and is none."""

    def construct_yaml_timestamp(self, node: ScalarNode, values: Any = None) -> Any:
        try:
            return super().construct_yaml_timestamp(node, values)
        except ValueError as error:
            said = f"{node.value} is no date or time: {error}; put it in quotes if it is text"
            raise ConstructorError(None, None, said, node.start_mark) from None


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_timestamp)


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
        yaml = YAML(typ="safe", pure=True)  # the parser in C knows YAML 1.1 only
        yaml.Constructor = _Constructor
        return yaml.load(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PamelaError(f"{shown or path}: not UTF-8 text; save it as UTF-8") from None
    except (YAMLError, ValueError, RecursionError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f":{mark.line + 1}" if mark else ""
        # of a list that stands twice, ruamel.yaml names a value that it has not read yet
        said = problem.partition(" with value ")[0] if problem else _other(error)
        why = f" ({said})" if said else ""
        raise PamelaError(f"{shown or path}{where}: not valid YAML{why}") from None


def _other(error: Exception) -> str:
    """Return what is wrong where ruamel.yaml names no place."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return (str(error).splitlines() or [""])[0]
