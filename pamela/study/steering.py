"""Steering for a participant: the searches of the benchmark's arms, with the model that serves.

The arms: none (the original prompt), population, self, and other, whose reward is that of another
participant, adapted on as many ratings, or of a user of the training data as long as nobody else
has rated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.params import Params
from pamela.serving.api import Reward
from pamela.serving.steering.people_reward import PeopleReward
from pamela.serving.types import CatalogImage
from pamela.serving.user_context import UserContext
from pamela.steer.arms import CHAMPION, NONE, OTHER, POPULATION, SELF
from pamela.steer.generators.base import Generator
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.search.loop import REWARD, ROUND, SEARCH, Search, best_trials, run_searches
from pamela.steer.search.scoring import draw
from pamela.steer.search.store import FolderStore
from pamela.study.participant import Participant
from pamela.study.pictures import PictureStore
from pamela.study.plan import Shown, rng_of
from pamela.study.settings import Settings

ARMS: Final = (NONE, POPULATION, SELF, OTHER)


def adapted(reward: Reward, settings: Settings, person: Participant) -> UserContext:
    """Return what the model knows of a participant from their ratings."""
    ratings = [
        (CatalogImage(settings.dataset, one["image_id"]), float(one["rating"]))
        for one in person.ratings
    ]
    return reward.user_context(reward.adapt(ratings=ratings, dataset=settings.dataset))


def people_reward(
    reward: Reward, settings: Settings, people: Mapping[str | None, UserContext]
) -> PeopleReward:
    """Return what the served model says of people, for variants of the study's prompts."""
    rows = [one.model_dump(include={s.PROMPT_ID, *s.METADATA}) for one in settings.prompts]
    columns = dict.fromkeys((s.PROMPT_ID, *s.METADATA), pl.String)
    prompts = pl.DataFrame(rows, schema=columns).with_columns(
        pl.lit(settings.dataset).alias(s.DATASET)
    )
    return PeopleReward(reward.user_contexts, reward.pictures, people, prompts)


@dataclass
class Steering:
    """Draws a participant's pictures; generator and rewriter are the caller's to open and close.

    Parameters
    ----------
    folder : where pictures, scores and finished rounds are kept: nothing is drawn twice.
    """

    params: Params
    settings: Settings
    reward: Reward
    generator: Generator
    rewriter: Rewriter
    store: PictureStore
    folder: Path

    @property
    def total(self) -> int:
        """How many trials a participant's searches have."""
        steer = self.params.steer
        arms = len(ARMS) - 1  # the original prompt is the first trial of each
        return arms * len(self.settings.prompts) * (1 + steer.rounds * steer.variants)

    def other(self, person: Participant, rated: Sequence[Participant]) -> str:
        """Draw whose reward the arm `other` follows: another of those who have rated.

        As long as there is none, a user of the training data (``dataset/user``).
        """
        rng = rng_of(self.settings.seed, person.id, "other")
        others = sorted(one.id for one in rated if one.id != person.id)
        if not others:
            people = self.reward.bundle.people
            known = people.frame.filter(
                pl.Series(self.reward.bundle.model.knows(people)),
                pl.col(s.DATASET) == self.settings.dataset,
            )
            others = [f"{self.settings.dataset}/{user}" for user in known[s.USER].sort()]
        if not others:
            raise PamelaError(f"dataset {self.settings.dataset}: the model knows none of its users")
        return others[int(rng.integers(len(others)))]

    def run(
        self,
        person: Participant,
        other: str,
        people: Mapping[str, Participant],
        advance: Callable[[int], None],
    ) -> list[Shown]:
        """Search for every arm and prompt; return the pictures that this person compares.

        A person whose searches were interrupted goes on from the last finished round.

        Parameters
        ----------
        other : of `other`.
        people : all participants, by id.
        advance : told of trials as they are done.
        """
        everybody = self.reward.user_context(None, self.settings.dataset)
        known: dict[str | None, UserContext] = {None: everybody}
        for name in (person.id, other):
            known[name] = (
                adapted(self.reward, self.settings, people[name])
                if name in people
                else self.reward.user_context(name)
            )
        whose: dict[str, str | None] = {POPULATION: None, SELF: person.id, OTHER: other}
        starts = self.settings.prompts
        searches = [
            Search(CHAMPION, user, start.candidate) for user in whose.values() for start in starts
        ]
        kept = FolderStore(self.folder)
        trials = run_searches(
            searches,
            generator=self.generator,
            rewriter=self.rewriter,
            rewards={CHAMPION: people_reward(self.reward, self.settings, known)},
            settings=self.params.steer,
            advance=advance,
            store=kept,
            folder=self.folder / "searches" / person.id,
        )
        originals = trials.filter(pl.col(ROUND) == 0, pl.col(SEARCH) < len(starts)).sort(SEARCH)
        untouched = originals.with_columns(pl.lit(None, pl.Float64).alias(REWARD), arm=pl.lit(NONE))
        steered = pl.Series("arm", [arm for arm in whose for _ in starts])
        chosen = pl.concat([untouched, best_trials(trials).sort(SEARCH).with_columns(steered)])
        candidates = [
            replace(searches[row[SEARCH]].start, prompt=row[s.PROMPT])
            for row in chosen.iter_rows(named=True)
        ]
        images = draw(candidates, self.generator, kept)
        return [
            Shown(
                prompt_id=candidate.prompt_id,
                arm=arm,
                sha256=self.store.add(images[candidate], "a drawn picture"),
                prompt=candidate.prompt,
                reward=reward,
                whose=whose.get(arm),
            )
            for candidate, arm, reward in zip(
                candidates, chosen["arm"], chosen[REWARD], strict=True
            )
        ]
