"""Fitted reward models as rewards."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Floats32
from pamela.core.dataset import Choices, Items, Pairs, People
from pamela.core.errors import PamelaError, PromptWarning
from pamela.steer.generators.base import Candidate, Image
from pamela.steer.rewards.generic import image_digest

if TYPE_CHECKING:
    from pamela.features.encoders.base import Encoder
    from pamela.models.base import RewardModel


@dataclass
class RenderFeatures:
    """Features of drawn pictures; each picture is encoded once, whichever rewards ask for it."""

    encoder: Encoder
    _images: dict[bytes, Floats32] = field(default_factory=dict)
    _prompts: dict[str, Floats32] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def of(
        self, candidates: Sequence[Candidate], images: Sequence[Image]
    ) -> tuple[Floats32, Floats32]:
        """Return image features (n, d) and prompt features (n, p) of drawn candidates."""
        return self.of_images(images), self.of_prompts([c.prompt for c in candidates])

    def of_images(self, images: Sequence[Image]) -> Floats32:
        """Return the features (n, d) of pictures."""
        keys = [image_digest(image) for image in images]
        new = {key: i for i, key in enumerate(keys) if key not in self._images}
        if new:
            rows = self.encoder.encode_images([images[i] for i in new.values()])
            self._images.update(zip(new, rows, strict=True))
        return np.stack([self._images[key] for key in keys])

    def of_prompts(self, prompts: Sequence[str]) -> Floats32:
        """Return the features (n, p) of prompts."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._prompts]
        if new:
            self._warn(new)
            self._prompts.update(zip(new, self.encoder.encode_prompts(new), strict=True))
        return np.stack([self._prompts[prompt] for prompt in prompts])

    def _warn(self, prompts: Sequence[str]) -> None:
        """Warn once of prompts that are not read whole: a search writes thousands."""
        for text in _not_read(self.encoder, prompts):
            if text not in self._told:
                self._told.add(text)
                warnings.warn(text, PromptWarning, stacklevel=2)

    def forget(self) -> None:
        """Forget all features, which a long run would have no room for."""
        self._images.clear()
        self._prompts.clear()


@dataclass(frozen=True)
class Shown:
    """What people absent from training told the model.

    Attributes
    ----------
    items : the pictures they rated or chose between.
    ratings, choices : theirs, as rows of the reward's people and of `items`.
    """

    items: Items
    ratings: Pairs
    choices: Choices = field(default_factory=Choices.empty)

    @property
    def digest(self) -> str:
        """Hash of what was told."""
        r, c = self.ratings, self.choices
        arrays = (self.items.image, r.user, r.item, r.rating, c.user, c.a, c.b, c.outcome)
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def after(self, items: Items) -> tuple[Items, Pairs, Choices]:
        """Return `items` with these pictures behind them, and the rows as they are then."""
        n, r, c = len(items), self.ratings, self.choices
        both = Items(
            pl.concat([items.frame, self.items.frame], how="diagonal"),
            np.concatenate([items.image, self.items.image]),
            np.concatenate([items.prompt, self.items.prompt]),
        )
        return (
            both,
            Pairs(r.user, r.item + n, r.rating),
            Choices(c.user, c.a + n, c.b + n, c.outcome),
        )


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
    penalty : standard deviations of one rating that are taken off the mean: steering is then not
        drawn to where the model knows little.
    shown : the ratings and choices of people who were not in training (`adapt`).
    """

    def __init__(
        self,
        model: RewardModel,
        people: People,
        prompts: pl.DataFrame,
        encoding: RenderFeatures,
        dataset: str,
        digest: str,
        *,
        penalty: float = 0.0,
        shown: Shown | None = None,
    ) -> None:
        self._model = model
        self._people = people
        self._prompts = prompts.select(s.PROMPT_ID, *s.METADATA)
        self._encoding = encoding
        self._dataset = dataset
        self._penalty = penalty
        self._shown = shown
        self._digest = f"{digest}:{_hash(people.frame)}:{_hash(self._prompts)}"
        self._digest += f":{penalty:g}" if penalty else ""
        self._digest += f":{shown.digest}" if shown else ""
        self._row = {key: i for i, key in enumerate(people.keys)}

    @property
    def fingerprint(self) -> str:
        """The model's name, and hashes of its weights and of all else that a score depends on."""
        return f"model:{self._model.name}:{self._digest}:{self._encoding.encoder.fingerprint}"

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
        context, choices = None, None
        if self._shown:
            items, context, choices = self._shown.after(items)
        found = self._model.predict(items, self._people, pairs, context, choices)
        return found.mean.astype(np.float64) - self._penalty * found.std.astype(np.float64)

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


def _not_read(encoder: Encoder, prompts: Sequence[str]) -> Iterator[str]:
    """Yield what an encoder does not read of some prompts, without counts."""
    if any(encoder.unread(prompts)):
        yield (
            f"some prompts have no word that the encoder {encoder.name!r} knows: their pictures "
            "alone are scored"
        )
    if max(encoder.prompt_lengths(prompts), default=0) > encoder.context_length:
        yield (
            f"some prompts are longer than the {encoder.context_length} tokens that the encoder "
            f"{encoder.name!r} reads: what is beyond changes no score"
        )


def _hash(frame: pl.DataFrame) -> str:
    return hashlib.sha256(frame.write_csv().encode()).hexdigest()[:16]
