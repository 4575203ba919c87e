"""What a loaded model says of people, as a reward that prompts are steered by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Items
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.user_context import UserContext, UserContexts
from pamela.steer.generators.base import Candidate, Image


class PeopleReward:
    """The rating that people are predicted to give, on the internal 1..5 scale.

    It is what `Reward.score` says of the same picture and prompt.

    Parameters
    ----------
    people : what is known of each, by the name that searches use; None: people in general.
    prompts : DataFrame (prompt_id, dataset, type, group, style): what variants keep of their
        prompt. By default a drawn picture has nothing of it.
    penalty : standard deviations of one rating that are taken off the mean.
    """

    personal = True

    def __init__(
        self,
        contexts: UserContexts,
        pictures: PictureLookup,
        people: Mapping[str | None, UserContext],
        prompts: pl.DataFrame | None = None,
        penalty: float = 0.0,
    ) -> None:
        self._contexts, self._pictures, self._people = contexts, pictures, people
        self._prompts, self._penalty = prompts, penalty
        known = [[name, context_digest(one)] for name, one in people.items()]
        rows = None if prompts is None else prompts.rows()
        bundle = contexts.bundle
        facts = [bundle.version, bundle.encoder["fingerprint"], known, rows, penalty]
        self.fingerprint = f"people:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}"

    def score(
        self,
        users: Sequence[str | None],
        candidates: Sequence[Candidate],
        images: Sequence[Image],
    ) -> Floats:
        """Score picture i for user i; array (n,)."""
        drawn = dict(zip(candidates, images, strict=True))  # each picture once
        items = self._items(list(drawn), list(drawn.values()))
        place = {one: i for i, one in enumerate(drawn)}
        rows = np.array([place[one] for one in candidates], np.int64)
        scores = np.zeros(len(rows))
        for user in dict.fromkeys(users):
            mine = np.array([one == user for one in users])
            found = self._contexts.predict(self._people[user], items.take(rows[mine]))
            scores[mine] = found.mean.astype(np.float64)
            scores[mine] -= self._penalty * found.std.astype(np.float64)
        return scores

    def _items(self, candidates: Sequence[Candidate], images: Sequence[Image]) -> Items:
        items = self._pictures.items(images, [one.prompt for one in candidates])
        if self._prompts is None:
            return items
        ids = pl.Series(s.PROMPT_ID, [one.prompt_id for one in candidates], dtype=pl.String)
        frame = items.frame.drop(self._prompts.columns, strict=False).with_columns(ids)
        frame = frame.join(self._prompts, on=s.PROMPT_ID, how="left", maintain_order="left")
        return Items(frame, items.image, items.prompt)


def context_digest(person: UserContext) -> str:
    """Return a hash of all that is known of a person."""
    digest = hashlib.sha256(person.person.frame.write_csv().encode())
    digest.update(person.context.frame.write_csv().encode())
    digest.update(np.ascontiguousarray(person.context.image).tobytes())
    digest.update(repr((person.ratings, person.choices)).encode())
    return digest.hexdigest()[:16]
