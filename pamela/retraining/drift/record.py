"""Drift of the batches on trial: measured once per trial, and written to ``reports/drift.json``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Fold, Pairs
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.models.repeats import averaged
from pamela.params import Params
from pamela.registry import versions
from pamela.retraining.drift import people, tables
from pamela.retraining.drift.measure import DRIFTED, Measure, line
from pamela.retraining.gate.decision import read_record
from pamela.retraining.gate.holdout import Holdout

FILE = "drift.json"
BARS = 24  # of the histogram of scores of pictures


class Drift(BaseModel):
    """What ``reports/drift.json`` holds.

    Attributes
    ----------
    champion : the version that the new ratings are compared with.
    batches : the new ones.
    line : what has drifted, for people.
    datasets : per dataset, counts and what the page draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    champion: str
    batches: list[str]
    line: str
    drifted: bool
    measures: list[Measure]
    datasets: dict[str, dict[str, Any]]


def measure_drift(
    project: Project, params: Params, holdout: Holdout, batches: Sequence[str]
) -> Drift | None:
    """Measure how the batches on trial differ from what the champion knows, and write it down.

    Returns
    -------
    None where there is no champion, or no new rating.
    """
    champion = versions.champion(project, params)
    compared = list(tables.validated(project, champion, batches)) if champion else []
    if champion is None or not compared:
        return None
    from pamela.training.bundle import load_evaluated

    folder = versions.resolve(f"models:/{versions.NAME}/{champion.version}", project, params)
    model = load_evaluated(folder).model
    measures: list[Measure] = []
    datasets: dict[str, dict[str, Any]] = {}
    for one in compared:
        found, shown = _of_dataset(one, model, holdout, params)
        measures += found
        datasets[one.dataset] = shown
    drift = Drift(
        champion=champion.version,
        batches=list(batches),
        line=line(measures),
        drifted=any(one.result == DRIFTED for one in measures),
        measures=measures,
        datasets=datasets,
    )
    write_json(record_file(project), drift.model_dump())
    return drift


def _of_dataset(
    one: tables.Compared, model: Any, holdout: Holdout, params: Params
) -> tuple[list[Measure], dict[str, Any]]:
    """Return every measure of a dataset, and what the page shows of it."""
    from pamela.retraining.drift.calibration import measure_calibration
    from pamela.retraining.drift.pictures import measure_pictures  # scikit-learn, for a trial alone

    asked, fold = params.retrain.drift, holdout.fold
    old, new = (_pairs(fold, one.dataset, ratings.rows) for ratings in (one.old, one.new))
    items = np.unique(new.item)
    before = np.setdiff1d(old.item, items)
    groups = _groups(fold)[np.concatenate([before, items])]
    domain = measure_pictures(
        one.dataset, fold.items.image[before], fold.items.image[items], groups, asked
    )
    frozen = Pairs.concat(*holdout.frozen.values())
    fresh, _ = averaged(new)
    mine = fold.people.frame[s.DATASET].to_numpy()[frozen.user] == one.dataset
    measures = [*people.measure_people(one.dataset, one.old, one.new, asked), domain.measure]
    if one.new.rated:
        held_out = frozen.take(mine)
        measures += measure_calibration(one.dataset, model, fold, held_out, fresh, asked)
    return measures, _shown(one, domain.old, domain.new)


def _pairs(fold: Fold, dataset: str, rows: pl.DataFrame) -> Pairs:
    """Return ratings as pairs of the fold; what has no features is left out."""
    person, picture = (
        frame.with_row_index(name).filter(pl.col(s.DATASET) == dataset).select(name, key)
        for frame, name, key in (
            (fold.people.frame, "_user", s.USER),
            (fold.items.frame, "_item", s.IMAGE),
        )
    )
    rated = pl.col(s.RATING) if s.RATING in rows.columns else pl.lit(float("nan"))
    rows = rows.with_columns(rated.alias(s.RATING))
    found = rows.join(person, on=s.USER).join(picture, on=s.IMAGE).sort("_user", "_item", s.RATING)
    return Pairs(
        found["_user"].to_numpy().astype(np.int64),
        found["_item"].to_numpy().astype(np.int64),
        found[s.RATING].to_numpy().astype(np.float32),
    )


def _groups(fold: Fold) -> Any:
    """Return a number per picture; pictures of one prompt share it."""
    key = pl.coalesce(
        pl.concat_str([pl.lit("p"), s.PROMPT_ID]), pl.concat_str([pl.lit("i"), s.IMAGE])
    )
    return fold.items.frame.select(key.rank("dense")).to_series().to_numpy().astype(np.int64)


def _shown(one: tables.Compared, old_scores: Floats, new_scores: Floats) -> dict[str, Any]:
    ratings = (one.old.rows, one.new.rows) if one.new.rated else ()
    values = people.levels(*ratings) if ratings else np.zeros(0)
    old, new = [people.histogram(rows, values)[1].tolist() for rows in ratings] or ([], [])
    each = one.new.rows.group_by(s.USER).len()["len"]
    edges = np.histogram_bin_edges(np.concatenate([old_scores, new_scores]), BARS)
    return {
        "people": one.new.users.height,
        "ratings": one.new.rows.height if ratings else None,
        "ratings_per_person": {"median": each.median(), "most": each.max()},
        "values": values.tolist(),
        "old_ratings": old,
        "new_ratings": new,
        "raters": {
            column: people.mix(one.old.users, one.new.users, column).to_dicts()
            for column in one.new.demographics
        },
        "score_edges": edges.tolist() if len(old_scores) else [],
        "old_scores": np.histogram(old_scores, edges)[0].tolist(),
        "new_scores": np.histogram(new_scores, edges)[0].tolist(),
    }


# --- what was written -------------------------------------------------------------------------


def record_file(project: Project) -> Path:
    """``reports/drift.json``: the drift of the last batches on trial."""
    return project.reports / FILE


def last_drift(project: Project) -> Drift | None:
    """Return what was measured last, or None before the first time.

    Raises
    ------
    PamelaError
        If the record is damaged.
    """
    return read_record(project, record_file(project), Drift, "remove it, the next trial writes it")


# --- before anything is read in ---------------------------------------------------------------


def drift_of_tables(project: Project, params: Params, batches: Sequence[str]) -> str:
    """Return in a phrase how accepted batches have drifted, as far as their tables tell.

    Empty where they have not, where there is no champion, or the pipeline has not run.
    """
    champion = versions.champion(project, params)
    if champion is None or not (project.validated / "users.parquet").is_file():
        return ""
    found = list(_of_tables(project, params, tables.as_they_came(project, champion, batches)))
    return line(found) if any(one.result == DRIFTED for one in found) else ""


def _of_tables(
    project: Project, params: Params, compared: Iterator[tables.Compared]
) -> Iterator[Measure]:
    for one in compared:
        yield from people.measure_people(one.dataset, one.old, one.new, params.retrain.drift)
