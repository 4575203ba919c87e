"""What a run of searches has done so far, in a folder: a command that was killed goes on there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet, write_json, write_parquet
from pamela.steer.search.trials import REWARD, ROUND, SEARCH, SEED, TRIALS_SCHEMA, VARIANT, Search

SETTINGS: Final = "settings.json"
SHOWN: Final = 3  # differences that a message names


class RunRecord:
    """The rounds of a run: first what is proposed, then the same with rewards.

    ::

        settings.json             what makes the run what it is
        rounds/round_00.parquet   `TRIALS_SCHEMA`; 0 is the original prompt

    Every file is written whole or not at all. What a language model proposed is kept before a
    picture is drawn: it might propose something else the next time.

    Parameters
    ----------
    settings : JSON-able; a folder of other settings is refused.

    Raises
    ------
    PamelaError
        Saying what differs.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        if (folder / SETTINGS).exists():
            _refuse_other(folder, read_json(folder / SETTINGS), settings)
        else:
            write_json(folder / SETTINGS, settings)

    def round(self, number: int, searches: Sequence[Search], size: int) -> pl.DataFrame | None:
        """Return the trials of a round of `size` variants for each search, as far as it came.

        None where it was not begun, or the file is damaged.
        """
        try:
            trials = read_parquet(self._path(number))
        except PamelaError:
            return None
        return trials if _is_whole(trials, number, searches, size) else None

    def keep_round(self, number: int, trials: pl.DataFrame) -> None:
        """Write the trials of a round, with or without rewards."""
        write_parquet(self._path(number), trials)

    def _path(self, number: int) -> Path:
        return self.folder / "rounds" / f"round_{number:02d}.parquet"


def _is_whole(trials: pl.DataFrame, number: int, searches: Sequence[Search], size: int) -> bool:
    if trials.schema != TRIALS_SCHEMA or trials.height != len(searches) * size:
        return False
    expected = {
        SEARCH: np.repeat(np.arange(len(searches)), size),
        ROUND: np.full(trials.height, number),
        VARIANT: np.tile(np.arange(size), len(searches)),
        SEED: np.repeat([search.start.seed for search in searches], size),
    }
    return trials[REWARD].null_count() in (0, trials.height) and all(
        np.array_equal(trials[name], values) for name, values in expected.items()
    )


def _refuse_other(folder: Path, before: Any, now: Mapping[str, Any]) -> None:
    old, new = dict(_flat(before)), dict(_flat(now))
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if differing:
        said = [
            f"{key} ({_shown(old.get(key))} there, {_shown(new.get(key))} now)"
            for key in differing[:SHOWN]
        ]
        more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        raise PamelaError(
            f"{folder}: holds a run of other settings: {', '.join(said)}{more}; name another "
            "folder, or delete this one"
        )


def _shown(value: Any) -> str:
    return "none" if value is None else repr(value)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number and text of nested JSON under ``a.b.0``."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for name, inner in items:
        where = f"{key}.{name}" if key else str(name)
        if isinstance(inner, Mapping | list | tuple):
            yield from _flat(inner, where)
        else:
            yield where, inner
