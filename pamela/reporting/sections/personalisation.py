"""The report's sections on how much is personal: user swap, parts of a gain, a few ratings.

Each section is one sentence that says what came out, and the table behind it. Definitions:
docs/evaluation.md.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from pamela.evaluation.comparisons import BASELINE, trained
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.intervals import USER
from pamela.evaluation.metrics.normalised_gain import SHARE_OF_SEEN_GAIN
from pamela.evaluation.metrics.personalisation import (
    GENERIC_PART,
    PERSONAL_PART,
    SWAP_LOSS,
    SWAPPED,
)
from pamela.evaluation.metrics.schema import MODEL, POPULATION, SEEN, SHOTS, UNSEEN
from pamela.evaluation.results import Results, personal_models
from pamela.evaluation.swapped_users import SWAP_SHOTS, SWAPS
from pamela.reporting.presentation.html import DASH, Cell, Section, Table, number_cell
from pamela.reporting.tables import Where, signed, users_name

SLICES_SHOWN: tuple[Where, ...] = ((SEEN, None), (UNSEEN, SWAP_SHOTS))


def people_sections(results: Results, dataset: str) -> list[Section]:
    """Return the sections of one dataset; those without numbers are left out."""
    made = (swap_section, parts_section, seen_gain_section)
    return [found for make in made if (found := make(results, dataset)) is not None]


def rows_by_key(frame: pl.DataFrame, *more: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return rows by (model, metric, population, shots, *more)."""
    keys = (MODEL, "metric", POPULATION, SHOTS, *more)
    return {tuple(row[k] for k in keys): row for row in frame.to_dicts()}


