"""From what a caller says (a user id, a picture, a prompt) to the rows that a model reads.

A picture known by its content brings its features, prompt and metadata from the bundle; a new one
is encoded. Nothing falls back in silence: an unknown user or a missing file is an error.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from pamela import schema as s
from pamela.bundle import Bundle
from pamela.data import IntArray, Items, People
from pamela.errors import PamelaError

ImageLike: TypeAlias = "str | Path | Any"  # a path, a PIL image or a uint8 array (h, w, 3)
NEW = -1  # the catalog row of a picture that is not in the catalog


class UserLookup:
    """The bundle's users by id."""

    def __init__(self, bundle: Bundle) -> None:
        self._people = bundle.people
        self.row = {key: row for row, key in enumerate(bundle.people.keys)}

    def find(self, user: str) -> People:
        """Return the one row of `user`: ``dataset/user``, or a bare id where that is unique."""
        user = s.one_spelling(user)
        if user in self.row:
            return People(self._people.frame[self.row[user]])
        bare = [key for key in self.row if key.split("/", 1)[1] == user]
        if len(bare) == 1:
            return People(self._people.frame[self.row[bare[0]]])
        if bare:
            raise PamelaError(f"user {user!r} is in several datasets: say {' or '.join(bare)}")
        close = difflib.get_close_matches(user, [k.split("/", 1)[1] for k in self.row], 3)
        hint = f"did you mean {', '.join(close)}?" if close else "see Reward.users"
        raise PamelaError(f"unknown user {user!r}: {hint} (None scores for the population)")

    def stranger(self, dataset: str, demographics: Mapping[str, str]) -> People:
        """Return a row for somebody of whom only `demographics` are known.

        A demographic that nobody in `dataset` has is unknown there, whatever other datasets have:
        the model learned nothing of it for these raters.
        """
        own = self._people.frame.filter(pl.col(s.DATASET) == dataset)
        known = {c for c in self._people.demographics if own[c].null_count() < own.height}
        strange = sorted(set(demographics) - known)
        if strange:
            names = ", ".join(sorted(known)) or "none"
            raise PamelaError(
                f"unknown demographic {strange[0]!r} in dataset {dataset}: known are {names}"
            )
        schema = self._people.frame.schema
        values = {s.DATASET: dataset, s.USER: s.POPULATION_ID, **demographics}
        return People(pl.DataFrame({c: [values.get(c)] for c in schema}, schema=schema))


class PictureLookup:
    """The bundle's catalog by content, and the encoder for what is not in it."""

    def __init__(self, bundle: Bundle, *, device: str, batch_size: int, workers: int) -> None:
        self._catalog, self._wanted = bundle.items, bundle.encoder
        self._settings: dict[str, Any] = {
            "device": device,
            "batch_size": batch_size,
            "workers": workers,
        }
        self._encoder: Any = None
        self._by_content = {
            sha: row for row, sha in enumerate(bundle.items.frame[s.SHA256].to_list()) if sha
        }

    def items(
        self, images: Sequence[ImageLike], prompts: str | Sequence[str | None] | None
    ) -> Items:
        """Return features and metadata of `images`, in their order.

        Raises
        ------
        PamelaError
            Naming the position and file of a picture that is missing or does not decode.
        """
        if prompts is None or isinstance(prompts, str):
            prompts = [prompts] * len(images)
        if len(prompts) != len(images):
            raise PamelaError(f"{len(images)} images but {len(prompts)} prompts")
        known = np.array([self._row(i, image) for i, image in enumerate(images)], np.int64)
        own = self._catalog.frame[s.PROMPT].to_list()
        said = [
            own[k] if p is None and k != NEW else p for p, k in zip(prompts, known, strict=True)
        ]
        same = [k != NEW and p == own[k] for p, k in zip(said, known, strict=True)]
        return Items(
            self._frame(known, said),
            self._image_features(images, known),
            self._prompt_features(said, known, np.array(same, bool)),
        )

    def encoder(self) -> Any:
        """Return the encoder the model was trained with (`pamela.encoders.Encoder`)."""
        return self._get_encoder("the words of explanations")

    def _row(self, position: int, image: ImageLike) -> int:
        if not isinstance(image, str | Path):
            return NEW
        try:
            content = Path(image).read_bytes()
        except OSError as error:
            why = error.strerror or str(error)
            raise PamelaError(f"image {position + 1} ({image}): {why}") from None
        return self._by_content.get(hashlib.sha256(content).hexdigest(), NEW)

    def _image_features(self, images: Sequence[ImageLike], known: IntArray) -> Any:
        features = np.zeros((len(images), self._catalog.image.shape[1]), np.float32)
        features[known != NEW] = self._catalog.image[known[known != NEW]]
        new = np.flatnonzero(known == NEW).tolist()
        if len(new):
            encoder = self._get_encoder(str(images[new[0]])[:80])
            pictures = [Path(im) if isinstance(im, str) else im for im in (images[i] for i in new)]
            features[new] = encoder.encode_images(pictures)
        return features

    def _prompt_features(
        self, prompts: Sequence[str | None], known: IntArray, same: np.ndarray[Any, Any]
    ) -> Any:
        features = np.zeros((len(prompts), self._catalog.prompt.shape[1]), np.float32)
        features[same] = self._catalog.prompt[known[same]]
        rest = np.flatnonzero(~same).tolist()
        if len(rest) and features.shape[1]:
            encoder = self._get_encoder("a new prompt")
            features[rest] = encoder.encode_prompts([prompts[i] for i in rest])
        return features

    def _frame(self, known: IntArray, prompts: Sequence[str | None]) -> pl.DataFrame:
        """Return the catalog's metadata of known pictures and nulls for new ones."""
        catalog = self._catalog.frame.with_row_index("_row").with_columns(
            pl.col("_row").cast(pl.Int64)
        )
        return (
            pl.DataFrame({"_row": known})
            .join(catalog, on="_row", how="left", maintain_order="left")
            .drop("_row")
            .with_columns(pl.Series(s.PROMPT, list(prompts), dtype=pl.String))
        )

    def _get_encoder(self, what: str) -> Any:
        """Return the encoder the model was trained with; the same name with other weights fails."""
        if self._encoder is None:
            name = self._wanted["encoder"]
            if name == "precomputed":
                raise PamelaError(
                    f"{what}: this model was trained on precomputed features, so it can score "
                    "only the pictures of its own datasets"
                )
            from pamela.encoders import get_encoder

            encoder = get_encoder(name, **self._settings)
            if encoder.fingerprint != self._wanted["fingerprint"]:
                raise PamelaError(
                    f"encoder {name!r} here has other weights than the model was trained with: "
                    "run the pipeline again, or restore them"
                )
            self._encoder = encoder
        return self._encoder
