"""Steering for a participant: the searches of the benchmark's arms, with the model that serves.

The arms: none (the original prompt), population, self, and other, whose reward is that of another
participant, adapted on as many ratings, or of a user of the training data as long as nobody else
has rated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.params import Params
from pamela.serving.api import Reward
from pamela.serving.types import CatalogImage
from pamela.serving.user_context import UserContext
from pamela.steer.generators.base import Candidate, Generator, Image
from pamela.steer.results import CHAMPION, NONE, OTHER, POPULATION, SELF
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.search.loop import REWARD, ROUND, SEARCH, Search, best_trials, run_searches
from pamela.study.participant import Participant
from pamela.study.pictures import PictureStore
from pamela.study.plan import Shown, rng_of
from pamela.study.settings import Settings, StartPrompt

ARMS: Final = (NONE, POPULATION, SELF, OTHER)


def adapted(reward: Reward, settings: Settings, person: Participant) -> UserContext:
    """Return what the model knows of a participant from their ratings."""
    ratings = [
        (CatalogImage(settings.dataset, one["image_id"]), float(one["rating"]))
        for one in person.ratings
    ]
    return reward.user_context(reward.adapt(ratings=ratings, dataset=settings.dataset))


class PeopleReward:
    """The served model's predicted rating, for people by name; on the internal 1..5 scale.

    Parameters
    ----------
    contexts : what the model knows of each.
    starts : the prompts; a variant keeps its prompt's metadata.
    """

    def __init__(
        self,
        reward: Reward,
        dataset: str,
        contexts: dict[str, UserContext],
        starts: Sequence[StartPrompt],
    ) -> None:
        self._reward, self._dataset, self._contexts = reward, dataset, contexts
        rows = [one.model_dump(include={s.PROMPT_ID, *s.METADATA}) for one in starts]
        self._metadata = pl.DataFrame(
            rows, schema=dict.fromkeys((s.PROMPT_ID, *s.METADATA), pl.String)
        )

    @property
    def fingerprint(self) -> str:
        """The model's version; its people are named by ids that stand for fixed ratings."""
        return f"served:{self._reward.version}"

    @property
    def personal(self) -> bool:
        """A score depends on the user."""
        return True

    def score(
        self,
        users: Sequence[str | None],
        candidates: Sequence[Candidate],
        images: Sequence[Image],
    ) -> Floats:
        """Score picture i for user i (None: people in general); array (n,)."""
        drawn = dict(zip(candidates, images, strict=True))  # each picture once
        place = {one: i for i, one in enumerate(drawn)}
        items = self._items(list(drawn), list(drawn.values()))
        rows = np.array([place[one] for one in candidates], np.int64)
        asked = np.array([user or "" for user in users])
        scores = np.zeros(len(rows))
        for user in dict.fromkeys(users):
            mine = asked == (user or "")
            context = (
                self._reward.user_context(None, self._dataset)
                if user is None
                else self._contexts[user]
            )
            found = self._reward.user_contexts.predict(context, items.take(rows[mine]))
            scores[mine] = found.mean
        return scores

    def _items(self, candidates: Sequence[Candidate], images: Sequence[Image]) -> Items:
        items = self._reward.pictures.items(images, [one.prompt for one in candidates])
        ids = pl.Series(s.PROMPT_ID, [one.prompt_id for one in candidates], dtype=pl.String)
        frame = items.frame.drop(*s.METADATA, s.PROMPT_ID, strict=False).with_columns(
            pl.lit(self._dataset).alias(s.DATASET), ids
        )
        frame = frame.join(self._metadata, on=s.PROMPT_ID, how="left", maintain_order="left")
        return Items(frame, items.image, items.prompt)


@dataclass
class Steering:
    """Draws a participant's pictures; generator and rewriter are the caller's to open and close."""

    params: Params
    settings: Settings
    reward: Reward
    generator: Generator
    rewriter: Rewriter
    store: PictureStore
    _contexts: dict[str, UserContext] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many trials a participant's searches have."""
        steer = self.params.steer
        arms = len(ARMS) - 1  # the original prompt is the first trial of each
        return arms * len(self.settings.prompts) * (1 + steer.rounds * steer.variants)

    def run(
        self, person: Participant, others: Sequence[Participant], advance: Callable[[int], None]
    ) -> list[Shown]:
        """Search for every arm and prompt; return the pictures that this person compares.

        Parameters
        ----------
        others : participants whose ratings are complete.
        advance : told of trials as they are done.
        """
        other = self._other(person, others)
        self._know(person.id, adapted(self.reward, self.settings, person))
        whose: dict[str, str | None] = {POPULATION: None, SELF: person.id, OTHER: other}
        starts = self.settings.prompts
        searches = [
            Search(CHAMPION, user, start.candidate) for user in whose.values() for start in starts
        ]
        people = PeopleReward(self.reward, self.settings.dataset, self._contexts, starts)
        trials = run_searches(
            searches,
            generator=self.generator,
            rewriter=self.rewriter,
            rewards={CHAMPION: people},
            settings=self.params.steer,
            advance=advance,
        )
        best = best_trials(trials).sort(SEARCH)
        arms = [arm for arm in whose for _ in starts]
        rows = [
            (arm, searches[row[SEARCH]].start.prompt_id, row)
            for arm, row in zip(arms, best.iter_rows(named=True), strict=True)
        ]
        originals = trials.filter(pl.col(ROUND) == 0, pl.col(SEARCH) < len(starts)).sort(SEARCH)
        rows += [
            (NONE, start.prompt_id, {**row, REWARD: None})
            for start, row in zip(starts, originals.iter_rows(named=True), strict=True)
        ]
        seeds = {start.prompt_id: start.seed for start in starts}
        images = self.generator.generate(
            [row[s.PROMPT] for _, _, row in rows], [seeds[key] for _, key, _ in rows]
        )
        return [
            Shown(
                key, arm, self.store.add(image, "a drawn picture"), row[s.PROMPT], row[REWARD],
                whose.get(arm),
            )
            for (arm, key, row), image in zip(rows, images, strict=True)
        ]  # fmt: skip

    def _other(self, person: Participant, others: Sequence[Participant]) -> str:
        """Return whose reward the arm `other` follows; what the model knows of them is kept."""
        rng = rng_of(self.settings.seed, person.id, "other")
        rated = sorted((one for one in others if one.id != person.id), key=lambda one: one.id)
        if rated:
            chosen = rated[int(rng.integers(len(rated)))]
            self._know(chosen.id, adapted(self.reward, self.settings, chosen))
            return chosen.id
        return self._somebody_seen(rng)

    def _somebody_seen(self, rng: np.random.Generator) -> str:
        people = self.reward.bundle.people
        known = people.frame.filter(
            pl.Series(self.reward.bundle.model.knows(people)),
            pl.col(s.DATASET) == self.settings.dataset,
        )
        if not known.height:
            raise PamelaError(f"dataset {self.settings.dataset}: the model knows none of its users")
        users = known[s.USER].sort()
        name = f"{self.settings.dataset}/{users[int(rng.integers(len(users)))]}"
        self._know(name, self.reward.user_context(name))
        return name

    def _know(self, name: str, context: UserContext) -> None:
        self._contexts[name] = context
