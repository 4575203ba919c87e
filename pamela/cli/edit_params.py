"""Changing single values of ``params.yaml`` in place: comments, order and all else stay.

The value's place in the text comes from the YAML parser, and the result is read back before it
takes the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path
from pamela.params import load_params

PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*(:[A-Za-z0-9_./-]+)*")
Value = str | Sequence[str]


def set_params(path: Path, changes: Mapping[str, Value]) -> None:
    """Set keys such as ``ingest.datasets`` of the params file `path`.

    Parameters
    ----------
    path : ``params.yaml``.
    changes : dotted key -> a text or a list of texts.

    Raises
    ------
    PamelaError
        If the file is not valid params, before or after, or lacks a key.
    """
    load_params(path)
    text = path.read_text(encoding="utf-8")
    wanted: dict[str, Any] = yaml.safe_load(text)
    for key, value in changes.items():
        text = _replaced(text, key, value, path)
        *sections, last = key.split(".")
        inner = wanted
        for section in sections:
            inner = inner[section]
        inner[last] = value if isinstance(value, str) else list(value)
    if yaml.safe_load(text) != wanted:
        raise PamelaError(f"{path}: {', '.join(changes)} cannot be set safely; edit it by hand")
    with atomic_path(path) as aside:
        aside.write_text(text, encoding="utf-8")
        try:
            load_params(aside)
        except PamelaError as error:
            raise PamelaError(str(error).replace(str(aside), str(path))) from None


def _replaced(text: str, key: str, value: Value, path: Path) -> str:
    """Return `text` with the value of `key` written anew, in one line."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [v for k, v in pairs if k.value == part]
        if not found:
            raise PamelaError(f"{path}: no key {key}; add it by hand")
        node = found[0]
    assert node is not None  # the key has a value
    start, end = node.start_mark.index, node.end_mark.index
    written = text[start:end]
    trailing = written[len(written.rstrip()) :]  # a block list ends where the next key begins
    block = isinstance(node, yaml.SequenceNode) and not node.flow_style
    if block:  # it stands below its key: bring the new value up to it
        start = len(text[:start].rstrip())
    return text[:start] + (" " if block else "") + _flow(value) + trailing + text[end:]


def _flow(value: Value) -> str:
    if isinstance(value, str):
        return _scalar(value)
    return "[" + ", ".join(_scalar(item) for item in value) + "]"


def _scalar(value: str) -> str:
    """Return `value` as YAML in one line: plain where it is a word or a path, else quoted."""
    if PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.rstrip("\n")
