"""One measure of drift: how far the new ratings lie from the old, and how far chance reaches.

A measure has drifted where its shift is above the threshold of ``retrain.drift`` and above what
equal ratings show by chance. Ratings of one person are alike, and so are ratings of one picture:
chance is that of other people and of other pictures, never of single ratings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Result = Literal["drifted", "steady", "shown"]
DRIFTED: Final[Result] = "drifted"
STEADY: Final[Result] = "steady"
SHOWN: Final[Result] = "shown"

RATINGS, RATERS, NEW_PEOPLE, PICTURES = "ratings", "raters", "new_people", "pictures"
COVERAGE, BIAS, RMSE, SROCC = "coverage", "bias", "rmse", "srocc"
CALIBRATION: Final = (COVERAGE, BIAS, RMSE, SROCC)
TITLES: Final = {
    RATINGS: "ratings, points",
    RATERS: "raters, Jensen-Shannon",
    NEW_PEOPLE: "share of new people",
    PICTURES: "pictures, AUC",
    COVERAGE: "90 % coverage",
    BIAS: "bias, points",
    RMSE: "RMSE, points",
    SROCC: "SROCC",
}


@dataclass(frozen=True)
class Measure:
    """One measure of one dataset's new ratings.

    Attributes
    ----------
    kind : one of `TITLES`; the threshold's name in ``retrain.drift``.
    of : which part: a column of raters, or whose predictions; empty where there is one alone.
    old, new : the figure on what the champion knows and on the new ratings; `old` is None where
        the figure itself is a distance.
    shift : what is held to the threshold; above zero is further away, or worse.
    threshold : of ``retrain.drift``.
    chance : the largest shift of equal ratings, at ``retrain.drift.level``; None: not estimated.
    count : how many people, or pictures, it is about.
    result : ``shown`` where they are too few to say.
    """

    dataset: str
    kind: str
    of: str
    old: float | None
    new: float | None
    shift: float | None
    threshold: float
    chance: float | None
    count: int
    result: Result

    @property
    def title(self) -> str:
        """What is measured, in words."""
        return f"{self.of}: {TITLES[self.kind]}" if self.of else TITLES[self.kind]


def judged(
    what: tuple[str, str, str],
    *,
    shift: float,
    threshold: float,
    chance: float | None,
    count: int,
    least: int,
    old: float | None = None,
    new: float | None = None,
) -> Measure:
    """Return a measure with its result.

    Parameters
    ----------
    what : dataset, kind, and of which part.
    least : how many people or pictures it takes to say anything.
    """
    result: Result = DRIFTED if shift > max(threshold, chance or 0.0) else STEADY
    return Measure(
        *what, old, shift if new is None else new, shift, threshold, chance, count,
        SHOWN if count < least else result,
    )  # fmt: skip


def nothing(what: tuple[str, str, str], threshold: float, count: int = 0) -> Measure:
    """Return the measure of what too few ratings tell nothing of."""
    return Measure(*what, None, None, None, threshold, None, count, SHOWN)


# --- for people, and for MLflow ---------------------------------------------------------------


def line(measures: Sequence[Measure]) -> str:
    """Return what has drifted in one line."""
    several = len({one.dataset for one in measures}) > 1
    found = [_phrase(one, several) for one in measures if one.result == DRIFTED]
    if found:
        return f"drift: {'; '.join(found)}"
    able = sum(one.result == STEADY for one in measures)
    return f"drift: none ({able} measures, {len(measures) - able} of too few to say)"


def _phrase(one: Measure, several: bool) -> str:
    where = f"{one.dataset}: " if several else ""
    if one.old is None:
        return f"{where}{one.title} {one.new:.2f} (at most {one.threshold:g})"
    return f"{where}{one.title} {one.new:.2f}, was {one.old:.2f} (at most {one.threshold:g} off)"


def metrics(measures: Sequence[Measure]) -> Mapping[str, float]:
    """Return ``drift_<kind>``, the largest shift of each kind, and how many measures drifted."""
    return dict(_metrics(measures))


def _metrics(measures: Sequence[Measure]) -> Iterator[tuple[str, float]]:
    yield "drift_measures_drifted", float(sum(one.result == DRIFTED for one in measures))
    for kind in TITLES:
        shifts = [m.shift for m in measures if m.kind == kind and m.shift is not None]
        if shifts:
            yield f"drift_{kind}", max(shifts)
