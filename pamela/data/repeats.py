"""What several ratings of one picture by one person are: measures, or faults.

Measures are all kept. Where a dataset does not say what they are, the ratings of its own table that
come with their time or position are measures (``all``). ``mean``, ``first`` and ``last`` reduce
them to one rating before anything is learned; with ``all`` each is learned from. What is predicted
and scored is their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pamela.core.errors import PamelaError

Mode = Literal["mean", "first", "last", "all"]
ALL: Final[Mode] = "all"
MODES: Final[tuple[Mode, ...]] = get_args(Mode)


@dataclass(frozen=True)
class Repeats:
    """How a dataset takes repeats.

    Attributes
    ----------
    mode : one of `MODES`; None: a repeat is a fault.
    declared : whether dataset.yaml says so. Then it holds for batches too; otherwise a batch that
        contradicts itself is faulty.
    """

    mode: Mode | None = None
    declared: bool = False

    @classmethod
    def of(cls, declared: Mode | None, *, ordered: bool) -> Repeats:
        """Return what a dataset says, else what follows from its ratings being `ordered`."""
        return cls(declared or (ALL if ordered else None), declared is not None)

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Repeats:
        """Return what ``data/tables/datasets.json`` says of a dataset."""
        return cls(meta.get("repeats"), meta.get("repeats_declared", False))

    @property
    def meta(self) -> dict[str, Any]:
        """Return the entries of ``data/tables/datasets.json``: none where repeats are faults."""
        return {"repeats": self.mode, "repeats_declared": self.declared} if self.mode else {}


FAULTS: Final = Repeats()


def parse_repeats(text: str | None) -> Mode | None:
    """Return ``--repeats``."""
    for mode in MODES:
        if text == mode:
            return mode
    if text is None:
        return None
    raise PamelaError(f"--repeats {text}: give one of {', '.join(MODES)}")
