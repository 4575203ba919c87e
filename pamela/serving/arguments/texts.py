"""Names, users, demographics and numbers that callers give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MappingView
from collections.abc import Set as AnySet
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core.errors import PamelaError
from pamela.serving.user_context import User

LONGEST_SHOWN: Final = 60


def read_user(value: Any) -> str | User | None:
    """Return whom to score for."""
    if value is None or isinstance(value, User):
        return value
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        raise PamelaError(f"user {value}: a number; ids are text, write user='{value}'")
    return read_text(value, "user")


def read_dataset(value: Any) -> str | None:
    """Return the name of a dataset, or None."""
    return None if value is None else read_text(value, "dataset")


def read_text(value: Any, name: str) -> str:
    """Return text that is not empty."""
    text = checked_text(value, name)
    if not text.strip():
        raise PamelaError(f"{name}: an empty text; name one")
    return text


def read_demographics(value: Any) -> dict[str, str]:
    """Return what somebody says of themselves, by name."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise PamelaError(
            f"demographics {shown(value)}; give names and values, e.g. {{'gender': 'female'}}"
        )
    return {
        read_text(name, "a demographic's name"): checked_text(said, f"demographic {name}")
        for name, said in value.items()
    }


def read_count(value: Any, name: str) -> int:
    """Return a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise PamelaError(f"{name} {shown(value)}; give a whole number, at least 1")
    if value < 1:
        raise PamelaError(f"{name} {value}: give at least 1")
    return int(value)


def checked_text(value: Any, name: str) -> str:
    """Return text, which may be empty."""
    if not isinstance(value, str):
        raise PamelaError(f"{name} {shown(value)}; give text")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise PamelaError(f"{name} {value!r}: not valid Unicode; write it again")
    return str(value)


def shown(value: Any) -> str:
    """Return a value and its kind for a message: ``7.5 (float)``."""
    kind = type(value).__name__
    try:
        said = " ".join(repr(value).split())
    except Exception:  # a caller's own class may not even have this
        return f"({kind})"
    return f"{said} ({kind})" if len(said) <= LONGEST_SHOWN else f"({kind})"


def is_table(value: Any) -> bool:
    """Tell whether it is a DataFrame of any library."""
    frames = (pl.DataFrame, pl.LazyFrame)  # a LazyFrame warns where its columns are asked for
    return isinstance(value, frames) or (not isinstance(value, type) and hasattr(value, "columns"))


def is_stream(value: Any) -> bool:
    """Tell whether it is an open file of any kind."""
    return not isinstance(value, type) and callable(getattr(value, "read", None))


def in_order(value: Any, name: str, wanted: str) -> Iterator[Any]:
    """Iterate over a sequence of any kind; what has no order of its own is none."""
    unordered = isinstance(value, AnySet) and not isinstance(value, MappingView)
    orderless = unordered or isinstance(value, str | bytes | Mapping | type)
    orderless = orderless or is_table(value) or is_stream(value)
    try:
        if not orderless:
            return iter(value)
    except TypeError:
        pass
    raise PamelaError(f"{name} {shown(value)}; give {wanted}")
