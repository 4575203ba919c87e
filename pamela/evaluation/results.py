"""Everything that the stages before wrote and that report, model card and tracking read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from pamela.core import schema as s
from pamela.core.files import read_json, read_parquet
from pamela.core.paths import Project
from pamela.evaluation.comparators.bradley_terry import BRADLEY_TERRY
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN
from pamela.evaluation.comparators.population_user_mean import POPULATION_USER_MEAN
from pamela.evaluation.comparisons import LEVELS
from pamela.evaluation.metrics.definitions import SROCC, coinciding_margins
from pamela.evaluation.metrics.intervals import USER
from pamela.evaluation.metrics.personalisation import GENERIC_LEVEL
from pamela.evaluation.metrics.schema import (
    KNOWN_PICTURES,
    MODEL,
    NEW_PICTURES,
    NOISE_CEILING,
    PICTURES,
    POPULATION,
    SEEN,
    SHUFFLED,
    UNSEEN,
    UNSEEN_ALL_ROWS,
)
from pamela.evaluation.observers import FEATURE_OBSERVER, IDEAL_OBSERVER
from pamela.params import Params

POPULATIONS = (SEEN, UNSEEN)
# what knows the world's truth: bounds, drawn as lines
CEILINGS = ("ideal_population", "feature_observer", "ideal_observer", NOISE_CEILING)


@dataclass(frozen=True)
class Results:
    """Lazily read outputs of the stages; a missing file is an error that names it."""

    project: Project
    params: Params

    @cached_property
    def numbers(self) -> pl.DataFrame:
        """``reports/evaluation.parquet``, one row per number."""
        return read_parquet(self.project.reports / "evaluation.parquet")

    @cached_property
    def evaluation(self) -> pl.DataFrame:
        """The numbers on pictures that nobody trained on."""
        return of_pictures(self.numbers, NEW_PICTURES)

    @cached_property
    def known_evaluation(self) -> pl.DataFrame:
        """The numbers on pictures that others rated."""
        return of_pictures(self.numbers, KNOWN_PICTURES)

    @cached_property
    def all_differences(self) -> pl.DataFrame:
        """``reports/differences.parquet``, paired differences of two models."""
        return read_parquet(self.project.reports / "differences.parquet")

    @cached_property
    def differences(self) -> pl.DataFrame:
        """The differences on pictures that nobody trained on."""
        return of_pictures(self.all_differences, NEW_PICTURES)

    @cached_property
    def known_differences(self) -> pl.DataFrame:
        """The differences on pictures that others rated."""
        return of_pictures(self.all_differences, KNOWN_PICTURES)

    @cached_property
    def slices(self) -> pl.DataFrame:
        """``reports/slices.parquet``, accuracy by kind of picture."""
        return read_parquet(self.project.reports / "slices.parquet")

    @cached_property
    def groups(self) -> pl.DataFrame:
        """``reports/groups.parquet``, accuracy by demographic group."""
        return read_parquet(self.project.reports / "groups.parquet")

    @cached_property
    def gaps(self) -> pl.DataFrame:
        """``reports/gaps.parquet``, best minus worst demographic group."""
        return read_parquet(self.project.reports / "gaps.parquet")

    @cached_property
    def all_predictions(self) -> pl.DataFrame:
        """``reports/predictions.parquet``, a row per model and rating asked about."""
        return read_parquet(self.project.reports / "predictions.parquet")

    @cached_property
    def predictions(self) -> pl.DataFrame:
        """The predictions on pictures that nobody trained on."""
        return of_pictures(self.all_predictions, NEW_PICTURES)

    @cached_property
    def choice_predictions(self) -> pl.DataFrame:
        """``reports/choice_predictions.parquet``, probabilities of test choices."""
        return read_parquet(self.project.reports / "choice_predictions.parquet")

    def has_ratings(self, dataset: str) -> bool:
        """Whether anybody was asked about ratings; else the dataset has choices alone."""
        return bool(self.predictions.filter(dataset=dataset).height)

    @cached_property
    def ratings(self) -> pl.DataFrame:
        """Validated ratings with the picture's ``type`` beside."""
        images = read_parquet(self.project.validated / "images.parquet")
        return read_parquet(self.project.validated / "ratings.parquet").join(
            images.select(s.DATASET, s.IMAGE, s.TYPE), on=[s.DATASET, s.IMAGE], how="left"
        )

    @cached_property
    def headline(self) -> dict[str, float]:
        """``metrics/evaluation.json``."""
        return _numbers(read_json(self.project.metrics / "evaluation.json"))

    @cached_property
    def steering(self) -> dict[str, float]:
        """``metrics/steering.json``."""
        return _numbers(read_json(self.project.metrics / "steering.json"))

    @cached_property
    def validation(self) -> dict[str, Any]:
        """``reports/validation.json``."""
        report: dict[str, Any] = read_json(self.project.reports / "validation.json")
        return report

    @cached_property
    def splits(self) -> dict[str, Any]:
        """``data/splits/splits.json``, per dataset."""
        report: dict[str, Any] = read_json(self.project.splits / "splits.json")["datasets"]
        return report

    @cached_property
    def dataset_meta(self) -> dict[str, Any]:
        """``data/tables/datasets.json``."""
        meta: dict[str, Any] = read_json(self.project.tables / "datasets.json")
        return meta

    @property
    def datasets(self) -> list[str]:
        """Evaluated datasets, in the order of the params."""
        found = set(self.evaluation["dataset"].unique())
        named = [d for d in self.params.ingest.datasets if d in found]
        return named + sorted(found - set(named))

    @property
    def external(self) -> list[str]:
        """The names of the scores from elsewhere."""
        return list(self.params.evaluate.external)

    def models(self, dataset: str) -> list[str]:
        """Return evaluated models: the champion, the others, scores from elsewhere, the control,
        then the ceilings.
        """
        found = self.evaluation.filter(dataset=dataset)["model"].unique().to_list()
        order = [self.params.train.champion, *reversed(self.params.train.models)]
        order += [*self.external, POPULATION_USER_MEAN, SHUFFLED]
        order += CEILINGS
        return sorted(found, key=lambda m: (order.index(m) if m in order else len(order), m))

    def known_models(self, dataset: str, metric: str | None = SROCC) -> list[str]:
        """Return the models with a value on known pictures; none where nobody could be asked.

        Parameters
        ----------
        metric : a value of which one; None for any, those of choices too.
        """
        of_metric = pl.lit(True) if metric is None else pl.col("metric") == metric
        rows = self.known_evaluation.filter(of_metric, pl.col("n_users") > 0, dataset=dataset)
        found = set(rows[MODEL].unique())
        order = [*self.models(dataset), IMAGE_MEAN, BRADLEY_TERRY]
        return [name for name in order if name in found]

    def margin_groups(self, dataset: str) -> list[list[float]]:
        """Return the margins, grouped where they coincide on this dataset's rating steps."""
        seen = self.predictions.filter(dataset=dataset)[s.RATING].unique().to_numpy()
        return coinciding_margins(seen, self.params.evaluate.margins)

    def two_values(self, dataset: str) -> bool:
        """Whether this dataset's ratings are one of two values, such as likes."""
        return bool(self.predictions.filter(dataset=dataset)[s.RATING].n_unique() == 2)

    @property
    def steered(self) -> bool:
        """Whether pictures were steered and judged."""
        return bool(self.steering.get("n_judgments"))

    @property
    def sheet(self) -> Path | None:
        """The steering contact sheet, where there is one."""
        path = self.project.reports / "steering" / "sheet.png"
        return path if path.is_file() else None

    def histories(self, model: str) -> pl.DataFrame | None:
        """Return a model's training curves, folds stacked (column ``fold``), or none."""
        frames = [
            frame.with_columns(fold=pl.lit(int(path.parent.name.removeprefix("fold_"))))
            for path in sorted((self.project.models / model).glob("fold_*/history.parquet"))
            if (frame := read_parquet(path)).height
        ]
        return pl.concat(frames, how="diagonal") if frames else None


