"""The steer stage's real steps, as functions of a project: ``python -m flows.steer`` runs them.

It needs a dataset whose pictures a generator can draw anew and whose users can be asked again:
the embedded world. For any other it says what it skips and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.dataset import load_people
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, read_parquet, write_metrics, write_parquet
from pamela.core.paths import Project
from pamela.core.progress import progress
from pamela.core.split_rows import read_fold_rows
from pamela.features.factory import get_encoder
from pamela.models import model_class
from pamela.models.base import RewardModel, load_model, model_hash
from pamela.params import PRECOMPUTED, Params
from pamela.steer.contact_sheet import write_steering_sheet
from pamela.steer.generators.factory import get_generator
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.results import (
    ARMS,
    CHAMPION,
    POPULATION,
    STEERING_SCHEMA,
    assign,
    chosen_rows,
    judgment_rows,
    plan_searches,
    render_rows,
    steering_metrics,
)
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewards.models import ModelReward, RenderFeatures
from pamela.steer.rewriters.factory import get_rewriter
from pamela.steer.sampling import EvaluationCase, sample_cases
from pamela.steer.search.loop import Search, run_searches

WORLD_DATASET: Final = "synthetic"  # the one dataset with a generator's world


@dataclass(frozen=True)
class SteeringResult:
    """Everything the searches found: who saw which, and every trial."""

    assignment: pl.DataFrame
    trials: pl.DataFrame


def skip_reason(params: Params) -> str | None:
    """Return why this run cannot steer, or None where it can."""
    if WORLD_DATASET not in params.ingest.datasets:
        names = ", ".join(params.ingest.datasets)
        return (
            f"steer: skipped (no pictures drawn, no judgments): {names} has no generator's "
            f"world to draw new pictures and ask its users again; only {WORLD_DATASET!r} has one"
        )
    if params.embed.encoder == PRECOMPUTED:
        return (
            "steer: skipped (no pictures drawn, no judgments): embed.encoder is 'precomputed', "
            "which cannot encode newly drawn pictures; name an encoder to steer"
        )
    if model_class(params.train.champion).knows is RewardModel.knows:
        return (
            "steer: skipped (no pictures drawn, no judgments): the champion "
            f"{params.train.champion!r} knows no single user, whose taste prompts are steered by"
        )
    return None


def write_skipped(project: Project) -> None:
    """Write the outputs of a run that cannot steer: an empty typed table and ``{"skipped": 1}``."""
    write_parquet(project.reports / "steering.parquet", pl.DataFrame(schema=STEERING_SCHEMA))
    write_metrics(project.metrics / "steering.json", {"skipped": 1})
    with atomic_folder(project.reports / "steering"):
        pass  # no pictures, and none of an earlier run


def load_rewards(project: Project, params: Params) -> tuple[dict[str, RewardFunction], list[str]]:
    """Return the champion and the population model as rewards, and the users the champion knows.

    Both are those of fold 0 and share one encoding of the pictures.
    """
    champion = _model(project, params, params.train.champion)
    population = _model(project, params, POPULATION)
    people = load_people(project)
    known = people.frame.filter(pl.Series(champion.knows(people)))
    encoder = get_encoder(
        params.embed.encoder,
        device=params.train.device,
        batch_size=params.embed.batch_size,
        workers=params.embed.workers,
    )
    prompts = _world_images(project).unique(s.PROMPT_ID, keep="first", maintain_order=True)
    shared = (people, prompts, RenderFeatures(encoder), WORLD_DATASET)
    rewards: dict[str, RewardFunction] = {
        CHAMPION: ModelReward(champion, *shared, _digest(project, params.train.champion)),
        POPULATION: ModelReward(population, *shared, _digest(project, POPULATION)),
    }
    return rewards, known.filter(pl.col(s.DATASET) == WORLD_DATASET)[s.USER].to_list()


def _model(project: Project, params: Params, name: str) -> RewardModel:
    if name not in params.train.models:
        raise PamelaError(
            f"params.yaml: steer compares with the model {name!r}: add it to train.models"
        )
    return load_model(project.models / name / "fold_0")


def _digest(project: Project, name: str) -> str:
    return model_hash(project.models / name / "fold_0")


def _world_images(project: Project) -> pl.DataFrame:
    """Return the world's pictures; one that names no prompt_id is a prompt of its own."""
    images = read_parquet(project.validated / "images.parquet")
    return images.filter(pl.col(s.DATASET) == WORLD_DATASET).with_columns(
        pl.coalesce(s.PROMPT_ID, s.IMAGE).alias(s.PROMPT_ID)
    )


