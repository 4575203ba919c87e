"""The steer stage's real steps, as functions of a project: ``python -m flows.steer`` runs them.

Where the embedded world draws, its users judge. Any other generator's pictures are drawn and scored
alone: nobody simulated can say how a real picture is liked; ``pamela study`` asks people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.files import atomic_folder, write_metrics, write_parquet
from pamela.core.paths import Project
from pamela.core.progress import progress
from pamela.core.split_rows import read_fold_rows
from pamela.models import model_class
from pamela.models.base import RewardModel
from pamela.params import PRECOMPUTED, Params
from pamela.steer.arms import TRUTH, Arm, Plan, make_plan
from pamela.steer.generators.base import Generator, Image
from pamela.steer.generators.factory import EMBEDDED
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.people import Rewards
from pamela.steer.results import STEERING_SCHEMA
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.sampling import EvaluationCase, sample_cases
from pamela.steer.search.loop import SEARCH, run_searches
from pamela.steer.search.store import MemoryStore, Store

ROUNDS, AT_ONCE = "rounds", "at_once"  # how the drawings of a search are spread
WORLD_DATASET: Final = "synthetic"  # the one dataset whose people can be asked again


@dataclass
class Found:
    """Everything that the searches found.

    Attributes
    ----------
    plan : which searches there were, and which each user's arm shows.
    trials : every trial of every search.
    store : the pictures drawn, and how many.
    """

    plan: Plan
    trials: pl.DataFrame
    store: Store = field(default_factory=MemoryStore)


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


def search(
    params: Params,
    cases: Sequence[EvaluationCase],
    arms: Sequence[Arm],
    rewards: Mapping[str, RewardFunction],
    generator: Generator,
    rewriter: Rewriter,
    store: Store,
    *,
    folder: Path | None = None,
) -> Found:
    """Run the searches of every arm of every case, under one progress bar.

    Each has the same budget of ``rounds x variants`` drawings. Where no feedback is given, all are
    one round. Where the truth is the reward nothing is drawn, for the truth looks at no picture.

    Parameters
    ----------
    folder : where finished rounds are kept, so that a run that was killed goes on.
    """
    plan = make_plan(cases, arms)
    settings = params.steer
    at_once = {"rounds": 1, "variants": settings.rounds * settings.variants}
    parts: list[pl.DataFrame] = []
    total = len(plan.searches) * (1 + settings.rounds * settings.variants)
    with progress("steer", total=total) as advance:
        for kind, numbers in _kinds(plan).items():
            trials = run_searches(
                [plan.searches[i] for i in numbers],
                generator=Undrawn() if kind == TRUTH else generator,
                rewriter=rewriter,
                rewards=rewards,
                settings=settings.model_copy(update=at_once) if kind == AT_ONCE else settings,
                advance=advance,
                store=MemoryStore() if kind == TRUTH else store,
                folder=folder / kind if folder else None,
            )
            place = pl.Series(numbers, dtype=pl.Int64)
            parts.append(trials.with_columns(place.gather(trials[SEARCH]).alias(SEARCH)))
    return Found(plan, pl.concat(parts), store)


def _kinds(plan: Plan) -> dict[str, list[int]]:
    """Return the numbers of the searches that run alike."""
    kinds: dict[str, list[int]] = {}
    for number, (one, feedback) in enumerate(zip(plan.searches, plan.feedback, strict=True)):
        kind = TRUTH if one.reward == TRUTH else ROUNDS if feedback else AT_ONCE
        kinds.setdefault(kind, []).append(number)
    return kinds


class Undrawn:
    """A generator for a reward that looks at no picture: each is one black pixel."""

    fingerprint = "undrawn"

    def __enter__(self) -> Undrawn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image]:
        """Return a pixel for each prompt."""
        return [np.zeros((1, 1, 3), np.uint8) for _ in prompts]
