"""From a picture and a prompt to the features and metadata that a model reads.

A picture of the bundle's catalog (`pamela.serving.image_catalog`) brings its features, prompt and
metadata from there; a new one is encoded. What comes as pixels, or in other bytes, and has the
features of a known picture is that picture. Nothing falls back in silence: a missing or broken file
is an error that names the picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats32, Ints
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError, PromptWarning
from pamela.features.cache import FeatureCache
from pamela.features.recent_cache import RecentCache
from pamela.features.recognise import KnownPictures
from pamela.serving.image_catalog import ImageCatalog, content_hash
from pamela.serving.types import NEW, ImageLike, Recorded, ResolvedImage, names_of
from pamela.training.bundle import Bundle

Cache: TypeAlias = "FeatureCache | RecentCache"
IMAGES, PROMPTS = "image", "prompt"
UNREAD = (
    "this model was trained on precomputed features, without prompts: the prompt changes no score"
)


class PictureLookup:
    """The bundle's catalog, and the encoder for what is not in it.

    Parameters
    ----------
    cache : folder where features of new pictures are kept when `items` is asked to keep them.
    recent : folder where those of what was scored lately are kept.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str,
        batch_size: int,
        workers: int,
        cache: Path | None,
        recent: Path | None = None,
    ) -> None:
        self.catalog, self._wanted = ImageCatalog(bundle.items), bundle.encoder
        self._settings: dict[str, Any] = {
            "device": device,
            "batch_size": batch_size,
            "workers": workers,
        }
        self._cache, self._known = cache, KnownPictures(bundle.items.image)
        self._recent = recent
        self._read_whole: set[str] = set()  # prompts that the encoder reads to their end
        self._encoder: Any = None

    def items(
        self,
        images: Sequence[ImageLike],
        prompts: str | Sequence[str | None] | None,
        names: Sequence[str] | None = None,
        *,
        keep: bool = False,
        recent: bool = False,
    ) -> Items:
        """Return features and metadata of `images`, in their order.

        Parameters
        ----------
        prompts : one for all, or one per image; none is a known picture's own.
        names : what a message calls each image; by default its position and path.
        keep : whether features of new pictures are kept on disk (where there is a cache).
        recent : whether those of files, and of prompts, are kept for a while.

        Raises
        ------
        PamelaError
            Naming a picture that is missing or does not decode.
        """
        if prompts is None or isinstance(prompts, str):
            prompts = [prompts] * len(images)
        if len(prompts) != len(images):
            raise PamelaError(f"{len(images)} images but {len(prompts)} prompts")
        names = names or names_of(images)
        resolved = self.catalog.find(images, names)
        cache = self._open_cache() if keep else self._recent_cache(IMAGES) if recent else None
        features, rows = self._image_features(resolved, names, cache)
        own = self.catalog.prompts_of(rows)
        said = [mine if p is None else p for p, mine in zip(prompts, own, strict=True)]
        same = [row != NEW and p == mine for row, p, mine in zip(rows, said, own, strict=True)]
        return Items(
            self._frame(rows, said),
            features,
            self._prompt_features(said, rows, np.array(same, bool), recent=recent),
        )

    def _image_features(
        self, resolved: Sequence[ResolvedImage], names: Sequence[str], cache: Cache | None
    ) -> tuple[Floats32, Ints]:
        """Return the features (n, d), and the catalog row of each picture or `NEW`."""
        rows = np.array([one.row for one in resolved], np.int64)
        features = np.zeros((len(rows), self.catalog.items.image.shape[1]), np.float32)
        new = np.flatnonzero(rows == NEW).tolist()
        if new:
            some = [resolved[i] for i in new]
            features[new] = self._new_features(some, [names[i] for i in new], cache)
            rows[new] = self._recognised(features[new])
        known = rows != NEW
        features[known] = self.catalog.items.image[rows[known]]
        return features, rows

    def _new_features(
        self, resolved: Sequence[ResolvedImage], names: Sequence[str], cache: Cache | None
    ) -> Floats32:
        """Return the features of pictures that are not known by content or id."""
        keys = [one.sha256 for one in resolved]
        if cache is None:
            return self._encode(resolved, names)
        kept, features = cache.find(keys)
        rest = np.flatnonzero(~kept).tolist()
        if rest:
            features[rest] = self._encode([resolved[i] for i in rest], [names[i] for i in rest])
        _add(cache, [keys[i] for i in rest], features[rest])
        return features

    def _recognised(self, features: Floats32) -> list[int]:
        """Return the catalog rows of the pictures that have these features (n, d), or `NEW`."""
        return self.catalog.first_rows(self._known.rows_of(features).tolist())

    def _encode(self, resolved: Sequence[ResolvedImage], names: Sequence[str]) -> Floats32:
        encoder = self._get_encoder(names[0])
        pictures = [
            _again(one.picture, name) if isinstance(one.picture, Recorded) else one.picture
            for one, name in zip(resolved, names, strict=True)
        ]
        label = "encode pictures" if len(pictures) > self._settings["batch_size"] else None
        features: Floats32 = encoder.encode_images(pictures, label, names)
        return features

    def _prompt_features(
        self, prompts: Sequence[str | None], rows: Ints, same: Bools, *, recent: bool
    ) -> Floats32:
        features = np.zeros((len(prompts), self.catalog.items.prompt.shape[1]), np.float32)
        features[same] = self.catalog.items.prompt[rows[same]]
        rest = [i for i in np.flatnonzero(~same).tolist() if prompts[i] is not None]
        distinct = {str(p): i for i, p in enumerate(dict.fromkeys(prompts[i] for i in rest))}
        if rest and features.shape[1]:
            found = self._new_prompts(list(distinct), recent=recent)
            features[rest] = found[[distinct[str(prompts[i])] for i in rest]]
        elif any(distinct):
            warnings.warn(UNREAD, PromptWarning, stacklevel=2)
        return features

    def _new_prompts(self, prompts: Sequence[str], *, recent: bool) -> Floats32:
        """Return the features of distinct prompts.

        Kept are those that the encoder reads whole, so that nothing need be said of them again.
        """
        from pamela.features.prompts import prompt_key, read_whole, warn_of_cut

        cache = self._recent_cache(PROMPTS) if recent else None
        if cache is None:
            encoder = self._get_encoder("a new prompt")
            warn_of_cut(encoder, prompts)
            found: Floats32 = encoder.encode_prompts(list(prompts))
            return found
        held, features = cache.find([prompt_key(p) for p in prompts])
        rest = np.flatnonzero(~held).tolist()
        self._read_whole.update(p for p, known in zip(prompts, held, strict=True) if known)
        if rest:
            encoder, new = self._get_encoder("a new prompt"), [prompts[i] for i in rest]
            warn_of_cut(encoder, new)
            features[rest] = encoder.encode_prompts(new)
            whole = [i for i, one in zip(rest, read_whole(encoder, new), strict=True) if one]
            cache.add([prompt_key(prompts[i]) for i in whole], features[whole])
        return features

    def cut(self, prompts: Sequence[str | None]) -> list[bool]:
        """Tell of each prompt whether the encoder reads only its beginning."""
        from pamela.features.prompts import KEY_LETTERS, prompt_key

        if not self.catalog.items.prompt.shape[1]:
            return [False] * len(prompts)
        record = self._wanted.get("prompts", {})
        keys, known = frozenset(record.get("cut_keys", ())), self.catalog.prompts
        asked = dict.fromkeys(p for p in prompts if p is not None)
        new = [p for p in asked if p not in known and p not in self._read_whole]
        cut = {p for p in known.intersection(prompts) if prompt_key(p)[:KEY_LETTERS] in keys}
        if new:
            encoder = self._get_encoder("a new prompt")
            lengths = encoder.prompt_lengths(new)
            cut |= {p for p, n in zip(new, lengths, strict=True) if n > encoder.context_length}
        return [p in cut for p in prompts]

    def _frame(self, rows: Ints, prompts: Sequence[str | None]) -> pl.DataFrame:
        """Return the catalog's metadata of known pictures and nulls for new ones."""
        at = pl.Series(rows).replace(NEW, None)
        return self.catalog.items.frame.select(pl.all().gather(at)).with_columns(
            pl.Series(s.PROMPT, list(prompts), dtype=pl.String)
        )

    def _open_cache(self) -> FeatureCache | None:
        """Return the cache of this encoder's features; as precise as those the model knows."""
        if self._cache is None:
            return None
        return FeatureCache(self._cache / self._owner / IMAGES, self.catalog.items.image.shape[1])

    def _recent_cache(self, kind: str) -> RecentCache | None:
        """Return the cache of what was scored lately."""
        if self._recent is None or not self.catalog.items.prompt.shape[1]:
            return None
        of = self.catalog.items.image if kind == IMAGES else self.catalog.items.prompt
        return RecentCache(self._recent, f"{self._owner}/{kind}", of.shape[1])

    @property
    def _owner(self) -> str:
        return f"{self._wanted['fingerprint'][:16]}-{self._wanted.get('precision', 'fp32')}"

    @property
    def encodes(self) -> bool:
        """Whether the encoder was needed already."""
        return self._encoder is not None

    def encoder(self, what: str = "the words of explanations") -> Any:
        """Return the encoder the model was trained with (`pamela.features.factory.Encoder`).

        Parameters
        ----------
        what : it is needed for, in a message.
        """
        return self._get_encoder(what)

    def _get_encoder(self, what: str) -> Any:
        """Return the encoder the model was trained with; the same name with other weights fails."""
        if self._encoder is None:
            from pamela.features.factory import same_encoder

            self._encoder = same_encoder(self._wanted, what, **self._settings)
        return self._encoder


def _again(picture: Recorded, name: str) -> Path:
    """Return the file of a picture that was rated earlier, and is the same still."""
    if picture.file is None:
        raise PamelaError(
            f"{name}: the picture {picture.image_id!r} is no longer in dataset {picture.dataset}, "
            "and no file of it is recorded; adapt again without it"
        )
    if picture.sha256 not in (content_hash(picture.file, name), None):
        raise PamelaError(
            f"{name}: {picture.file} is not the picture that was rated; put it back, or adapt again"
        )
    return picture.file


def _add(cache: Cache, keys: Sequence[str | None], features: Floats32) -> None:
    """Keep the features of pictures with a content hash, each content once."""
    place = {key: i for i, key in enumerate(keys) if key}
    cache.add(list(place), features[list(place.values())])