def of_pictures(table: pl.DataFrame, pictures: str) -> pl.DataFrame:
    """Return the rows about `pictures`."""
    return table.filter(pl.col(PICTURES) == pictures)


def headline_rows(
    evaluation: pl.DataFrame, metric: str, *, margin: float | None = None, aggregation: str = USER
) -> pl.DataFrame:
    """Return the rows people read first: `metric` for seen users and for unseen ones at 0 shots.

    Parameters
    ----------
    margin : for pairwise accuracy, the margin to keep; ``None`` keeps all of them.
    """
    rows = evaluation.filter(
        (pl.col("metric") == metric)
        & (pl.col("aggregation") == aggregation)
        & pl.col(POPULATION).is_in(POPULATIONS)
        & (pl.col("shots").is_null() | (pl.col("shots") == 0))
    )
    if margin is None:
        return rows
    return rows.filter(((pl.col("margin") - margin).abs() < 1e-9) | pl.col("margin").is_null())


def as_published(evaluation: pl.DataFrame) -> pl.DataFrame:
    """Return the numbers with those of unseen users on all their test rows at 0 shots.

    The paper knows no shots: its held-out users are asked about all they rated. Where the query
    of a dataset is all of that, its numbers stay.
    """
    everything = pl.col(POPULATION) == UNSEEN_ALL_ROWS
    replaced = (pl.col(POPULATION) == UNSEEN) & everything.any().over(s.DATASET)
    return evaluation.filter(~replaced).with_columns(
        pl.when(everything).then(pl.lit(UNSEEN)).otherwise(POPULATION).alias(POPULATION)
    )


def shot_rows(evaluation: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return `metric` of unseen users by the number of ratings shown; pairs at margin 0."""
    return evaluation.filter(
        (pl.col("metric") == metric)
        & (pl.col("aggregation") == USER)
        & (pl.col("population") == UNSEEN)
        & ((pl.col("margin") == 0.0) | pl.col("margin").is_null())
    ).sort("shots")


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Keep the flat numbers."""
    return {k: float(v) for k, v in values.items() if isinstance(v, int | float)}


def personal_models(results: Results, dataset: str, *, observers: bool = False) -> list[str]:
    """Return the models that were asked as somebody else, in the order of the report.

    What tells people apart by their level alone, and so orders nothing, is left out.
    """
    rows = results.evaluation.filter(dataset=dataset, metric=GENERIC_LEVEL + SROCC)
    asked = set(rows[MODEL].unique()) - set(LEVELS)
    if not observers:
        asked -= {IDEAL_OBSERVER, FEATURE_OBSERVER}
    return [name for name in results.models(dataset) if name in asked]
