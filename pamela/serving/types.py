"""What the API takes and returns: pictures, scores and suggestions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

from pamela.core import schema as s

NEW = -1  # the catalog row of a picture that is not in the catalog
Source = Literal["seen", "adapted", "demographics", "population"]


@dataclass(frozen=True)
class CatalogImage:
    """A picture of the model's catalog, by its id."""

    dataset: str
    image_id: str


@dataclass(frozen=True)
class Recorded:
    """A picture that somebody rated some time ago: how any later model finds it again.

    Attributes
    ----------
    image_id : its id in `dataset`, if it was one of its pictures then.
    sha256 : of its content, if it had a file.
    file : where it lay.
    """

    dataset: str
    image_id: str | None
    sha256: str | None
    file: Path | None


# A path, a file's content, a PIL image, a uint8 array (h, w, 3), or one of the two above.
ImageLike: TypeAlias = "str | Path | bytes | CatalogImage | Recorded | Any"


@dataclass(frozen=True)
class ResolvedImage:
    """A picture as it was found.

    Attributes
    ----------
    row : its catalog row, or `NEW`.
    sha256 : of its content, where it came as a file.
    picture : what to encode if it is new.
    """

    row: int
    sha256: str | None
    picture: Any


@dataclass(frozen=True)
class Score:
    """How much a person is predicted to like a picture.

    Attributes
    ----------
    rating : predicted rating on the dataset's own scale.
    std : standard deviation of one rating about it, in the same units; of ratings on the scale,
        so that for likes of 0 and 1 it is .5 at most.
    percentile : 0 to 100, the share of the training pictures this person likes less.
    source : what was known of the person: their training ratings (``seen``), ratings given to
        `Reward.adapt` (``adapted``), demographics only, or nothing (``population``).
    model_version : which model spoke.
    prompt_cut : whether the prompt is longer than the encoder reads, so that its end changed
        nothing.

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
    prompt_cut: bool = False
    standardised: bool = False

    def interval(self, scale: tuple[float, float], level: float = 0.9) -> tuple[float, float]:
        """Return the ends of the central predictive interval, cut at the ends of the scale.

        Parameters
        ----------
        scale : the dataset's lowest and highest rating.
        level : how many ratings it should hold.
        """
        away = NormalDist().inv_cdf(0.5 + level / 2) * self.std
        low, high = scale
        return max(self.rating - away, low), min(self.rating + away, high)


def scores_on_scale(
    columns: tuple[Iterable[float], ...], scale: tuple[float, float], **same: Any
) -> list[Score]:
    """Return scores on a dataset's scale.

    Parameters
    ----------
    columns : mean and standard deviation on 1..5, percentile, and whether the prompt was cut.
    same : what all of them share.
    """
    unit = s.internal_unit(*scale)
    return [
        Score(
            rating=s.from_internal(float(mean), *scale),
            std=float(std) * unit,
            percentile=float(rank),
            prompt_cut=bool(cut),
            **same,
        )
        for mean, std, rank, cut in zip(*columns, strict=True)
    ]


@dataclass(frozen=True)
class Suggestion:
    """A picture whose rating would teach much; `Reward.adapt` takes ``(suggestion.image, rating)``.

    Attributes
    ----------
    image : the picture: its id in the catalog, or the candidate as it was given.
    image_id : its id, if it is in the catalog.
    file : where it lies, if that is known.
    prompt : what it was asked to show.
    before, left : standard deviation of the difference in liking of two random pictures, on the
        dataset's scale, before any suggestion is rated, and once this one and those above are.
    """

    image: ImageLike
    image_id: str | None
    file: Path | None
    prompt: str | None
    before: float
    left: float


@dataclass(frozen=True)
class Ranked:
    """A picture among those that a person likes, best first.

    Attributes
    ----------
    image, image_id, file, prompt : as of a `Suggestion`.
    rated : whether this person has rated it, as far as the model knows.
    score : how much they are predicted to like it.
    """

    image: ImageLike
    image_id: str | None
    file: Path | None
    prompt: str | None
    rated: bool
    score: Score


def names_of(images: Sequence[ImageLike]) -> list[str]:
    """Return what a message calls each image: its position from 1, and its path or id."""
    return [f"image {i + 1}{detail(image)}" for i, image in enumerate(images)]


def are_files(images: Sequence[ImageLike]) -> bool:
    """Tell whether all of them are files or their content: of pixels nothing is kept."""
    return all(isinstance(image, str | Path | bytes) for image in images)


def detail(image: ImageLike) -> str:
    """Return what tells a picture in a message: its path or id, in brackets."""
    if isinstance(image, CatalogImage):
        return f" ({image.dataset}/{image.image_id})"
    return f" ({image})" if isinstance(image, str | Path) else ""
