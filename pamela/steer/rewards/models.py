"""Fitted reward models as rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32
from pamela.core.dataset import Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.features.prompts import warn_of_cut
from pamela.steer.generators.base import Candidate, Image

if TYPE_CHECKING:
    from pamela.features.encoders.base import Encoder
    from pamela.models.base import RewardModel


@dataclass
class RenderFeatures:
    """Features of drawn pictures; each picture is encoded once, whichever rewards ask for it."""

    encoder: Encoder
    _known: dict[tuple[str, int], tuple[Floats32, Floats32]] = field(default_factory=dict)

    def of(
        self, candidates: Sequence[Candidate], images: Sequence[Image]
    ) -> tuple[Floats32, Floats32]:
        """Return image features (n, d) and prompt features (n, p) of drawn candidates."""
        keys = [(c.prompt, c.seed) for c in candidates]
        new = {key: i for i, key in enumerate(keys) if key not in self._known}
        if new:
            image = self.encoder.encode_images([images[i] for i in new.values()])
            prompts = [key[0] for key in new]
            warn_of_cut(self.encoder, prompts)
            prompt = self.encoder.encode_prompts(prompts)
            self._known.update(zip(new, zip(image, prompt, strict=True), strict=True))
        rows = [self._known[key] for key in keys]
        return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])


class ModelReward:
    """A fitted reward model as a reward: its predicted rating, on the internal 1..5 scale.

    Parameters
    ----------
    model : a fitted model; one without user input ignores who is asked for.
    people : the table of users that the candidates' users are looked up in.
    prompts : DataFrame with ``prompt_id, type, group, style``, one row per base prompt: a rewrite
        keeps its prompt's metadata.
    dataset : the users' and prompts' dataset.
    digest : hash of the model's files (`pamela.models.base.model_hash`).
    """

    def __init__(
        self,
        model: RewardModel,
        people: People,
        prompts: pl.DataFrame,
        encoding: RenderFeatures,
        dataset: str,
        digest: str,
    ) -> None:
        self._model = model
        self._people = people
        self._prompts = prompts.select(s.PROMPT_ID, *s.METADATA)
        self._encoding = encoding
        self._dataset = dataset
        self._digest = digest
        self._row = {key: i for i, key in enumerate(people.keys)}

    @property
    def fingerprint(self) -> str:
        """The model's name and the hash of its weights."""
        return f"model:{self._model.name}:{self._digest}"

    @property
    def personal(self) -> bool:
        """Whether a score depends on the user."""
        return self._model.personal

    def score(
        self,
        users: Sequence[str | None],
        candidates: Sequence[Candidate],
        images: Sequence[Image],
    ) -> Floats:
        """Score picture i for user i; array (n,)."""
        drawn = dict(zip(candidates, images, strict=True))  # each picture once
        unique = list(drawn)
        image, prompt = self._encoding.of(unique, list(drawn.values()))
        column = {c: i for i, c in enumerate(unique)}
        pairs = Pairs(
            np.array([self._user(user) for user in users], np.int64),
            np.array([column[c] for c in candidates], np.int64),
            np.full(len(candidates), np.nan, np.float32),
        )
        items = Items(self._frame(unique), image, prompt)
        return self._model.predict(items, self._people, pairs).mean.astype(np.float64)

    def _user(self, user: str | None) -> int:
        if user is None:
            if self._model.personal:
                raise PamelaError(f"steer: model {self._model.name!r} needs a user to score for")
            return 0
        key = f"{self._dataset}/{user}"
        if key not in self._row:
            raise PamelaError(f"steer: unknown user {key!r}: not in data/validated/users.parquet")
        return self._row[key]

    def _frame(self, candidates: Sequence[Candidate]) -> pl.DataFrame:
        frame = pl.DataFrame(
            {
                s.DATASET: [self._dataset] * len(candidates),
                s.IMAGE: [f"{c.prompt_id}#{i}" for i, c in enumerate(candidates)],
                s.PROMPT: [c.prompt for c in candidates],
                s.PROMPT_ID: [c.prompt_id for c in candidates],
            }
        )
        return frame.join(self._prompts, on=s.PROMPT_ID, how="left", maintain_order="left")
