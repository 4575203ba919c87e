"""Changing single values of ``params.yaml`` in place: comments, order and all else stay.

It is the round trip of ruamel.yaml, as ``dvc exp run --set-param`` makes it; a list keeps its style
(in one line or one item a line).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path
from pamela.params import load_params


def set_params(path: Path, changes: Mapping[str, str | Sequence[str]]) -> None:
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
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**31  # no line is broken
    yaml.representer.add_representer(type(None), _null)
    yaml.representer.add_representer(str, _text)
    params = yaml.load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        *sections, last = key.split(".")
        inner = params
        for section in sections:
            inner = inner.get(section, {})
        if last not in inner:
            raise PamelaError(f"{path}: no key {key}; add it by hand")
        if isinstance(inner[last], CommentedSeq) and not isinstance(value, str):
            _refill(inner[last], value)
        else:
            inner[last] = value
    with atomic_path(path) as aside:
        with aside.open("w", encoding="utf-8") as file:
            yaml.dump(params, file)
        try:
            load_params(aside)
        except PamelaError as error:
            raise PamelaError(str(error).replace(str(aside), str(path))) from None


def _refill(old: CommentedSeq, new: Sequence[str]) -> None:
    """Put `new` in the place of the items of `old`; what follows the last one still does."""
    below = old.ca.items.get(len(old) - 1)
    old[:] = new
    old.ca.items.clear()
    if below and new:
        old.ca.items[len(new) - 1] = below


def _null(representer: Any, _: None) -> Any:
    """Return null as ``null``: ruamel.yaml writes nothing at all."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


def _text(representer: Any, value: str) -> Any:
    """Return a text so that it reads back as it is.

    U+0085 needs double quotes: ruamel.yaml 0.19.1 writes it bare, as a line break
    (findings/ruamel_yaml_next_line.sh).
    """
    style = '"' if "\x85" in value else None
    return representer.represent_scalar("tag:yaml.org,2002:str", value, style=style)
