"""The public API: load a reward model, score pictures for one person, adapt to a new one.

::

    reward = pamela.load("models:/pamela@champion")          # or a bundle folder
    reward.score(user="synthetic/p017", prompt="a red barn", images=["barn.png"])
    me = reward.adapt(ratings=[("a.png", 5), ("b.png", "its prompt", 2)], dataset="synthetic")
    reward.score(user=me, prompt="a red barn", images=["barn.png"])
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from pamela import schema as s
from pamela.bundle import Bundle, load_bundle
from pamela.data import Items, Pairs, People
from pamela.errors import PamelaError
from pamela.models.base import Prediction

RowArray: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
ImageLike: TypeAlias = "str | Path | Any"  # a path, a PIL image or a uint8 array (h, w, 3)
Source = Literal["seen", "adapted", "demographics", "population"]
POPULATION_ID = ""  # no user id is empty, so every model takes it for somebody unknown


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

    def __init__(self, bundle: Bundle, *, device: str = "auto", batch_size: int = 64) -> None:
        self.bundle = bundle
        self._device, self._batch_size = device, batch_size
        self._encoder: Any = None
        self._known_image = {
            sha: row for row, sha in enumerate(bundle.items.frame[s.SHA256].to_list()) if sha
        }
        self._user_row = {key: row for row, key in enumerate(bundle.people.keys)}
        self._ranks: dict[tuple[str, str], np.ndarray[Any, Any]] = {}

    @property
    def version(self) -> str:
        """Short name of the model: its kind and the start of its hash."""
        return self.bundle.version

    @property
    def users(self) -> list[str]:
        """Every user known by ``dataset/user``."""
        return list(self._user_row)

    def score(
        self,
        *,
        user: str | User | None,
        images: Sequence[ImageLike],
        prompt: str | Sequence[str] | None = None,
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
        items = self._items(list(images), prompt)
        person, context_items, ratings, source = self._person(user, dataset)
        prediction = self._predict(person, items, context_items, ratings)
        low, high = self._scale(person)
        unit = (high - low) / (s.SCALE_HIGH - s.SCALE_LOW)
        ranks = self._training_scores(person, context_items, ratings, user)
        percentile = 100.0 * (
            np.searchsorted(ranks, prediction.mean, "left")
            + np.searchsorted(ranks, prediction.mean, "right")
        ) / (2.0 * max(len(ranks), 1))  # fmt: skip
        return [
            Score(
                rating=low + (float(mean) - s.SCALE_LOW) * unit,
                std=float(std) * unit,
                percentile=float(rank),
                source=source,
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
        """
        if ratings and not self.bundle.model.adapts:
            raise PamelaError(
                f"the model {self.bundle.model.name!r} cannot learn from a new user's ratings: "
                f"give demographics alone, or use a champion that adapts"
            )
        dataset = self._dataset(dataset)
        low, high = self.bundle.scales[dataset]
        values = [float(r[-1]) for r in ratings]
        off = next((v for v in values if not low <= v <= high), None)
        if off is not None:
            raise PamelaError(f"rating {off:g} is off the scale {low:g}..{high:g} of {dataset}")
        known = set(self.bundle.people.demographics)
        strange = sorted(set(demographics or {}) - known)
        if strange:
            raise PamelaError(
                f"unknown demographic {strange[0]!r}: known are {', '.join(sorted(known))}"
            )
        prompts = [r[1] if len(r) == 3 else None for r in ratings]
        context = self._items([r[0] for r in ratings], prompts)
        internal = tuple(
            s.SCALE_LOW + (v - low) / (high - low) * (s.SCALE_HIGH - s.SCALE_LOW) for v in values
        )
        return User(dataset, dict(demographics or {}), context, internal)

    # --- people -------------------------------------------------------------------------------
    def _dataset(self, dataset: str | None) -> str:
        names = list(self.bundle.scales)
        if dataset is None and len(names) == 1:
            return names[0]
        if dataset not in names:
            raise PamelaError(f"dataset {dataset!r}: give one of {', '.join(names)}")
        return dataset

    def _resolve_user(self, user: str) -> int:
        if user in self._user_row:
            return self._user_row[user]
        bare = [key for key in self._user_row if key.split("/", 1)[1] == user]
        if len(bare) == 1:
            return self._user_row[bare[0]]
        if bare:
            raise PamelaError(f"user {user!r} is in several datasets: say {' or '.join(bare)}")
        close = difflib.get_close_matches(user, [k.split("/", 1)[1] for k in self._user_row], 3)
        hint = f"did you mean {', '.join(close)}?" if close else "see Reward.users"
        raise PamelaError(f"unknown user {user!r}: {hint} (None scores for the population)")

    def _person(
        self, user: str | User | None, dataset: str | None
    ) -> tuple[People, Items, tuple[float, ...], Source]:
        people, nothing = self.bundle.people, self.bundle.items.take(np.zeros(0, np.int64))
        if isinstance(user, str):
            row = people.frame[self._resolve_user(user)]
            person = People(row)
            if bool(self.bundle.model.knows(person)[0]):
                return person, nothing, (), "seen"
            described = any(row[c][0] is not None for c in people.demographics)
            return person, nothing, (), "demographics" if described else "population"
        if isinstance(user, User):
            row = self._stranger(user.dataset, user.demographics)
            source: Source = (
                "adapted" if user.ratings else "demographics" if user.demographics else "population"
            )
            return People(row), user.context, user.ratings, source
        return People(self._stranger(self._dataset(dataset), {})), nothing, (), "population"

    def _stranger(self, dataset: str, demographics: Mapping[str, str]) -> pl.DataFrame:
        schema = self.bundle.people.frame.schema
        values = {s.DATASET: dataset, s.USER: POPULATION_ID, **demographics}
        return pl.DataFrame({c: [values.get(c)] for c in schema}, schema=schema)

    def _scale(self, person: People) -> tuple[float, float]:
        return self.bundle.scales[person.frame[s.DATASET][0]]

    # --- pictures -----------------------------------------------------------------------------
    def _items(self, images: list[ImageLike], prompt: str | Sequence[str | None] | None) -> Items:
        prompts = [prompt] * len(images) if prompt is None or isinstance(prompt, str) else prompt
        if len(prompts) != len(images):
            raise PamelaError(f"{len(images)} images but {len(prompts)} prompts")
        known = np.array([self._known_row(i, image) for i, image in enumerate(images)], np.int64)
        catalog = self.bundle.items
        image = np.zeros((len(images), catalog.image.shape[1]), np.float32)
        text = np.zeros((len(images), catalog.prompt.shape[1]), np.float32)
        image[known >= 0] = catalog.image[known[known >= 0]]
        new = np.flatnonzero(known < 0)
        if len(new):
            image[new] = self._get_encoder(images[new[0]]).encode_images([images[i] for i in new])
        own = catalog.frame[s.PROMPT].to_list()
        final = [
            p if p is not None or k < 0 else own[k] for p, k in zip(prompts, known, strict=True)
        ]
        same = np.array([k >= 0 and p == own[k] for p, k in zip(final, known, strict=True)], bool)
        text[same] = catalog.prompt[known[same]]
        rest = np.flatnonzero(~same)
        if len(rest) and text.shape[1]:
            text[rest] = self._get_encoder(None).encode_prompts([final[i] for i in rest])
        return Items(self._item_frame(known, final), image, text)

    def _item_frame(self, known: RowArray, prompts: Sequence[str | None]) -> pl.DataFrame:
        """Return the catalog's metadata of known pictures and nulls for new ones."""
        catalog = self.bundle.items.frame.with_row_index("_row").with_columns(
            pl.col("_row").cast(pl.Int64)
        )
        return (
            pl.DataFrame({"_row": known})
            .join(catalog, on="_row", how="left", maintain_order="left")
            .drop("_row")
            .with_columns(pl.Series(s.PROMPT, list(prompts), dtype=pl.String))
        )

    def _known_row(self, position: int, image: ImageLike) -> int:
        """Return the catalog row of a picture known by its content, else -1."""
        if not isinstance(image, str | Path):
            return -1
        try:
            content = Path(image).read_bytes()
        except OSError as error:
            raise PamelaError(
                f"image {position + 1} ({image}): {error.strerror or error}"
            ) from None
        return self._known_image.get(hashlib.sha256(content).hexdigest(), -1)

    def _get_encoder(self, example: ImageLike) -> Any:
        if self._encoder is None:
            wanted = self.bundle.encoder
            if wanted["encoder"] == "precomputed":
                raise PamelaError(
                    f"{example if example is not None else 'a prompt'}: this model was trained on "
                    "precomputed features, so it can score only the pictures of its own datasets"
                )
            from pamela.encoders import get_encoder

            encoder = get_encoder(
                wanted["encoder"], device=self._device, batch_size=self._batch_size, workers=2
            )
            if encoder.fingerprint != wanted["fingerprint"]:
                raise PamelaError(
                    f"encoder {wanted['encoder']!r} here has other weights than the model was "
                    "trained with: run the pipeline again, or restore them"
                )
            self._encoder = encoder
        return self._encoder

    # --- prediction ---------------------------------------------------------------------------
    def _predict(
        self, person: People, items: Items, context: Items, ratings: tuple[float, ...]
    ) -> Prediction:
        everything = _stack(items, context) if ratings else items
        n, k = len(items), len(ratings)
        pairs = Pairs(np.zeros(n, np.int64), np.arange(n), np.zeros(n, np.float32))
        shown = Pairs(np.zeros(k, np.int64), np.arange(n, n + k), np.array(ratings, np.float32))
        return self.bundle.model.predict(everything, person, pairs, shown if k else None)

    def _training_scores(
        self, person: People, context: Items, ratings: tuple[float, ...], user: str | User | None
    ) -> np.ndarray[Any, Any]:
        """Return this person's predictions for the dataset's training pictures, sorted."""
        dataset = person.frame[s.DATASET][0]
        key = (dataset, person.keys[0]) if not isinstance(user, User) else (dataset, repr(id(user)))
        if isinstance(user, User) or key not in self._ranks:
            own = (self.bundle.items.frame[s.DATASET] == dataset).to_numpy()
            items = self.bundle.items.take(np.flatnonzero(own & self.bundle.in_train_items))
            scores = np.sort(self._predict(person, items, context, ratings).mean)
            if isinstance(user, User):
                return scores
            self._ranks[key] = scores
        return self._ranks[key]


def _stack(a: Items, b: Items) -> Items:
    return Items(
        pl.concat([a.frame, b.frame]),
        np.concatenate([a.image, b.image]),
        np.concatenate([a.prompt, b.prompt]),
    )
