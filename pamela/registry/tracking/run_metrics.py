"""The numbers of an MLflow run as (key, value, step), when they came, and how a note says them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import polars as pl

from pamela.core.paths import Project
from pamela.core.timeline import FIT, Span, Timeline, unbroken
from pamela.evaluation.choices.metrics import CHOICE_METRICS
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN
from pamela.evaluation.metrics.definitions import PAIRWISE_ACCURACY, SROCC
from pamela.evaluation.metrics.schema import (
    KNOWN_PICTURES,
    NOISE_CEILING,
    PICTURES,
    POPULATION,
    SEEN,
    SHUFFLED,
    UNSEEN,
)
from pamela.evaluation.provenance import model_hashes, stable_hash
from pamela.evaluation.results import CEILINGS, POPULATIONS, Results, headline_rows, shot_rows

# the steps of stage evaluate in which models that are not fitted by stage train come about
MADE_IN_EVALUATE: Final = {
    **dict.fromkeys(CEILINGS, "ideal observers"),
    NOISE_CEILING: "noise ceiling",
    SHUFFLED: "shuffled control",
}
HEADLINE: Final = tuple(
    f"{population}_{metric}"
    for metric in (SROCC, PAIRWISE_ACCURACY, "gain_over_population")
    for population in POPULATIONS
)
STAGES: Final = ("ingest", "validate", "split", "embed", "train", "evaluate", "steer", "report")
DIGITS: Final = 6  # of evaluated numbers: as many as the runs table has room for
MARGIN_STEPS = 100  # MLflow steps are whole numbers: step = 100 x margin


def headline_metrics(rows: pl.DataFrame) -> Iterator[tuple[str, float, int]]:
    """Yield ``<population>_<metric>`` (mean over users, unseen at 0 shots), and its interval.

    Unseen users asked about pictures that others rated are ``known_pictures``.
    """
    order = {SROCC: 0, PAIRWISE_ACCURACY: 1}
    names = sorted(rows["metric"].unique(), key=lambda metric: (order.get(metric, 2), metric))
    for metric in names:
        margin = 0.0 if metric == PAIRWISE_ACCURACY else None
        for row in headline_rows(rows, metric, margin=margin).to_dicts():
            name = f"{asked(row)}_{metric}"
            yield from _figure(name, row["value"])
            if metric not in order:
                continue  # the other intervals stand in the report; charts of all would bury these
            for end in ("ci_low", "ci_high"):
                yield from _figure(f"intervals/{name}_{end}", row[end])


def most_important_first(
    points: Iterable[tuple[str, float, int]],
) -> list[tuple[str, float, int]]:
    """Return points as MLflow's page of a run should list them: intervals and curves last."""

    def place(point: tuple[str, float, int]) -> int:
        key = point[0]
        if key in HEADLINE:
            return HEADLINE.index(key)
        return len(HEADLINE) + ("/" in key)

    return sorted(points, key=place)


def asked(row: Mapping[str, Any]) -> str:
    """Return who was asked about what: the population, or that the pictures were known."""
    known = row[PICTURES] == KNOWN_PICTURES
    return f"{KNOWN_PICTURES}_{PICTURES}" if known else str(row[POPULATION])


def gain_rows(
    results: Results, dataset: str, model: str, *, baseline: str = "population"
) -> pl.DataFrame:
    """Return the paired SROCC differences to `baseline`: seen users, unseen ones at 0 shots."""
    return results.differences.filter(
        pl.col("shots").is_null() | (pl.col("shots") == 0),
        dataset=dataset, model=model, baseline=baseline, metric=SROCC,
    )  # fmt: skip


def gain_metrics(results: Results, dataset: str, model: str) -> Iterator[tuple[str, float, int]]:
    """Yield the paired SROCC difference to `population`, where it was computed."""
    for row in gain_rows(results, dataset, model).to_dicts():
        name = f"{row['population']}_gain_over_population"
        yield from _figure(name, row["value"])
        for end in ("ci_low", "ci_high"):
            yield from _figure(f"intervals/{name}_{end}", row[end])


def gain_tags(results: Results, dataset: str, model: str) -> dict[str, str]:
    """Return the difference to `population` with its interval as text, for the runs table."""
    rows = {row["population"]: row for row in gain_rows(results, dataset, model).to_dicts()}
    return {
        f"{population}_gain_over_population": with_interval(row)
        for population, row in rows.items()
        if row["value"] is not None
    }


def known_pictures_metrics(
    results: Results, dataset: str, model: str
) -> Iterator[tuple[str, float, int]]:
    """Yield what `model` reaches on pictures that others rated, and its gain over their mean.

    The gain is by shots (step = k): at 0 shots most models know little more than that mean.
    """
    rows = results.known_evaluation.filter(dataset=dataset, model=model)
    yield from headline_metrics(rows)
    yield from curve_metrics(rows)
    gains = results.known_differences.filter(
        dataset=dataset, model=model, baseline=IMAGE_MEAN, metric=SROCC
    )
    for row in gains.to_dicts():
        name = f"{asked(row)}_gain_over_{IMAGE_MEAN}"
        yield from _figure(f"by_shots/{name}", row["value"], row["shots"])
        for end in ("ci_low", "ci_high"):
            yield from _figure(f"intervals/by_shots/{name}_{end}", row[end], row["shots"])


def curve_metrics(rows: pl.DataFrame) -> Iterator[tuple[str, float, int]]:
    """Yield accuracy by margin (step = 100 x margin) and SROCC, accuracy by shots (step = k)."""
    for row in headline_rows(rows, PAIRWISE_ACCURACY).sort("margin").to_dicts():
        step = round(row["margin"] * MARGIN_STEPS)
        name = f"by_margin_x100/{asked(row)}_{PAIRWISE_ACCURACY}"
        yield from _figure(name, row["value"], step)
    for metric in (SROCC, PAIRWISE_ACCURACY):
        for row in shot_rows(rows, metric).drop_nulls("shots").to_dicts():
            yield from _figure(f"by_shots/{asked(row)}_{metric}", row["value"], row["shots"])