def _numbers(results: Results, dataset: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return means over users, accuracy at margin 0."""
    rows = results.evaluation.filter(dataset=dataset, aggregation=USER)
    first = results.params.evaluate.margins[0]
    return rows_by_key(rows.filter(pl.col("margin").is_null() | (pl.col("margin") == first)))


# --- user swap ------------------------------------------------------------------------------------
def swap_section(results: Results, dataset: str) -> Section | None:
    """Return what is lost when each user is scored with another user's parameters."""
    found = _numbers(results, dataset)
    models = personal_models(results, dataset, observers=True)
    rows: list[list[Cell]] = []
    strong: set[int] = set()
    for model in models:
        shown = [w for w in SLICES_SHOWN if _has(found, (model, SWAP_LOSS + SROCC, *w))]
        for where in shown:
            if model == results.params.train.champion:
                strong.add(len(rows))
            cells = [Cell(model if where == shown[0] else ""), Cell(users_name(where))]
            for metric in (SROCC, PAIRWISE_ACCURACY):
                cells += [
                    number_cell(found.get((model, metric, *where))),
                    number_cell(found.get((model, SWAPPED + metric, *where))),
                    signed(found.get((model, SWAP_LOSS + metric, *where))),
                ]
            rows.append(cells)
    if not rows:
        return None
    champion = found.get((results.params.train.champion, SWAP_LOSS + SROCC, SEEN, None))
    text = "Each user is scored with another user's parameters: what is lost is personal."
    if champion and champion["value"] is not None:
        own = found[results.params.train.champion, SROCC, SEEN, None]["value"]
        text = (
            f"Scored with another user's parameters, {results.params.train.champion} falls from "
            f"{own:.3f} to {own - champion['value']:.3f} SROCC for seen users: "
            f"{champion['value']:.3f} ({_range(champion)}) is personal."
        )
    return Section(
        "User swap",
        text,
        Table(
            title="User swap",
            columns=[
                "model", "users", "SROCC", "with another user's parameters", "lost",
                "accuracy, margin 0",
                "with another user's parameters", "lost",
            ],
            rows=rows,
            caption=(
                f"Mean over users and {SWAPS} seeded derangements of the dataset's users: each "
                "user's pictures are scored with another user's ratings and demographics. Paired "
                "95 % intervals below. ▲ something is lost, · no significant loss. The "
                "observers know the simulated world: their loss is what there is to lose."
            ),
            strong=strong,
        ),
    )  # fmt: skip


# --- generic and personal part --------------------------------------------------------------------
def parts_section(results: Results, dataset: str) -> Section | None:
    """Return every gain parted into what holds for everybody and what is personal."""
    gaps = rows_by_key(results.differences.filter(dataset=dataset), "baseline")
    champion = results.params.train.champion
    models = personal_models(results, dataset)
    if not models:
        return None
    pairs = [(m, BASELINE) for m in models] + [
        (champion, b)
        for b in trained(results.models(dataset))
        if b not in (champion, BASELINE) and champion in models
    ]
    rows: list[list[Cell]] = []
    strong: set[int] = set()
    for model, baseline in pairs:
        shown = [
            w for w in SLICES_SHOWN if _has(gaps, (model, SROCC + PERSONAL_PART, *w, baseline))
        ]
        for where in shown:
            if (model, baseline) == (champion, BASELINE):
                strong.add(len(rows))
            cells = [
                Cell(model if where == shown[0] else ""),
                Cell(f"minus {baseline}", users_name(where)),
            ]
            for metric in (SROCC, PAIRWISE_ACCURACY):
                cells += [
                    signed(gaps.get((model, metric + part, *where, baseline)))
                    for part in ("", GENERIC_PART, PERSONAL_PART)
                ]
            rows.append(cells)
    if not rows:
        return None
    return Section(
        "The generic and the personal part of every gain",
        _parts_text(gaps, champion),
        Table(
            title="Generic and personal part",
            columns=["model", "", "SROCC", "generic", "personal", "accuracy, margin 0", "generic",
                     "personal"],
            rows=rows,
            caption=(
                "Generic: the model applied to a cold-start user without ratings or demographics "
                "(everybody's taste averaged), minus the baseline applied the same way. Personal: "
                "the rest, what "
                "knowing the person adds. The two add up. Paired bootstrap over users; ▲ the "
                "interval lies above zero, ▼ below, · it holds zero."
            ),
            strong=strong,
        ),
    )  # fmt: skip


def _parts_text(gaps: dict[tuple[Any, ...], dict[str, Any]], champion: str) -> str:
    keys = [
        (champion, SROCC + part, SEEN, None, BASELINE) for part in ("", GENERIC_PART, PERSONAL_PART)
    ]
    if not all(_has(gaps, key) for key in keys):
        return "A gain may hold for everybody or be personal: here the two stand apart."
    whole, generic, personal = (gaps[key]["value"] for key in keys)
    return (
        f"Of the {whole:+.3f} SROCC that {champion} gains over {BASELINE} for seen users, "
        f"{generic:+.3f} is generic and {personal:+.3f} personal."
    )


# --- share of the seen users' gain ----------------------------------------------------------------
def seen_gain_section(results: Results, dataset: str) -> Section | None:
    """Return how much of the seen users' gain is reached after k ratings."""
    rows = results.evaluation.filter(dataset=dataset, metric=SHARE_OF_SEEN_GAIN)
    shots = rows.drop_nulls("ci_low")[SHOTS].unique().sort().to_list()
    models = [m for m in personal_models(results, dataset) if m in rows[MODEL].unique()]
    if not shots or not models:
        return None
    found = rows_by_key(rows)
    table = [
        [
            Cell(model),
            *(sure(found.get((model, SHARE_OF_SEEN_GAIN, UNSEEN, k)), ".0%") for k in shots),
        ]
        for model in models
    ]
    champion = results.params.train.champion
    shown = [
        f"{row['value']:.0%} after {k} of their ratings ({_range(row, '.0%')})"
        for k in (SWAP_SHOTS, max(shots))
        if k in shots and (row := found.get((champion, SHARE_OF_SEEN_GAIN, UNSEEN, k)))
        and row["ci_low"] is not None
    ]  # fmt: skip
    text = (
        f"Of the SROCC that {champion} gains over {BASELINE} for seen users, unseen users get "
        f"{'; '.join(shown)}."
        if shown
        else "No share is shown: the seen users' gain does not differ significantly from zero."
    )
    return Section(
        "What a few ratings are worth",
        text,
        Table(
            title="Share of the seen users' gain",
            columns=["model", *(f"{k} shots" for k in shots)],
            rows=table,
            caption=(
                "Gain in SROCC over population of unseen users shown k ratings, divided by that of "
                "seen users. Intervals resample both groups. A dash: the seen users' gain does not "
                "differ significantly from zero."
            ),
            strong={i for i, m in enumerate(models) if m == champion},
        ),
    )


# --- cells ----------------------------------------------------------------------------------------
def sure(row: dict[str, Any] | None, form: str) -> Cell:
    """Return a share with its interval, or a dash where the whole it is a share of is unsure."""
    return number_cell(row, form) if row and row["ci_low"] is not None else Cell(DASH)


def _has(found: dict[tuple[Any, ...], dict[str, Any]], key: tuple[Any, ...]) -> bool:
    return key in found and found[key]["value"] is not None


def _range(row: dict[str, Any], form: str = ".3f") -> str:
    if row["ci_low"] is None:
        return "no interval"
    return f"{row['ci_low']:{form}} to {row['ci_high']:{form}}"
