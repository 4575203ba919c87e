"""The report's tables of choices between two pictures: accuracy, log loss, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from pamela.evaluation.choices.metrics import (
    CHOICE_ACCURACY,
    CHOICE_LOG_LOSS,
    calibration,
)
from pamela.evaluation.choices.numbers import difference_metric
from pamela.evaluation.choices.predictions import OUTCOME, P_A, P_B
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY
from pamela.evaluation.comparisons import BASELINE
from pamela.evaluation.metrics.intervals import POOLED
from pamela.evaluation.metrics.schema import KNOWN_PICTURES, NEW_PICTURES, SEEN, UNSEEN
from pamela.evaluation.results import Results
from pamela.reporting.presentation.html import Cell, Section, Table, number_cell
from pamela.reporting.tables import signed

Where = tuple[str, int | None, str]  # population, shots, pictures
TITLES = {CHOICE_ACCURACY: "Accuracy of choices", CHOICE_LOG_LOSS: "Log loss of choices"}
CAPTIONS = {
    CHOICE_ACCURACY: "Of the choices that are no ties: the share in which the picture chosen is "
    "the more probable one; equal probabilities count one half.",
    CHOICE_LOG_LOSS: "Mean of minus the natural logarithm of the probability of what was said, "
    "ties included; lower is better.",
}
FORESEEN = "How well the models foresee which of two pictures a person chooses."
CALIBRATED = "Whether pictures are chosen as often as the champion says."
WHO = (
    "All choices in one pool; 95 % bootstrap interval below, over people (on few new pictures over "
    "pictures as well). New: both pictures are test pictures. Known: both are training pictures, "
    f"the people unseen; {BRADLEY_TERRY} has the pictures' strengths from the same training "
    "choices. Shots are own choices shown."
)


def choices_sections(results: Results, dataset: str) -> list[Section]:
    """Return the section on choices; none where nobody chose.

    Of a dataset of choices alone the tables stand where those of ratings would.
    """
    if not places(results, dataset):
        return []
    named = (results.params.train.champion, BRADLEY_TERRY)
    calibrated = [calibration_table(results, dataset, name) for name in named]
    if not results.has_ratings(dataset):
        return [Section("Calibration of choices", CALIBRATED, calibrated[0], folded=calibrated[1:])]
    return [
        Section(
            "Choices between two pictures",
            FORESEEN,
            choice_table(results, dataset, CHOICE_ACCURACY),
            folded=[
                choice_table(results, dataset, CHOICE_LOG_LOSS),
                choice_differences(results, dataset),
                *calibrated,
            ],
        )
    ]


def _rows(results: Results, dataset: str, metric: str) -> pl.DataFrame:
    return results.numbers.filter(dataset=dataset, metric=metric, aggregation=POOLED)


def _key(row: dict[str, Any]) -> Where:
    return row["population"], row["shots"], row["pictures"]


def places(results: Results, dataset: str) -> list[Where]:
    """Return where somebody was asked: seen people, then unseen ones by shots; new, then known."""
    rows = _rows(results, dataset, CHOICE_ACCURACY).filter(pl.col("n_users") > 0)
    there = {_key(row) for row in rows.to_dicts()}
    shots = results.params.evaluate.shots
    order: list[Where] = [(SEEN, None, NEW_PICTURES)]
    order += [(UNSEEN, k, kind) for kind in (NEW_PICTURES, KNOWN_PICTURES) for k in shots]
    return [where for where in order if where in there]


def place_name(where: Where) -> str:
    """Return e.g. ``known, unseen, 5 shots``."""
    population, shots, pictures = where
    return f"{pictures}, {population}" + ("" if shots is None else f", {shots} shots")


def choice_models(results: Results, dataset: str) -> list[str]:
    """Return who was asked, in the order of the report; `bradley_terry` last."""
    found = set(_rows(results, dataset, CHOICE_ACCURACY)["model"].unique())
    return [name for name in (*results.models(dataset), BRADLEY_TERRY) if name in found]


def choice_table(results: Results, dataset: str, metric: str) -> Table:
    """Return model x place of one metric."""
    found = {(r["model"], *_key(r)): r for r in _rows(results, dataset, metric).to_dicts()}
    columns, models = places(results, dataset), choice_models(results, dataset)
    return Table(
        title=TITLES[metric],
        columns=["model", *map(place_name, columns)],
        rows=[
            [Cell(name), *(number_cell(found.get((name, *where))) for where in columns)]
            for name in models
        ],
        caption=f"{CAPTIONS[metric]} {WHO}",
        strong={i for i, name in enumerate(models) if name == results.params.train.champion},
    )


def choice_differences(results: Results, dataset: str) -> Table:
    """Return accuracy minus that of `population` and of `bradley_terry`, paired."""
    metric = difference_metric(CHOICE_ACCURACY, POOLED)
    rows = results.all_differences.filter(
        pl.col("baseline").is_in([BASELINE, BRADLEY_TERRY]), dataset=dataset, metric=metric
    )
    found = {(r["model"], r["baseline"], *_key(r)): r for r in rows.to_dicts()}
    pairs = list(dict.fromkeys(key[:2] for key in found))
    columns = places(results, dataset)
    champion = results.params.train.champion
    return Table(
        title="Differences of accuracy",
        columns=["model", *map(place_name, columns)],
        rows=[
            [
                Cell(model, f"minus {baseline}"),
                *(signed(found.get((model, baseline, *where))) for where in columns),
            ]
            for model, baseline in pairs
        ],
        caption="On the same choices, all in one pool. ▲ the interval lies above zero, ▼ below, · "
        "it holds zero.",
        strong={i for i, pair in enumerate(pairs) if pair[0] == champion},
    )


def calibration_table(results: Results, dataset: str, model: str) -> Table:
    """Return how often `a` was chosen by how probable that was, before any own choice is shown."""
    rows = results.choice_predictions.filter(
        (pl.col("population") == SEEN) | (pl.col("shots") == 0), dataset=dataset, model=model
    )
    found = calibration(*(rows[c].cast(pl.Float64).to_numpy() for c in (P_A, P_B, OUTCOME)))
    return Table(
        title=f"Calibration of {model}",
        columns=["predicted share of a", "a was chosen", "choices"],
        rows=[
            [Cell(f"{p:.2f}"), Cell(f"{chosen:.2f}"), Cell(f"{n:,}")]
            for p, chosen, n in found.iter_rows()
        ],
        caption="P(a over b) in equally filled bins, ties left out; seen people, and unseen ones "
        "before any choice of theirs is shown. Equal is right.",
    )


def choice_sentences(results: Results, dataset: str) -> list[str]:
    """Return what the champion reaches, in words; empty where nobody chose."""
    champion = results.params.train.champion
    found = {
        (r["model"], *_key(r)): r["value"]
        for r in _rows(results, dataset, CHOICE_ACCURACY).drop_nulls("value").to_dicts()
    }
    parts = _told(
        found,
        champion,
        (
            ((SEEN, None, NEW_PICTURES), "between new pictures for people it knows"),
            ((UNSEEN, 0, NEW_PICTURES), "between new pictures for people it has never seen"),
            ((UNSEEN, 0, KNOWN_PICTURES), "between pictures others know"),
        ),
    )
    if not parts:
        return []
    text = f"On {dataset}, the champion {champion} foresees {', '.join(parts)}."
    bar = found.get((BRADLEY_TERRY, UNSEEN, 0, KNOWN_PICTURES))
    if bar is not None:
        text += f" The pictures' strengths alone ({BRADLEY_TERRY}) foresee {bar:.1%} of the last."
    return [text]


def _told(
    found: dict[tuple[Any, ...], float], model: str, wanted: Sequence[tuple[Where, str]]
) -> list[str]:
    return [
        f"{found[model, *where]:.1%} of choices {words}"
        for where, words in wanted
        if (model, *where) in found
    ]
