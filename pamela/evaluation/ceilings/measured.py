"""The measured noise ceiling of datasets whose people rated pictures more than once.

Rows of model ``noise_ceiling`` beside every model's SROCC and PLCC: the best correlation that any
score reaches with what is scored (``srocc``, ``plcc``) and with one rating (``one_pass_srocc``,
``one_pass_plcc``), and what both follow from, the correlation of one pass with the next
(``retest_srocc``, ``retest_plcc``). See `pamela.evaluation.ceilings.retest`.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import load_repeats
from pamela.core.paths import Project
from pamela.evaluation.ceilings.retest import KINDS, Retest, retest_people
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.evaluation.metrics.intervals import USER
from pamela.evaluation.metrics.schema import MODEL, NOISE_CEILING, PICTURES, POPULATION, SHOTS

SINGLE: Final = "one_pass_"
RETEST: Final = "retest_"


def with_measured_ceiling(
    project: Project, predictions: pl.DataFrame, numbers: pl.DataFrame
) -> pl.DataFrame:
    """Return the evaluation's `numbers` with the ceiling of every dataset that has repeats.

    Parameters
    ----------
    predictions : who was asked in each slice.
    """
    frames = [numbers]
    validated = pl.scan_parquet(project.validated / "ratings.parquet", glob=False)
    for dataset, mode in load_repeats(project).items():
        if mode is None:
            continue
        people = retest_people(validated.filter(pl.col(s.DATASET) == dataset))
        if people.height:
            mine = predictions.filter(pl.col(s.DATASET) == dataset)
            frames += _rows(Retest.of(people, mode), mine, numbers)
    return pl.concat(frames)


def _rows(retest: Retest, predictions: pl.DataFrame, numbers: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the rows of one dataset: in every slice those of the people who were asked there."""
    frames = []
    asked = predictions.filter(pl.col(MODEL) == predictions[MODEL][0])
    like = numbers.filter(
        pl.col(s.DATASET).is_in(asked[s.DATASET].unique())
        & (pl.col(MODEL) == predictions[MODEL][0])
        & (pl.col("aggregation") == USER)
        & pl.col("metric").is_in(KINDS)
    )
    for row in (like[number] for number in range(like.height)):
        kind = row["metric"][0]
        here = asked.join(row, on=[POPULATION, SHOTS, PICTURES], how="semi", nulls_equal=True)
        there = retest.of_users(here[s.USER].unique())
        found = {
            kind: there.ceiling(kind),
            SINGLE + kind: there.one_pass_ceiling(kind),
            RETEST + kind: there.correlation(kind),
        }
        pictures = int(there.people["pictures"].sum())
        frames += [_row(row, name, estimate, pictures) for name, estimate in found.items()]
    return frames


def _row(row: pl.DataFrame, metric: str, found: Estimate, pictures: int) -> pl.DataFrame:
    """Return the row of another model and metric in the slice of `row`."""
    values = {"metric": metric, MODEL: NOISE_CEILING, "n_pairs": pictures, **found.to_row()}
    literals = (pl.lit(value, row.schema[name]).alias(name) for name, value in values.items())
    return row.with_columns(literals)
