"""Why JSON is no table: the first line that is no record, the first field that changes its type.

Polars names neither the line nor the field. This reads the file a second time, only once it is
known to be faulty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from pamela.data.csv_faults import TableFault

SHOWN: Final = 40  # characters of a value
KINDS: Final = {bool: "true or false", list: "a list", dict: "an object"}
PLAIN: Final = "text or a number"
BROKEN: Final = "not readable as JSON"


def find_fault(path: Path, name: str) -> TableFault | None:
    """Return the first line that is no record, else the first that changes a field's type.

    Parameters
    ----------
    name : what the file is called in the message.
    """
    for number, record in _records(path):
        if isinstance(record, Exception):
            return TableFault(f"{name} line {number}: {BROKEN} ({str(record)[:100]})")
        if not isinstance(record, dict):
            return TableFault(
                f"{name} line {number}: {BROKEN} (no record); give a record, {{...}}, per line"
            )
    return find_mix_in_lines(path, name)


def find_mix_in_lines(path: Path, name: str) -> TableFault | None:
    """Return what `find_mix` finds in JSON Lines."""
    return find_mix(_records(path), name, "line")


def find_mix(records: Iterable[tuple[int, Any]], name: str, unit: str) -> TableFault | None:
    """Return the first field that holds another kind of value than in the records before, if any.

    Text and numbers go together: such a field is text.

    Parameters
    ----------
    records : their numbers and they themselves.
    name, unit : what the file and a record of it are called in the message.
    """
    first: dict[str, tuple[int, str]] = {}
    for number, record in records:
        for key, value in record.items() if isinstance(record, dict) else ():
            if value is None:
                continue
            kind = KINDS.get(type(value), PLAIN)
            line, before = first.setdefault(key, (number, kind))
            if kind != before:
                return TableFault(
                    f"{name} {unit} {number}: {key} is {kind} ({json.dumps(value)[:SHOWN]}), and "
                    f"{before} in {unit} {line}; write it the same everywhere"
                )
    return None


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each line's number and its value, or the error of a line that is no JSON."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line, parse_constant=_no_constant)
            except (ValueError, RecursionError) as error:
                yield number, error


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON; write null for no value")
