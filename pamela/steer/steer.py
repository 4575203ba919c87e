"""The steer stage's real steps, as functions of a project: ``python -m flows.steer`` runs them.

Where the embedded world draws, its users judge. Any other generator's pictures are drawn and scored
alone: nobody simulated can say how a real picture is liked; ``pamela study`` asks people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.files import atomic_folder, write_metrics, write_parquet
from pamela.core.paths import Project
from pamela.core.split_rows import read_fold_rows
from pamela.models import model_class
from pamela.models.base import RewardModel
from pamela.params import PRECOMPUTED, Params
from pamela.steer.arm_search import Found, Tools
from pamela.steer.arms import CAUTIOUS, CHAMPION, POPULATION, TRUTH, Arm, all_arms
from pamela.steer.generators.factory import EMBEDDED, get_generator
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.outcomes.contact_sheet import write_steering_sheet
from pamela.steer.outcomes.curves import best_by_round, mean_gains
from pamela.steer.outcomes.metrics import (
    FAITHFUL,
    VQA_SCORE,
    chosen_metrics,
    drawing_counts,
    win_metrics,
)
from pamela.steer.outcomes.opinions import with_fidelity, with_independent, with_score
from pamela.steer.people import Rewards
from pamela.steer.results import (
    ARM,
    STEERING_SCHEMA,
    chosen_rows,
    judgment_rows,
    render_rows,
    with_truth,
)
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewards.factory import get_rewards
from pamela.steer.rewards.truth import TruthReward
from pamela.steer.rewriters.factory import get_rewriter
from pamela.steer.sampling import EvaluationCase, sample_cases
from pamela.steer.search.store import Counts, FolderStore, MemoryStore

SHEET: Final = "sheet.png"
WORLD_DATASET: Final = "synthetic"  # the one dataset whose people can be asked again


@dataclass(frozen=True)
class Tables:
    """What was found, with everybody's opinion of it.

    Attributes
    ----------
    steering : renders and judgments, of `STEERING_SCHEMA`.
    chosen : what each arm shows.
    best : the best of each arm by round (`best_by_round`).
    """

    steering: pl.DataFrame
    chosen: pl.DataFrame
    best: pl.DataFrame


def can_judge(params: Params) -> bool:
    """Return whether the people who are steered for can be asked about new pictures."""
    return params.steer.generator == EMBEDDED


def dataset_of(params: Params) -> str:
    """Return the dataset whose users and prompts are steered."""
    return WORLD_DATASET if can_judge(params) else params.ingest.datasets[0]


def skip_reason(params: Params) -> str | None:
    """Return why this run cannot steer, or None where it can."""
    if can_judge(params) and WORLD_DATASET not in params.ingest.datasets:
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


def unjudged_reason(params: Params) -> str | None:
    """Return why pictures are drawn and not judged, or None where they are."""
    if can_judge(params):
        return None
    return (
        f"steer: pictures of {params.steer.generator!r} are drawn and scored, and not judged: "
        "nobody simulated can say how a real picture is liked; `pamela study serve` asks people"
    )


def write_skipped(project: Project) -> None:
    """Write the outputs of a run that cannot steer: an empty typed table and ``{"skipped": 1}``."""
    write_parquet(project.reports / "steering.parquet", pl.DataFrame(schema=STEERING_SCHEMA))
    write_metrics(project.metrics / "steering.json", {"skipped": 1})
    with atomic_folder(project.reports / "steering"):
        pass  # no pictures, and none of an earlier run


def choose_cases(
    project: Project, params: Params, rewards: Rewards, *, group: int = 2
) -> list[EvaluationCase]:
    """Draw ``steer.users`` test users with ``steer.prompts`` test prompts each (fold 0)."""
    dataset = dataset_of(params)
    cases = sample_cases(
        read_fold_rows(project, 0).filter(pl.col(s.DATASET) == dataset),
        rewards.images,
        rewards.known,
        users=params.steer.users,
        prompts=params.steer.prompts,
        seed=params.steer.seed,
        shown=rewards.shown,
        group=group,
    )
    users = {case.user: case.cold_start for case in cases}
    asked, cold = params.steer.users, sum(users.values())
    if len(users) < asked:
        print(f"steer: {len(users)} users of the {asked} asked for: the data has no more")
    if cold < asked // 2:
        print(f"steer: {cold} cold-start users of the {asked // 2} asked for: the data has no more")
    return cases


def load_judge(project: Project, params: Params) -> SimulatedJudge | None:
    """Return the world's users as judges, who know nothing of any reward; None for other worlds."""
    if not can_judge(params):
        return None
    from pamela.synthetic.raters.world import World

    return SimulatedJudge(World.load(project.truth))


def make_rewards(
    project: Project,
    params: Params,
    rewards: Rewards,
    judge: SimulatedJudge | None,
    stack: ExitStack,
) -> dict[str, RewardFunction]:
    """Return every reward that arms choose by: ours, the configured ones, the truth if it is known.

    Parameters
    ----------
    stack : what closes the configured ones at the end.
    """
    generic = get_rewards(params, root=project.root, features=rewards.encoding)
    found = {**rewards.by_name, **stack.enter_context(generic)}
    return found if judge is None else found | {TRUTH: TruthReward(judge)}


