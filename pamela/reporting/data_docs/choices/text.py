"""The data docs on choices in words and tables, as plain text: the template lays them out."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.reporting.data_docs.choices.consistency import CHANCE, coefficient
from pamela.reporting.data_docs.choices.plots import ENOUGH
from pamela.reporting.data_docs.choices.statistics import ChoiceStatistics, win_rates
from pamela.reporting.presentation.html import DASH, Cell, Table

EXTREMES: Final = 5  # images of the highest and of the lowest win rate in the table
COUNTS_CAPTION: Final = (
    "How many users and images have how many choices (dashed: the median), and the share of its "
    "choices that an image won, a tie counting one half. The line is what to expect if every "
    "choice were the flip of a coin."
)
PLOT_CAPTIONS: Final = {
    "Position bias over a session": "how often the first-named image was chosen, from the first "
    "choice of a session to the last, with its 95 % interval over users",
    "Position bias of every user": f"the same of each user with at least {ENOUGH} choices",
    "Circular triads of every user": "the share of circular triads of each user with at least "
    f"{ENOUGH} triads; the dashed line is chance",
}


def lead(found: ChoiceStatistics) -> str:
    """Return the dataset's choices in a sentence."""
    return (
        f"{found.rows:,} choices between two of {found.images.height:,} images by "
        f"{found.users.height:,} users; {_percent(found.ties.value)} of them are ties."
    )


