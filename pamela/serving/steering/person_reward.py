"""What a loaded model says of one person, as a reward that prompts are steered by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pamela.core.arrays import Floats
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.user_context import UserContext, UserContexts
from pamela.steer.generators.base import Candidate, Image


class PersonReward:
    """The rating that one person is predicted to give, on the internal 1..5 scale.

    It is what `Reward.score` says of the same picture and prompt.

    Parameters
    ----------
    person : seen, adapted to, or people in general.
    penalty : standard deviations of one rating that are taken off the mean.
    """

    personal = False  # there is one person, whoever is asked for

    def __init__(
        self,
        contexts: UserContexts,
        pictures: PictureLookup,
        person: UserContext,
        penalty: float = 0.0,
    ) -> None:
        self._contexts, self._pictures, self._person = contexts, pictures, person
        self._penalty = penalty
        bundle = contexts.bundle
        known = f"{bundle.version}:{bundle.encoder['fingerprint']}:{context_digest(person)}"
        self.fingerprint = f"person:{known}" + (f":{penalty:g}" if penalty else "")

    def score(
        self,
        users: Sequence[str | None],
        candidates: Sequence[Candidate],
        images: Sequence[Image],
    ) -> Floats:
        """Score every picture for the person; array (n,)."""
        items = self._pictures.items(images, [one.prompt for one in candidates])
        found = self._contexts.predict(self._person, items)
        return found.mean.astype(np.float64) - self._penalty * found.std.astype(np.float64)


def context_digest(person: UserContext) -> str:
    """Return a hash of all that is known of a person."""
    digest = hashlib.sha256(person.person.frame.write_csv().encode())
    digest.update(person.context.frame.write_csv().encode())
    digest.update(np.ascontiguousarray(person.context.image).tobytes())
    digest.update(repr((person.ratings, person.choices)).encode())
    return digest.hexdigest()[:16]
