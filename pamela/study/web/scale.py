"""The buttons by which a picture is rated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

FEWEST, MOST, LEVELS = 3, 11, 5
WORDS: Final = ("not at all", "very much")


def levels(scale: Sequence[float]) -> list[tuple[str, float]]:
    """Return the labels and the values of the buttons, worst first.

    Whole numbers are a button each where they are 3 to 11; else five buttons, called 1 to 5, are
    spread evenly over the scale.
    """
    low, high = scale
    steps = high - low + 1
    if low.is_integer() and high.is_integer() and FEWEST <= steps <= MOST:
        return [(str(value), float(value)) for value in range(int(low), int(high) + 1)]
    values = np.linspace(low, high, LEVELS).tolist()
    return [(str(number), value) for number, value in enumerate(values, 1)]
