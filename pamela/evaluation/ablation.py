"""The paper's ablation: models trained again without user, demographics or metadata.

Every variant switches off some of ``train.inputs``, chooses its own sizes inside train, and is
asked the same queries as in the evaluation. Differences to the full model are paired over users
and averaged over seeds. Run: ``make ablation`` (``python -m flows.ablation``), which writes
``reports/ablation.parquet``, ``reports/ablation.json`` (what produced it),
``reports/ablation.html`` and ``metrics/ablation.json``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import Fold, count_folds, load_fold
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.core.progress import share_bar
from pamela.evaluation.metrics.schema import INTERVAL, MODEL, POPULATION, SHOTS
from pamela.evaluation.predictions import own_folds, predict_model, restrict
from pamela.models import create_model, list_models, model_class
from pamela.models.base import RewardModel
from pamela.params import ALL_INPUTS, InputParams, Params, TrainParams
from pamela.training.train import work_folder

TABLE, RECORD = "ablation.parquet", "ablation.json"
VARIANT, SEED = "variant", "seed"
FULL: Final = "full"
NONE: Final = "none"
VARIANTS: Final[dict[str, InputParams]] = {
    FULL: ALL_INPUTS,
    **{f"no_{one}": ALL_INPUTS.model_copy(update={one: False}) for one in InputParams.model_fields},
    NONE: InputParams(**dict.fromkeys(InputParams.model_fields, False)),
}


ABLATION = pl.Schema(
    {
        s.DATASET: pl.String,
        MODEL: pl.String,
        VARIANT: pl.String,
        "user": pl.Boolean,  # whether the variant has each of `train.inputs`
        "demographics": pl.Boolean,
        "metadata": pl.Boolean,
        POPULATION: pl.String,
        SHOTS: pl.Int64,
        "metric": pl.String,
        "margin": pl.Float64,
        **INTERVAL,
        "difference": pl.Float64,
        "difference_ci_low": pl.Float64,
        "difference_ci_high": pl.Float64,
        "seed_sd": pl.Float64,  # of the difference, between seeds; null with one seed
        "n_users": pl.Int64,
        "n_seeds": pl.Int64,
    }
)


@dataclass(frozen=True)
class AblationJob:
    """One model in one variant on one fold, with every seed."""

    model: str
    variant: str
    fold: int

    def __str__(self) -> str:
        return f"{self.model} {self.variant} fold {self.fold}"


@dataclass(frozen=True)
class Done:
    """What a job predicted, what its first seed chose, and the seconds it took.

    Attributes
    ----------
    predictions : rows of `pamela.evaluation.metrics.schema.PREDICTIONS` with `VARIANT` and `SEED`
        beside.
    """

    job: AblationJob
    predictions: pl.DataFrame
    chosen: dict[str, Any]
    seconds: float


def plan_ablation(project: Project, params: Params) -> list[AblationJob]:
    """Return every job.

    Raises
    ------
    PamelaError
        If ``ablation.models`` names a model that is unknown or has not all switches.
    """
    for name in params.ablation.models:
        if name not in list_models():
            raise PamelaError(
                f"params.yaml: ablation.models: unknown model {name!r}; "
                f"choose from {', '.join(list_models())}"
            )
        lacks = sorted(set(InputParams.model_fields) - model_class(name).switches)
        if lacks:
            raise PamelaError(
                f"params.yaml: ablation.models: {name} has no switch for {', '.join(lacks)}; "
                "leave it out"
            )
    return [
        AblationJob(model, variant, fold)
        for fold in range(count_folds(project))
        for model in params.ablation.models
        for variant in VARIANTS
    ]


def train_params(params: Params, variant: str, seed: int) -> TrainParams:
    """Return the ``train`` params of a variant and seed."""
    return params.train.model_copy(update={"inputs": VARIANTS[variant], "seed": seed})


def fit_and_predict(project: Project, params: Params, job: AblationJob) -> Done:
    """Fit and ask one variant, its progress on stderr; an interrupted fit resumes.

    Raises
    ------
    PamelaError
        If the fold has no training rows.
    """
    fold = load_fold(project, job.fold)
    if not len(fold[s.TRAIN]):
        raise PamelaError(f"data/splits: fold {job.fold} has no rows in part train")
    asked = restrict(fold, own_folds(project))

    def workdir(train: TrainParams) -> Path:
        return work_folder(project, train, f"ablation-{job.model}", fold)

    return run_on(fold, asked, params, job, workdir)


def run_on(fold: Fold, asked: Fold, params: Params, job: AblationJob, workdir: Any = None) -> Done:
    """Fit on `fold` with every seed and ask about the test rows of `asked`.

    Parameters
    ----------
    workdir : returns the checkpoint folder of a fit from its params; None keeps no checkpoints.

    Notes
    -----
    Sizes are chosen with the first seed; the others take them over where the model can.
    """
    start = time.monotonic()
    grid = params.evaluate.model_copy(update={"shots": params.ablation.shots})
    frames: list[pl.DataFrame] = []
    model: RewardModel | None = None
    chosen: dict[str, Any] = {}
    for number in range(params.ablation.models[job.model]):
        seed = params.train.seed + number
        train = train_params(params, job.variant, seed)
        model = (
            create_model(job.model, train)
            if model is None
            else model.with_chosen_hyperparameters(train)
        )
        kept = workdir(train) if workdir is not None else None
        with share_bar(f"ablation {job} seed {seed}") as report:
            model.fit(fold, seed=seed, progress=report, workdir=kept)
        if kept is not None:
            shutil.rmtree(kept, ignore_errors=True)
        chosen = chosen or model.chosen
        frames.append(
            predict_model(model, job.model, asked, grid).with_columns(
                pl.lit(job.variant).alias(VARIANT), pl.lit(seed, pl.Int64).alias(SEED)
            )
        )
    return Done(job, pl.concat(frames), chosen, time.monotonic() - start)


def ablation_summary(done: Sequence[Done]) -> str:
    """Return one line: seconds per model over all variants and folds."""
    seconds: dict[str, float] = {}
    for one in done:
        seconds[one.job.model] = seconds.get(one.job.model, 0.0) + one.seconds
    return ", ".join(f"{model} {taken:.0f} s" for model, taken in seconds.items())


def slice_name(population: str, shots: int | None) -> str:
    """Return ``seen`` or ``unseen_20``."""
    return population if shots is None else f"{population}_{shots}"


def variant_name(variant: str) -> str:
    """Return a variant's name for people."""
    names = {FULL: "all three", NONE: "none of them"}
    return names.get(variant) or f"without {variant.removeprefix('no_')}"
