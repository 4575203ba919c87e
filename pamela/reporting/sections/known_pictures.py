"""The report's section on pictures that others rated: cold-start people in a gallery."""

from __future__ import annotations

from typing import Any

from pamela.evaluation.comparators.image_mean import IMAGE_MEAN
from pamela.evaluation.few_shot import LEAST_ASKED, MOST_SHOWN
from pamela.evaluation.metrics.definitions import SROCC
from pamela.evaluation.results import Results, shot_rows
from pamela.reporting.presentation.html import DASH, Cell, Section, Table, number_cell
from pamela.reporting.tables import sign, signed

Found = dict[tuple[str, int], dict[str, Any]]  # (model, shots) to a row

WHO = (
    f"Unseen users asked about training pictures that others rated: the first {MOST_SHOWN} "
    "pictures in a person's seeded order may be shown, all others are asked "
    f"({LEAST_ASKED} at least; who has fewer is left out)."
)


def known_pictures_section(results: Results, dataset: str) -> Section | None:
    """Return SROCC of every model by shots beside `image_mean`; None where nobody was asked."""
    models = results.known_models(dataset)
    if not models:
        return None
    values, gains = known_values(results, dataset), known_gains(results, dataset)
    shots = [k for k in results.params.evaluate.shots if values[IMAGE_MEAN, k]["n_users"] > 0]
    titles = [f"{k} shots" for k in shots]
    strong = {i for i, name in enumerate(models) if name == results.params.train.champion}
    return Section(
        "Pictures that others rated",
        _text(results, values, gains, shots),
        Table(
            title="SROCC on pictures that others rated",
            columns=["model", *titles],
            rows=[
                [Cell(name), *(_cell(values.get((name, k)), gains.get((name, k))) for k in shots)]
                for name in models
            ],
            caption=(
                f"{WHO} Mean over users; below, the paired difference to {IMAGE_MEAN}, the mean of "
                "the others' ratings of a picture: ▲ its 95 % interval lies above zero, ▼ below, "
                "· it holds zero."
            ),
            strong=strong,
        ),
        folded=[
            Table(
                title="With intervals",
                columns=["model", *titles],
                rows=[
                    [Cell(name), *(number_cell(values.get((name, k))) for k in shots)]
                    for name in models
                ],
                caption="Mean over users; 95 % bootstrap interval below.",
                strong=strong,
            ),
            Table(
                title=f"Differences to {IMAGE_MEAN}",
                columns=["model", *titles],
                rows=[
                    [Cell(name), *(signed(gains.get((name, k))) for k in shots)]
                    for name in models
                    if (name, shots[0]) in gains
                ],
                caption="The same users by both; 95 % paired bootstrap interval below.",
                strong=set(),
            ),
        ],
    )


def known_values(results: Results, dataset: str) -> Found:
    """Return SROCC on known pictures by model and shots."""
    rows = shot_rows(results.known_evaluation.filter(dataset=dataset), SROCC)
    return {(r["model"], r["shots"]): r for r in rows.to_dicts()}


def known_gains(results: Results, dataset: str) -> Found:
    """Return the paired differences of SROCC to `image_mean` by model and shots."""
    rows = results.known_differences.filter(dataset=dataset, metric=SROCC, baseline=IMAGE_MEAN)
    return {(r["model"], r["shots"]): r for r in rows.to_dicts()}


def known_pictures_note(results: Results, dataset: str) -> str | None:
    """Say why a dataset has no figures on known pictures; None where it has."""
    if results.known_models(dataset) or not results.has_ratings(dataset):
        return None
    return (
        f"{dataset}: no value on pictures that others rated: no unseen user rated "
        f"{MOST_SHOWN + LEAST_ASKED} training pictures or more"
    )


def _cell(value: dict[str, Any] | None, gain: dict[str, Any] | None) -> Cell:
    cell = number_cell(value)
    if cell.text == DASH or gain is None or gain["value"] is None:
        return Cell(cell.text)
    return Cell(cell.text, f"{gain['value']:+.3f} {sign(gain)}")


def _text(results: Results, values: Found, gains: Found, shots: list[int]) -> str:
    champion = results.params.train.champion
    told = [
        f"{gain['value']:+.3f} ({gain['ci_low']:+.3f} to {gain['ci_high']:+.3f}) after {k}"
        for k in shots
        if k and (gain := gains.get((champion, k))) and gain["ci_low"] is not None
    ]
    people = values[IMAGE_MEAN, shots[0]]["n_users"]
    text = f"{people} people, who are new, in a gallery that others have rated."
    if told:
        text += (
            f" Over the mean of the others' ratings {champion} gains {', '.join(told)} ratings of "
            "their own."
        )
    return text
