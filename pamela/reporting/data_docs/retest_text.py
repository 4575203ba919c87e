"""How far people agree with themselves, as plain text and a table: the template lays them out."""

from __future__ import annotations

from typing import Any, Final

from pamela.core import schema as s
from pamela.evaluation.ceilings.retest import Retest
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.reporting.presentation.html import DASH, Cell, Table

SHOWN: Final = 10  # people who agree least with themselves
KINDS: Final = {"srocc": "Spearman", "plcc": "Pearson"}


def retest_sentences(found: Retest) -> list[str]:
    """Return what people's repeats say of the ratings."""
    people = found.people
    noise = people["noise"]
    median, low, high = (noise.quantile(q) for q in (0.5, 0.25, 0.75))
    lines = [
        f"{people.height:,} people rated {people['pictures'].sum():,} pictures more than once. One "
        f"rating strays from what the person says of the picture on the whole by a standard "
        f"deviation of {median:.3g} (median over people; half of them {low:.3g} to {high:.3g})."
    ]
    one, mean = found.one_pass_ceiling("srocc"), found.ceiling("srocc")
    if one.value is not None and mean.value is not None:
        lines.append(
            f"So no score can rank one rating of a person better than with a correlation of "
            f"{one.value:.2f}, nor the mean of {found.passes:.2g} better than with {mean.value:.2f}"
            ": the measured noise ceiling."
        )
    return lines


def retest_table(found: Retest) -> Table:
    """Return test-retest correlation and ceilings with their intervals."""
    rows = [
        [Cell(name), *(_cell(estimate(kind)) for kind in KINDS)]
        for name, estimate in (
            ("one pass and the next (test-retest)", found.correlation),
            ("ceiling, one rating", found.one_pass_ceiling),
            (f"ceiling, mean of {found.passes:.2g} ratings", found.ceiling),
        )
    ]
    return Table(
        title="Agreement of people with themselves",
        columns=["correlation", *KINDS.values()],
        rows=rows,
        caption=(
            "Within each person, mean over people; 95 % bootstrap interval over people. A ceiling "
            "is the square root of the reliability, of a mean by Spearman-Brown."
        ),
    )


def _cell(found: Estimate) -> Cell:
    if found.value is None:
        return Cell(DASH)
    ends = "" if found.ci_low is None else f"{found.ci_low:.3f} to {found.ci_high:.3f}"
    return Cell(f"{found.value:.3f}", ends)


def noisiest_table(found: Retest) -> Table:
    """Return the people whose ratings of one picture differ most."""
    worst = found.people.sort("noise", s.USER, descending=[True, False]).head(SHOWN)
    rows = [
        [
            Cell(row[s.USER]),
            Cell(f"{row['pictures']:,}"),
            Cell(f"{row['noise']:.3g}"),
            Cell(DASH if row["srocc"] is None else f"{row['srocc']:.2f}"),
        ]
        for row in worst.to_dicts()
    ]
    return Table(
        title="People who agree least with themselves",
        columns=["user", "pictures rated again", "noise", "test-retest"],
        rows=rows,
        caption="Noise: standard deviation of one rating, on the dataset's own scale.",
    )


def retest_record(found: Retest) -> dict[str, Any]:
    """Return the retest for ``reports/validation.json``."""
    estimates = {
        f"{name}{kind}": estimate(kind)
        for kind in KINDS
        for name, estimate in (
            ("", found.correlation),
            ("one_pass_ceiling_", found.one_pass_ceiling),
            ("ceiling_", found.ceiling),
        )
    }
    return {
        "people": found.people.height,
        "pictures": int(found.people["pictures"].sum()),
        "passes": found.passes,
        "noise": {f"q{q}": found.people["noise"].quantile(q / 100) for q in (25, 50, 75)},
        **{
            key: {"value": one.value, "ci_low": one.ci_low, "ci_high": one.ci_high}
            for key, one in estimates.items()
        },
    }