def training_metrics(results: Results, model: str) -> Iterator[tuple[str, float, int]]:
    """Yield every logged training quantity, by fold and step."""
    history = results.histories(model)
    if history is None:
        return
    numeric = [c for c in history.columns if history[c].dtype.is_numeric()]
    for row in history.select(numeric).to_dicts():
        step, fold = int(row.pop("step")), row.pop("fold")
        for key, value in row.items():
            yield from _point(training_key(fold, key), value, step)


def training_key(fold: int, key: str) -> str:
    """Return the metric's name of a quantity that fitting logs."""
    return f"training/fold_{fold}_{key}"


def training_times(project: Project, model: str) -> dict[tuple[str, int], float]:
    """Return when each point of a training curve came, where that was recorded."""
    times = Timeline.of(project, "train").metric_times
    return {
        (training_key(fold, key), step): at
        for (name, fold, key, step), at in times.items()
        if name == model
    }


def model_span(project: Project, model: str, *, external: bool = False) -> Span | None:
    """Return from when to when a model was fitted, or came about in the evaluation.

    Parameters
    ----------
    external : whether it is no model but scores from elsewhere.
    """
    fitted = Timeline.of(project, "train").step(FIT, model)
    if fitted is not None:
        return fitted
    evaluated = Timeline.of(project, "evaluate")
    made = "scores from elsewhere" if external else "predict fold"
    return evaluated.step(MADE_IN_EVALUATE.get(model, made))


def pipeline_span(project: Project) -> Span | None:
    """Return from when to when the stages ran that made the report that is there."""
    now = time.time()
    return unbroken(Timeline.of(project, stage).until(now) for stage in STAGES)


def _figure(key: str, value: float | None, step: int = 0) -> Iterator[tuple[str, float, int]]:
    for name, number, at in _point(key, value, step):
        yield name, round(number, DIGITS), at


def _point(key: str, value: float | None, step: int = 0) -> Iterator[tuple[str, float, int]]:
    if value is not None and math.isfinite(value):
        yield key, float(value), step


def with_interval(row: Mapping[str, Any] | None, digits: int = 3) -> str:
    """Return ``0.412 [0.391, 0.433]``, or a dash for nothing."""
    if row is None or row.get("value") is None:
        return "–"
    text = f"{row['value']:.{digits}f}"
    if row.get("ci_low") is None or row.get("ci_high") is None:
        return text
    return f"{text} [{row['ci_low']:.{digits}f}, {row['ci_high']:.{digits}f}]"


def evaluation_note(results: Results, dataset: str, model: str, rows: pl.DataFrame) -> str:
    """Return what the note of one model's run says."""
    lines = [
        f"**{model}** on **{dataset}**: means over users with 95 % bootstrap intervals.",
        "",
    ]
    for metric, title in ((SROCC, "SROCC"), (PAIRWISE_ACCURACY, "pairwise accuracy, margin 0")):
        margin = 0.0 if metric == PAIRWISE_ACCURACY else None
        found = {r["population"]: r for r in headline_rows(rows, metric, margin=margin).to_dicts()}
        lines.append(note_line(title, {p: with_interval(found.get(p)) for p in POPULATIONS}))
    for metric in CHOICE_METRICS:
        found = {r["population"]: r for r in headline_rows(rows, metric).to_dicts()}
        if found:
            title = metric.replace("_", " ")
            lines.append(note_line(title, {p: with_interval(found.get(p)) for p in POPULATIONS}))
    known = shot_rows(results.known_evaluation.filter(dataset=dataset, model=model), SROCC)
    if known["value"].count():
        told = ", ".join(f"{r['shots']}: {with_interval(r)}" for r in known.to_dicts())
        lines.append(f"- SROCC of unseen users on pictures that others rated, by shots: {told}")
    lines += [
        "",
        "Charts: `by_margin_x100/` (step = 100 x margin), `by_shots/` (step = ratings shown; "
        "users with few ratings drop out as it grows), `training/` (step as the model logs it). "
        "Under Artifacts: every number (`evaluation.json`), the configurations tried "
        "(`search.json`) and plots. The whole report is an artifact of the run `pipeline`.",
    ]
    return "\n".join(lines)


def note_line(title: str, figures: Mapping[str, str]) -> str:
    """Return one metric as a line of a note: MLflow sets the columns of a table without a gap."""
    return f"- {title}: seen users {figures[SEEN]}; unseen users at 0 shots {figures[UNSEEN]}"


def live_fit(project: Project, model: str) -> str:
    """Return what names the run that was made while a model was fitted; empty for one that isn't.

    The fitted weights name it: who finds them later, after a crash perhaps, finds their run.
    """
    fitted = model_hashes(project, model)
    return f"fit of {model} {stable_hash(fitted)}" if fitted else ""


def elo_by_arm(steering: Mapping[str, float]) -> dict[str, float]:
    """Return ``{arm: Elo}`` of the flat metrics of steering."""
    return {
        key.removeprefix("elo_"): value
        for key, value in steering.items()
        if key.startswith("elo_") and not key.endswith(("_ci_low", "_ci_high"))
    }


def elo_sentence(steering: Mapping[str, float]) -> str:
    """Return ``self 1041, population 1009, ...``, best first."""
    elo = elo_by_arm(steering)
    return ", ".join(f"{arm} {elo[arm]:.0f}" for arm in sorted(elo, key=lambda a: -elo[a]))
