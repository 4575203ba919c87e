"""Stage steer: prompts steered by each reward, judged by the world's users.

Run in the project root: ``python -m flows.steer`` (``dvc repro`` does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.params import Params
from pamela.steer import steer as work
from pamela.steer.judges import SimulatedJudge
from pamela.steer.rewards import RewardFunction
from pamela.steer.sampling import EvaluationCase


@step("load the rewards")
def load_rewards(project: Project, params: Params) -> tuple[dict[str, RewardFunction], list[str]]:
    """Load the champion and the population model."""
    return work.load_rewards(project, params)


@step("choose users and prompts")
def choose(project: Project, params: Params, known: Sequence[str]) -> list[EvaluationCase]:
    """Draw the users and test prompts."""
    return work.choose_cases(project, params, known)


@step("steer")
def search(
    params: Params, cases: Sequence[EvaluationCase], rewards: Mapping[str, RewardFunction]
) -> work.SteeringResult:
    """Rewrite, draw and score, round by round."""
    return work.search(params, cases, rewards)


@step("judge")
def judge_arms(found: work.SteeringResult, judge: SimulatedJudge, params: Params) -> pl.DataFrame:
    """Let the world's users compare the arms."""
    return work.judge_arms(found, judge, params.steer.seed)


@step("rank the arms")
def rank(project: Project, params: Params, table: pl.DataFrame) -> dict[str, float]:
    """Fit win shares and Elo; write table and metrics."""
    return work.write_steering_results(project, params, table)


@step("draw the contact sheet")
def sheet(
    project: Project, params: Params, found: work.SteeringResult, judge: SimulatedJudge
) -> None:
    """Draw what the arms chose."""
    work.write_contact_sheet(project, params, found, judge)


@step("write what is skipped")
def skip(project: Project, reason: str) -> None:
    """Say why nothing is steered, and write empty outputs."""
    print(reason)
    work.write_skipped(project)


@stage("steer")
def steer() -> None:
    """Steer, judge, rank; or say why not."""
    project, params = here()
    reason = work.skip_reason(params)
    if reason:
        skip(project, reason)
        return
    rewards, known = load_rewards(project, params)
    cases = choose(project, params, known)
    found = search(params, cases, rewards)
    judge = work.load_judge(project)
    table = judge_arms(found, judge, params)
    print(work.outcome_line(rank(project, params, table)))
    sheet(project, params, found, judge)


if __name__ == "__main__":
    main(steer)