def choose_cases(project: Project, params: Params, known: Sequence[str]) -> list[EvaluationCase]:
    """Draw ``steer.users`` known test users with ``steer.prompts`` test prompts each (fold 0)."""
    ratings = read_fold_rows(project, 0).filter(pl.col(s.DATASET) == WORLD_DATASET)
    cases = sample_cases(
        ratings,
        _world_images(project),
        known,
        users=params.steer.users,
        prompts=params.steer.prompts,
        seed=params.steer.seed,
    )
    users = len({case.user for case in cases})
    if users < params.steer.users:
        print(f"steer: {users} users of the {params.steer.users} asked for: the data has no more")
    return cases


def search(
    params: Params, cases: Sequence[EvaluationCase], rewards: Mapping[str, RewardFunction]
) -> SteeringResult:
    """Run the steering loop for every arm of every case, under one progress bar."""
    searches: list[Search] = plan_searches(cases)
    settings = params.steer
    total = len(searches) * (1 + settings.rounds * settings.variants)
    with (
        progress("steer", total=total) as advance,
        get_generator(params) as generator,
        get_rewriter(params) as rewriter,
    ):
        trials = run_searches(
            searches,
            generator=generator,
            rewriter=rewriter,
            rewards=rewards,
            settings=settings,
            advance=advance,
        )
    return SteeringResult(assign(cases, searches), trials)


def load_judge(project: Project) -> SimulatedJudge:
    """Return the world's users as judges; they know nothing of any reward."""
    from pamela.synthetic.raters.world import World

    return SimulatedJudge(World.load(project.truth))


def judge_arms(found: SteeringResult, judge: SimulatedJudge, seed: int) -> pl.DataFrame:
    """Return the table of renders and judgments, of `STEERING_SCHEMA`."""
    chosen = chosen_rows(found.assignment, found.trials)
    rng = np.random.default_rng([seed, 1])
    return pl.concat(
        [
            render_rows(found.assignment, found.trials, judge),
            judgment_rows(chosen, judge, rng),
        ]
    )


def write_steering_results(
    project: Project, params: Params, table: pl.DataFrame
) -> dict[str, float]:
    """Write ``reports/steering.parquet`` and ``metrics/steering.json``; return the metrics."""
    judgments = table.filter(pl.col("kind") == "judgment")
    rng = np.random.default_rng([params.steer.seed, 2])
    metrics = steering_metrics(judgments, bootstrap=params.steer.bootstrap, rng=rng)
    write_parquet(project.reports / "steering.parquet", table)
    write_metrics(project.metrics / "steering.json", metrics)
    return metrics


def write_contact_sheet(
    project: Project, params: Params, found: SteeringResult, judge: SimulatedJudge
) -> None:
    """Draw originals beside what the arms chose: ``reports/steering/sheet.png``."""
    chosen = chosen_rows(found.assignment, found.trials)
    path = project.reports / "steering" / "sheet.png"
    with get_generator(params) as generator:
        write_steering_sheet(chosen, generator, judge, path)


def outcome_line(metrics: Mapping[str, float]) -> str:
    """Return the outcome as a line for people."""
    elo = ", ".join(f"{arm} {metrics[f'elo_{arm}']:.0f}" for arm in ARMS)
    wins = ", ".join(
        f"{arm} {metrics[key]:.0%} "
        f"[{metrics[f'{key}_ci_low']:.0%}, {metrics[f'{key}_ci_high']:.0%}]"
        for arm in ARMS
        if (key := f"win_self_{arm}") in metrics
    )
    return f"steer: Elo {elo}; self wins against {wins} ({metrics['n_judgments']:.0f} judgments)"