def facts(
    found: ChoiceStatistics, checked: dict[str, Any], users: int, images: int
) -> dict[str, str]:
    """Return the counts that are no distribution.

    Parameters
    ----------
    checked : what ``reports/validation.json`` says of the choices.
    users, images : how many the tables list.
    """
    n = found.images.height
    possible = max(n * (n - 1) // 2, 1)
    return {
        "rows in, kept, quarantined": f"{checked['rows_in']:,}, {checked['rows_kept']:,}, "
        f"{checked['rows_quarantined']:,} ({checked['share']:.2%})",
        "users": f"{found.users.height:,} with choices, {users - found.users.height:,} without",
        "images": f"{n:,} with choices, {images - n:,} without",
        "pairs of images": f"{found.pairs:,} distinct, {found.pairs / possible:.2%} of all "
        f"{possible:,} that {n:,} images make",
        "times": _times(found),
        "order": f"known of {found.ordered:,} of {found.rows:,} choices"
        if found.ordered
        else "not known: neither times nor positions",
    }


def _times(found: ChoiceStatistics) -> str:
    if found.begun is None or found.ended is None:
        return "none is known"
    return f"known of {found.timed:,} choices, {found.begun:%Y-%m-%d} to {found.ended:%Y-%m-%d}"


# --- do people stand by their choices -------------------------------------------------------------
def figures_table(found: ChoiceStatistics) -> Table:
    """Return ties, position bias, agreement and circular triads with their intervals."""
    again, three = found.repeats, found.triads
    rows = [
        _row("ties", found.ties, f"{found.rows:,} choices"),
        _row("first-named image", found.first_named, "choices that are no ties", "0.5"),
        _row("same answer again", again.within,
             f"{again.asked_again:,} pairs by {again.within.n:,} users", f"{again.chance:.3f}"),
        _row("same answer by two users", again.between,
             f"{again.between.n:,} pairs of images", f"{again.chance:.3f}"),
        _row("circular triads", three.circular,
             f"{three.closed:,} triads by {three.circular.n:,} users", f"{CHANCE:g}"),
        _row("coefficient of consistence", _consistence(three.circular), "1 - 4 x circular", "0"),
    ]  # fmt: skip
    return Table(
        title="Choices in figures",
        columns=["share of", "value", "95 % interval", "by chance", "from"],
        rows=rows,
        caption=(
            "Intervals resample users, for two users pairs of images. First-named image: how often "
            "it is chosen. Same answer: to one pair of images; a tie is an answer of its own, and "
            "by chance means by the flip of a coin, with as many ties. A triad is three "
            "images whose three pairs one user decided; it is circular where no order of the three "
            "agrees with the choices. Coefficient of consistence: Kendall's, from 1 (no circular "
            "triad) to 0 (as many as by chance)."
        ),
    )


def _row(name: str, found: Estimate, source: str, chance: str = "") -> list[Cell]:
    ends = (found.ci_low, found.ci_high)
    span = f"{ends[0]:.3f} to {ends[1]:.3f}" if None not in ends else DASH
    value = DASH if found.value is None else f"{found.value:.3f}"
    return [Cell(name), Cell(value), Cell(span), Cell(chance or DASH), Cell(source)]


def _consistence(circular: Estimate) -> Estimate:
    """Return `coefficient` of the share and of the ends of its interval, which change places."""
    value, low, high = (
        None if end is None else coefficient(end)
        for end in (circular.value, circular.ci_high, circular.ci_low)
    )
    return Estimate(value, low, high, circular.n)


def sentences(found: ChoiceStatistics) -> list[str]:
    """Return what the figures mean."""
    return [_on_position(found.first_named), _on_repeats(found), _on_triads(found)]


def _on_position(first: Estimate) -> str:
    if first.value is None:
        return "Every choice is a tie, so nothing can be said of the position."
    if first.ci_low is None or first.ci_high is None:
        return f"The image that is named first was chosen in {_percent(first.value)} of the cases."
    drawn = first.ci_low > 0.5 or first.ci_high < 0.5
    end = "so people lean to one side" if drawn else "so no side is favoured for certain"
    return (
        f"The image that is named first was chosen in {_percent(first.value)} of the cases "
        f"({_percent(first.ci_low)} to {_percent(first.ci_high)}), {end}."
    )


def _on_repeats(found: ChoiceStatistics) -> str:
    within, between = found.repeats.within.value, found.repeats.between.value
    own = (
        "Nobody was asked the same pair twice, so how far people repeat themselves is not known"
        if within is None
        else f"Asked the same pair again, a person answers the same in {_percent(within)} of the "
        "cases"
    )
    others = (
        "no pair was put to two people"
        if between is None
        else f"two people answer the same in {_percent(between)}"
    )
    return f"{own}; {others}."


def _on_triads(found: ChoiceStatistics) -> str:
    circular = found.triads.circular
    if circular.value is None:
        return "Nobody decided all three pairs of three images, so there are no triads to judge."
    return (
        f"Of {found.triads.closed:,} triads {_percent(circular.value)} are circular; "
        f"{CHANCE:.0%} would be by chance."
    )


# --- images ---------------------------------------------------------------------------------------
def images_table(found: ChoiceStatistics) -> Table | None:
    """Return the images of the highest and of the lowest win rate, or None with too few choices."""
    rated = found.images.with_columns(rate=pl.Series(win_rates(found.images)))
    rated = rated.filter(pl.col("n") >= ENOUGH).sort(
        "rate", "n", s.IMAGE, descending=[True, True, False]
    )
    if rated.height < 2:
        return None
    k = min(EXTREMES, rated.height // 2)
    return Table(
        title="Most and least often chosen images",
        columns=["image", "win rate", "choices", "won", "ties"],
        rows=[
            _image_row(row)
            for part in (rated[:k], rated[-k:])
            for row in part.iter_rows(named=True)  # at most ten
        ],
        caption=(
            f"The first and the last {k} of {rated.height:,} images with at least {ENOUGH} "
            "choices. A tie counts one half. A rate depends on what an image was compared with."
        ),
    )


def _image_row(row: dict[str, Any]) -> list[Cell]:
    counts = (Cell(f"{row[c]:,}") for c in ("n", "won", "tied"))
    return [Cell(row[s.IMAGE]), Cell(f"{row['rate']:.3f}"), *counts]


def plots_caption(titles: list[str]) -> str:
    """Return what is seen on the plots of these `titles`, from left to right."""
    said = "; ".join(PLOT_CAPTIONS[title] for title in titles)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{share:.1%}"


def choices_record(found: ChoiceStatistics) -> dict[str, Any]:
    """Return the choices for ``reports/validation.json``."""

    def ends(one: Estimate) -> dict[str, float | None]:
        return {"value": one.value, "ci_low": one.ci_low, "ci_high": one.ci_high}

    return {
        "users": found.users.height,
        "images": found.images.height,
        "pairs": found.pairs,
        "ties": ends(found.ties),
        "first_named": ends(found.first_named),
        "same_answer_again": ends(found.repeats.within),
        "asked_again": found.repeats.asked_again,
        "same_answer_of_two": ends(found.repeats.between),
        "circular_triads": ends(found.triads.circular),
        "closed_triads": found.triads.closed,
    }