def arms_of(rewards: Mapping[str, RewardFunction]) -> list[Arm]:
    """Return the arms of the stage, for what `make_rewards` returned."""
    ours = {CHAMPION, POPULATION, CAUTIOUS, TRUTH}
    return all_arms([name for name in rewards if name not in ours], truth=TRUTH in rewards)


@contextmanager
def open_tools(params: Params, project: Project) -> Iterator[Tools]:
    """Open the generator and the rewriter that ``params.steer`` names, and end them.

    Pictures of the embedded world are drawn as fast as read: they are kept in memory. Others are
    kept in ``.cache/steering``, so that a run that was killed draws nothing twice.
    """
    store = MemoryStore() if can_judge(params) else FolderStore(project.steering_cache)
    with get_generator(params) as generator, get_rewriter(params) as rewriter:
        yield Tools(generator, rewriter, store)


def judge_arms(
    params: Params,
    found: Found,
    fitted: Rewards,
    rewards: Mapping[str, RewardFunction],
    judge: SimulatedJudge | None,
    tools: Tools,
) -> Tables:
    """Let the judge, the independent reward and the encoder say what they think of the pictures.

    Where a VQAScore is among `rewards`, it says too how well each picture shows its prompt.
    """
    drawn = (fitted, tools.generator, tools.store)
    chosen = with_independent(chosen_rows(found.plan, found.trials, judge), *drawn)
    asked = next((one for name, one in rewards.items() if name.startswith(VQA_SCORE)), None)
    if asked is not None:
        chosen = with_score(chosen, VQA_SCORE, asked, tools.generator, tools.store)
    best = best_by_round(found.plan, found.trials, variants=params.steer.variants)
    best = with_truth(with_independent(best, *drawn), judge)
    rows = [render_rows(found.plan, found.trials, judge)]
    if judge is None:
        chosen = chosen.with_columns(pl.lit(None, pl.Float64).alias(FAITHFUL))
    else:
        chosen = with_fidelity(chosen, *drawn)
        rng = np.random.default_rng([params.steer.seed, 1])
        rows.append(judgment_rows(chosen, found.plan.arms, judge, rng))
    return Tables(pl.concat(rows), chosen, best)


def write_steering_results(
    project: Project, params: Params, found: Found, tables: Tables, counts: Counts
) -> dict[str, float]:
    """Write ``reports/steering.parquet`` and ``metrics/steering.json``; return the metrics."""
    bootstrap, seed = params.steer.bootstrap, params.steer.seed
    judgments = tables.steering.filter(pl.col("kind") == "judgment")
    metrics: dict[str, float] = {"n_asked": counts.asked, "n_drawn": counts.drawn}
    metrics |= drawing_counts(found.plan, found.trials)
    if judgments.height:
        rng = np.random.default_rng([seed, 2])
        metrics |= win_metrics(judgments, found.plan.arms, bootstrap=bootstrap, rng=rng)
    else:
        metrics["n_judgments"] = 0
    rng = np.random.default_rng([seed, 3])
    metrics |= chosen_metrics(tables.chosen, bootstrap=bootstrap, rng=rng)
    write_parquet(project.reports / "steering.parquet", tables.steering)
    write_metrics(project.metrics / "steering.json", metrics)
    return metrics


def write_pictures(
    project: Project, tables: Tables, judge: SimulatedJudge | None, tools: Tools
) -> None:
    """Write ``reports/steering/``: the contact sheet, and what the arms show as a table."""
    with atomic_folder(project.reports / "steering") as folder:
        write_steering_sheet(tables.chosen, tools.generator, tools.store, judge, folder / SHEET)
        gains = mean_gains(tables.best)
        gains.write_csv(folder / "gains_by_round.csv", float_precision=4)
        write_parquet(folder / "chosen.parquet", tables.chosen.with_columns(pl.col(ARM).cast(str)))


def outcome_line(metrics: Mapping[str, float]) -> str:
    """Return the outcome as a line for people."""
    if not metrics["n_judgments"]:
        return f"steer: {metrics['n_drawn']:.0f} pictures drawn, none judged"
    names = [key.removeprefix("elo_") for key in metrics if key.startswith("elo_")]
    arms = [name for name in names if not name.endswith(("_ci_low", "_ci_high"))]
    elo = ", ".join(f"{arm} {metrics[f'elo_{arm}']:.0f}" for arm in arms)
    wins = ", ".join(
        f"{arm} {metrics[key]:.0%} "
        f"[{metrics[f'{key}_ci_low']:.0%}, {metrics[f'{key}_ci_high']:.0%}]"
        for arm in arms
        if (key := f"win_self_{arm}") in metrics
    )
    return f"steer: Elo {elo}; self wins against {wins} ({metrics['n_judgments']:.0f} judgments)"
