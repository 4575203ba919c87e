"""The public API: load a reward model, score pictures for one person, adapt to a new one.

::

    reward = pamela.load("models:/pamela@champion")          # or a bundle folder
    reward.score(user="synthetic/p017", prompt="a red barn", images=["barn.png"])
    me = reward.adapt(ratings=[("a.png", 5), ("b.png", "its prompt", 2)], dataset="synthetic")
    reward.score(user=me, prompt="a red barn", images=["barn.png"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from pamela import schema as s
from pamela.bundle import Bundle, load_bundle
from pamela.data import Items, Pairs, People
from pamela.errors import PamelaError
from pamela.explain import Explainer, Person
from pamela.explain_parts import Context
from pamela.explanation import Explanation
from pamela.lookup import ImageLike, PictureLookup, UserLookup
from pamela.models.base import Prediction

Source = Literal["seen", "adapted", "demographics", "population"]


@dataclass(frozen=True)
class Score:
    """How much a person is predicted to like a picture.

    Attributes
    ----------
    rating : predicted rating on the dataset's own scale.
    std : standard deviation of one rating about it, in the same units.
    percentile : 0 to 100, the share of the training pictures this person likes less.
    source : what was known of the person: their training ratings (``seen``), ratings given to
        `Reward.adapt` (``adapted``), demographics only, or nothing (``population``).
    model_version : which model spoke.

    Notes
    -----
    Ratings of two people compare as predicted ratings, each with that person's own use of the
    scale; to compare how special a picture is to each, compare percentiles.
    """

    rating: float
    std: float
    percentile: float
    source: Source
    model_version: str


@dataclass(frozen=True)
class User:
    """A person the model was not trained on: what `Reward.adapt` returns.

    Attributes
    ----------
    dataset : whose scale and raters this person is compared with.
    demographics : categorical answers; unknown ones are absent.
    context, ratings : the pictures this person rated and their ratings on the 1..5 scale.
    """

    dataset: str
    demographics: Mapping[str, str]
    context: Items
    ratings: tuple[float, ...]


def load(uri: str | Path = "models:/pamela@champion") -> Reward:
    """Load a reward model.

    Parameters
    ----------
    uri : ``models:/pamela@champion``, ``models:/pamela/3``, or a bundle folder.

    Raises
    ------
    PamelaError
        If there is no such model; the message says what exists.
    """
    if str(uri).startswith("models:/"):
        from pamela.project import Project
        from pamela.registry import resolve

        return Reward(load_bundle(resolve(str(uri), Project.here())))
    folder = Path(uri)
    if not folder.is_dir():
        raise PamelaError(f"{folder}: no such folder; give a bundle folder or models:/NAME@ALIAS")
    return Reward(load_bundle(folder))


class Reward:
    """A loaded reward model; cheap to keep, `score` may be called any number of times."""

    def __init__(
        self, bundle: Bundle, *, device: str = "auto", batch_size: int = 64, workers: int = 2
    ) -> None:
        self.bundle = bundle
        self._users = UserLookup(bundle)
        self._pictures = PictureLookup(
            bundle, device=device, batch_size=batch_size, workers=workers
        )
        self._ranks: dict[str, np.ndarray[Any, Any]] = {}
        self.explainer = Explainer(bundle, self._pictures.encoder)

    @property
    def version(self) -> str:
        """Short name of the model: its kind and the start of its hash."""
        return self.bundle.version

    @property
    def users(self) -> list[str]:
        """Every user known, as ``dataset/user``."""
        return list(self._users.row)

    def score(
        self,
        *,
        user: str | User | None,
        images: Sequence[ImageLike],
        prompt: str | Sequence[str | None] | None = None,
        dataset: str | None = None,
    ) -> list[Score]:
        """Score `images` for `user`, in the order given; any batch size gives the same numbers.

        Parameters
        ----------
        user : ``dataset/user`` (bare where unique), a `User`, or None for the population.
        images : paths, PIL images or uint8 arrays (h, w, 3).
        prompt : one for all, or one per image. A known picture brings its own if none is given.
        dataset : whose scale to answer on, for ``user=None`` with several datasets.

        Raises
        ------
        PamelaError
            For an unknown user or an image that is missing or does not decode; it names which.
        """
        if isinstance(images, str | Path):
            raise PamelaError("images: give a list of images, not a single path")
        viewer = self._viewer(user, dataset)
        prediction = self._predict(viewer, self._pictures.items(list(images), prompt))
        low, high = self.bundle.scales[viewer.dataset]
        unit = (high - low) / (s.SCALE_HIGH - s.SCALE_LOW)
        ranks = self._training_means(viewer)
        below = np.searchsorted(ranks, prediction.mean, "left")
        not_above = np.searchsorted(ranks, prediction.mean, "right")
        percentile = 100.0 * (below + not_above) / (2.0 * max(len(ranks), 1))
        return [
            Score(
                rating=low + (float(mean) - s.SCALE_LOW) * unit,
                std=float(std) * unit,
                percentile=float(rank),
                source=viewer.source,
                model_version=self.version,
            )
            for mean, std, rank in zip(prediction.mean, prediction.std, percentile, strict=True)
        ]

    def adapt(
        self,
        *,
        ratings: Sequence[tuple[ImageLike, float] | tuple[ImageLike, str, float]],
        demographics: Mapping[str, str] | None = None,
        dataset: str | None = None,
    ) -> User:
        """Make a `User` of a few ratings, without retraining.

        Parameters
        ----------
        ratings : ``(image, rating)`` or ``(image, prompt, rating)``, on the dataset's own scale.
        demographics : e.g. ``{"gender": "female"}``; the names are those of the users table.
        dataset : whose scale the ratings are on; may be left out where the model knows only one.

        Raises
        ------
        PamelaError
            If the model cannot learn from ratings (`RewardModel.adapts`), or a rating is off the
            scale, or a demographic is unknown.
        """
        if ratings and not self.bundle.model.adapts:
            raise PamelaError(
                f"the model {self.bundle.model.name!r} cannot learn from a new user's ratings: "
                "give demographics alone, or use a champion that adapts"
            )
        dataset = self._dataset(dataset)
        low, high = self.bundle.scales[dataset]
        values = [float(r[-1]) for r in ratings]
        off = next((v for v in values if not low <= v <= high), None)
        if off is not None:
            raise PamelaError(f"rating {off:g} is off the scale {low:g}..{high:g} of {dataset}")
        self._users.stranger(dataset, demographics or {})  # checks the names now
        context = self._pictures.items(
            [r[0] for r in ratings], [r[1] if len(r) == 3 else None for r in ratings]
        )
        unit = (s.SCALE_HIGH - s.SCALE_LOW) / (high - low)
        internal = tuple(s.SCALE_LOW + (v - low) * unit for v in values)
        return User(dataset, dict(demographics or {}), context, internal)

    def explain(self, *, user: str | User) -> Explanation:
        """Say which attributes, metadata, words and prompts raise and lower `user`'s scores.

        Against the population, on the training pictures of the user's dataset;
        ``docs/explanations.md`` says what the tables mean, ``.plot(path)`` draws them.

        Raises
        ------
        PamelaError
            For an unknown user, a model that scores everybody alike, or a user of whom it knows
            nothing.
        """
        viewer = self._viewer(user, None)
        return self.explainer.explain(
            Person(
                viewer.key or "this user",
                viewer.source,
                viewer.person,
                Context(viewer.context, np.array(viewer.ratings)) if viewer.ratings else None,
            )
        )

    def _dataset(self, dataset: str | None) -> str:
        names = list(self.bundle.scales)
        if dataset is None and len(names) == 1:
            return names[0]
        if dataset not in names:
            raise PamelaError(f"dataset {dataset!r}: give one of {', '.join(names)}")
        return dataset

    def _viewer(self, user: str | User | None, dataset: str | None) -> _Viewer:
        nothing = self.bundle.items.take(np.zeros(0, np.int64))
        if isinstance(user, str):
            person = self._users.find(user)
            described = any(person.frame[c][0] is not None for c in person.demographics)
            source: Source = self._stranger_source(described)
            if self.bundle.model.knows(person)[0]:
                source = "seen"
            return _Viewer(person, nothing, (), source, person.keys[0])
        if isinstance(user, User):
            person = self._users.stranger(user.dataset, user.demographics)
            source = "adapted" if user.ratings else self._stranger_source(bool(user.demographics))
            return _Viewer(person, user.context, user.ratings, source, None)
        name = self._dataset(dataset)
        return _Viewer(self._users.stranger(name, {}), nothing, (), "population", f"{name}/")

    def _stranger_source(self, described: bool) -> Source:
        """Demographics count as a source only for a model that reads them."""
        read = described and self.bundle.model.uses_demographics
        return "demographics" if read else "population"

    def _predict(self, viewer: _Viewer, items: Items) -> Prediction:
        n, k = len(items), len(viewer.ratings)
        pairs = Pairs(np.zeros(n, np.int64), np.arange(n), np.zeros(n, np.float32))
        if not k:
            return self.bundle.model.predict(items, viewer.person, pairs)
        shown = Pairs(
            np.zeros(k, np.int64), np.arange(n, n + k), np.array(viewer.ratings, np.float32)
        )
        everything = Items(
            pl.concat([items.frame, viewer.context.frame]),
            np.concatenate([items.image, viewer.context.image]),
            np.concatenate([items.prompt, viewer.context.prompt]),
        )
        return self.bundle.model.predict(everything, viewer.person, pairs, shown)

    def _training_means(self, viewer: _Viewer) -> np.ndarray[Any, Any]:
        """Return the viewer's predictions for the dataset's training pictures, sorted."""
        if viewer.key is not None and viewer.key in self._ranks:
            return self._ranks[viewer.key]
        catalog = self.bundle.items
        own = (catalog.frame[s.DATASET] == viewer.dataset).to_numpy()
        trained = catalog.take(np.flatnonzero(own & self.bundle.in_train_items))
        means = np.sort(self._predict(viewer, trained).mean)
        if viewer.key is not None:
            self._ranks[viewer.key] = means
        return means


@dataclass(frozen=True)
class _Viewer:
    """Who looks: one row of people, what they rated, and a key where answers may be kept."""

    person: People
    context: Items
    ratings: tuple[float, ...]
    source: Source
    key: str | None

    @property
    def dataset(self) -> str:
        name: str = self.person.frame[s.DATASET][0]
        return name
