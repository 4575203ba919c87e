"""The searches of the full study: group by group of people who share prompts, kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pamela.core.files import write_parquet
from pamela.core.paths import Project
from pamela.params import Params, load_params
from pamela.steer.arm_search import Found, Tools, search
from pamela.steer.arms import BASIC, NONE, SELF, TRUTH, Arm, all_arms
from pamela.steer.generators.base import Generator
from pamela.steer.generators.factory import get_generator
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.outcomes.convergence import RUN
from pamela.steer.outcomes.curves import best_by_round
from pamela.steer.outcomes.opinions import features_of, with_fidelity, with_independent
from pamela.steer.people import Rewards
from pamela.steer.results import KEYS, chosen_rows, with_truth
from pamela.steer.rewards.base import RewardFunction
from pamela.steer.rewards.truth import TruthReward
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.rewriters.factory import get_rewriter
from pamela.steer.sampling import EvaluationCase
from pamela.steer.search.loop import ROUND, SEARCH, VARIANT
from pamela.steer.search.store import MemoryStore
from pamela.steer.steer import choose_cases

PEOPLE: Final = 40
PROMPTS: Final = 18
ROUNDS: Final = 5
GROUP: Final = 4  # people who share prompts
CAUTIOUS_PROMPTS: Final = 3  # of each person's, for which the cautious reward steers too
REPEATED_PROMPTS: Final = 2  # of each person's, that are steered again
RUNS: Final = 2  # of these
MEMORY: Final = 200 * 2**20  # bytes of pictures kept at once


@dataclass(frozen=True)
class Study:
    """What every part of the study uses."""

    project: Project
    params: Params
    rewards: Rewards
    judge: SimulatedJudge
    folder: Path

    @property
    def scored(self) -> dict[str, RewardFunction]:
        """The rewards by name, the truth among them."""
        return {**self.rewards.by_name, TRUTH: TruthReward(self.judge)}


def study_params(project: Project) -> Params:
    """Return the project's params with the study's size."""
    params = load_params(project.params_file)
    size = {"users": PEOPLE, "prompts": PROMPTS, "rounds": ROUNDS}
    return params.model_copy(update={"steer": params.steer.model_copy(update=size)})


def search_all(study: Study) -> None:
    """Steer for everybody, group by group; groups that are done are not done again."""
    cases = choose_cases(study.project, study.params, study.rewards, group=GROUP)
    prompts = list(dict.fromkeys(case.start.prompt_id for case in cases))
    groups: dict[tuple[str, ...], list[EvaluationCase]] = {}
    for case in cases:
        people = tuple(sorted(x.user for x in cases if x.start == case.start))
        groups.setdefault(people, []).append(case)
    print(f"{len(cases)} cases, {len(prompts)} prompts, {len(groups)} groups", flush=True)
    order = np.random.default_rng(study.params.steer.seed).permutation(len(groups))
    for number in order:  # so that a study that is not done yet is of all kinds of people
        group = list(groups.values())[number]
        folder = study.folder / f"group_{number:02d}"
        if not (folder / "done").exists():
            search_group(study, group, folder)
            (folder / "done").touch()
        done = len(list(study.folder.glob("group_*/done")))
        print(f"{done} of {len(groups)} groups done", flush=True)


def search_group(study: Study, cases: Sequence[EvaluationCase], folder: Path) -> None:
    """Steer for people who share prompts, and keep what was found."""
    prompts = list(dict.fromkeys(case.start.prompt_id for case in cases))
    cautious = [case for case in cases if case.start.prompt_id in prompts[:CAUTIOUS_PROMPTS]]
    others = [case for case in cases if case not in cautious]
    repeated = [case for case in cases if case.start.prompt_id in prompts[:REPEATED_PROMPTS]]
    store = MemoryStore(MEMORY)
    with get_generator(study.params) as generator, get_rewriter(study.params) as rewriter:
        at_work = AtWork(study, generator, rewriter, store, folder)
        at_work.steer("cautious", cautious, all_arms([], cautious=True, truth=True))
        at_work.steer("others", others, all_arms([], truth=True))
        for run in range(RUNS):
            at_work.repeat(run, repeated)
    study.rewards.encoding.forget()


@dataclass(frozen=True)
class AtWork:
    """The searches of one group of people."""

    study: Study
    generator: Generator
    rewriter: Rewriter
    store: MemoryStore
    folder: Path

    def steer(self, name: str, cases: Sequence[EvaluationCase], arms: Sequence[Arm]) -> None:
        """Search for `arms`, and keep all trials, what was chosen, and the best by round."""
        found = self.search(name, cases, arms, self.study.params)
        drawn = (self.study.rewards, self.generator, self.store)
        chosen = chosen_rows(found.plan, found.trials, self.study.judge)
        chosen = with_fidelity(with_independent(chosen, *drawn), *drawn)
        variants = self.study.params.steer.variants
        best = best_by_round(found.plan, found.trials, variants=variants)
        best = with_independent(with_truth(best, self.study.judge), *drawn)
        write_parquet(self.folder / f"chosen_{name}.parquet", _plain(chosen))
        write_parquet(self.folder / f"best_{name}.parquet", _plain(best))
        write_parquet(self.folder / f"trials_{name}.parquet", found.trials)

    def repeat(self, run: int, cases: Sequence[EvaluationCase]) -> None:
        """Search once more with other random numbers, and keep the features of the ends."""
        params = self.study.params
        seeded = params.steer.model_copy(update={"seed": params.steer.seed + run})
        arms = [arm for arm in BASIC if arm.name in (NONE, SELF)]
        found = self.search(f"run_{run}", cases, arms, params.model_copy(update={"steer": seeded}))
        own = pl.col("arm") == SELF
        ends = chosen_rows(found.plan, found.trials, self.study.judge).filter(own)
        first = found.trials.filter(pl.col(ROUND) == 1, pl.col(VARIANT) == run)
        variants = ends.select(*KEYS, SEARCH).join(first, on=SEARCH, maintain_order="left")
        drawn = (self.study.rewards, self.generator, self.store)
        write_parquet(
            self.folder / f"ends_{run}.parquet",
            _plain(ends).with_columns(
                pl.lit(run).alias(RUN),
                pl.Series("features", features_of(ends, *drawn)),
                pl.Series("variant_features", features_of(variants, *drawn)),
            ),
        )

    def search(
        self, name: str, cases: Sequence[EvaluationCase], arms: Sequence[Arm], params: Params
    ) -> Found:
        """Search for `arms`, going on where an earlier command ended."""
        return search(
            params,
            cases,
            arms,
            self.study.scored,
            Tools(self.generator, self.rewriter, self.store),
            folder=self.folder / "rounds" / name,
        )


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("arm").cast(pl.String))
