"""How far raters agree, in words and as a table."""

from __future__ import annotations

from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.reporting.data_docs.agreement import Agreement
from pamela.reporting.paper_figures import SINGLE_RATING_ICC
from pamela.reporting.presentation.html import DASH, Cell, Table


def agreement_table(found: Agreement) -> Table | None:
    """Return the ICC of one rating and of the mean, or None where it is undefined."""
    if found.single.value is None:
        return None
    rows = [
        _icc_row("one rating", found.single),
        _icc_row(f"the mean of {found.per_image:.1f} ratings", found.mean),
    ]
    return Table(
        title="Agreement between raters",
        columns=["reliability of", "ICC", "95 % interval"],
        rows=rows,
        caption=(
            "ICC(1), one-way random effects, unbalanced: the share of the variance that lies "
            f"between images. The interval resamples the {found.images:,} rated images. Of the "
            "mean: Spearman-Brown at the mean number of ratings per image."
        ),
    )


def _icc_row(name: str, found: Estimate) -> list[Cell]:
    if found.value is None or found.ci_low is None or found.ci_high is None:
        return [Cell(name), Cell(DASH), Cell(DASH)]
    return [
        Cell(name), Cell(f"{found.value:.3f}"), Cell(f"{found.ci_low:.3f} to {found.ci_high:.3f}")
    ]  # fmt: skip


def agreement_sentences(found: Agreement) -> list[str]:
    """Return what the ICC means for a personal model."""
    if found.single.value is None:
        return [
            "Agreement cannot be computed: it takes two images, one of them rated twice, and "
            "ratings that differ."
        ]
    shared = max(found.single.value, 0.0)
    others = ", ".join(f"{icc:.2f} on {name}" for name, icc in SINGLE_RATING_ICC.items())
    return [
        f"{shared:.0%} of what makes one rating differ from another is the image; the rest is "
        f"taste, level and noise, which a model that ignores the user cannot know. (Reported for "
        f"other datasets: {others}.)"
    ]
