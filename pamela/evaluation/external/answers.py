"""What scores from elsewhere say of every test row and choice, beside what the models say.

Only the order of such scores means something: their scale is anybody's. The ``mean`` of a row is
the score on a scale of ours, as stage external has it; ``std`` is null. Of a choice, the
probabilities say which score is higher (1 and 0, or one half each). Where there is no score, the
mean or the probabilities are null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.evaluation.choices.predictions import CHOICE_PREDICTIONS, P_A, P_B, P_TIE
from pamela.evaluation.metrics.schema import (
    MODEL,
    PICTURES,
    POPULATION,
    PREDICTIONS,
    SHOTS,
)
from pamela.params import Params


def load_scores(project: Project, params: Params) -> dict[str, pl.DataFrame]:
    """Return the scores of every name in ``evaluate.external``, as stage external has left them."""
    names = params.evaluate.external
    return {name: read_parquet(project.external / f"{name}.parquet") for name in names}


def predict_scores(scores: dict[str, pl.DataFrame], predictions: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `PREDICTIONS`: what each file's scores say wherever a model was asked.

    Parameters
    ----------
    scores : name to the rows of `pamela.core.schema.SCORES_SCHEMA`.
    predictions : of one model that is asked everywhere.
    """
    frames = [PREDICTIONS.to_frame()]
    for name, rows in scores.items():
        asked = _of_scored_datasets(predictions, rows)
        answered = _joined(asked, rows, s.IMAGE, "mean", of=s.SCALED)
        frames.append(
            answered.with_columns(
                pl.lit(name).alias(MODEL),
                pl.col("mean").cast(pl.Float32),
                pl.lit(None, pl.Float32).alias("std"),
            ).select(PREDICTIONS.names())
        )
    return pl.concat(frames)


def choose_by_scores(scores: dict[str, pl.DataFrame], choices: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `CHOICE_PREDICTIONS`: which of two pictures each file scores higher.

    Parameters
    ----------
    scores : as of `predict_scores`.
    choices : what one model says wherever it was asked.
    """
    frames = [CHOICE_PREDICTIONS.to_frame()]
    for name, rows in scores.items():
        asked = _of_scored_datasets(choices, rows)
        both = _joined(_joined(asked, rows, s.IMAGE_A, "_a"), rows, s.IMAGE_B, "_b")
        first = 0.5 + 0.5 * (pl.col("_a") - pl.col("_b")).sign()
        frames.append(
            both.with_columns(
                pl.lit(name).alias(MODEL),
                first.cast(pl.Float32).alias(P_A),
                (1.0 - first).cast(pl.Float32).alias(P_B),
                (0.0 * first).cast(pl.Float32).alias(P_TIE),
            ).select(CHOICE_PREDICTIONS.names())
        )
    return pl.concat(frames)


def _of_scored_datasets(asked: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    return asked.filter(pl.col(s.DATASET).is_in(rows[s.DATASET].unique().implode()))


def _joined(
    asked: pl.DataFrame, rows: pl.DataFrame, image: str, called: str, *, of: str = s.SCORE
) -> pl.DataFrame:
    """Add the score of the picture in column `image`: the person's own where people have some."""
    keys = [s.DATASET, image]
    if rows[s.USER].null_count() == 0:
        keys.append(s.USER)
    known = rows.rename({s.IMAGE: image, of: called}).select(*keys, called)
    return asked.drop(called, strict=False).join(known, on=keys, how="left", maintain_order="left")


def missing_lines(
    names: Sequence[str], predictions: pl.DataFrame, choices: pl.DataFrame
) -> Iterator[str]:
    """Yield a line wherever people are asked about something without a score.

    Parameters
    ----------
    names : of the files.
    predictions, choices : rows of `predict_scores` and `choose_by_scores`, others beside.
    """
    asked = ((predictions, "mean", "ratings"), (choices, P_A, "choices"))
    for name in names:
        for table, answer, what in asked:
            rows = table.filter(pl.col(MODEL) == name, pl.col(SHOTS).fill_null(0) == 0)
            places = rows.group_by(s.DATASET, POPULATION, PICTURES, maintain_order=True)
            for (dataset, population, pictures), mine in places:
                missing = mine.filter(pl.col(answer).is_null())
                if missing.is_empty():
                    continue
                n = f"{missing[s.IMAGE].n_unique():,} " if s.IMAGE in missing.columns else ""
                rest = "the rest" if missing.height < mine.height else "nothing"
                yield (
                    f"{dataset}: {name} has no score for {missing.height:,} of {mine.height:,} "
                    f"{what} that {population} users are asked about ({n}{pictures} pictures): "
                    f"no value of its own there; differences are of {rest}"
                )
