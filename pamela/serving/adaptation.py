"""A new user from a few ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pamela.core import schema as s
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.types import ImageLike, Recorded, ResolvedImage
from pamela.serving.user_context import User
from pamela.training.bundle import Bundle
from pamela.training.user_lookup import UserLookup


@dataclass(frozen=True)
class Adapter:
    """What makes a `User` of ratings."""

    bundle: Bundle
    users: UserLookup
    pictures: PictureLookup

    def dataset(self, name: str | None) -> str:
        """Return the dataset called `name`, or the only one there is."""
        known = list(self.bundle.scales)
        if name is None and len(known) == 1:
            return known[0]
        if name is None:
            raise PamelaError(f"the model knows several datasets: give one of {', '.join(known)}")
        if name not in known:
            raise PamelaError(f"dataset {name!r}: give one of {', '.join(known)}")
        return name

    def user(
        self,
        dataset: str,
        demographics: Mapping[str, str],
        images: Sequence[ImageLike],
        prompts: Sequence[str | None],
        ratings: Sequence[float],
        names: Sequence[str] | None = None,
        *,
        keep: bool = False,
    ) -> User:
        """Return the user who gave `ratings`, on the scale of `dataset`.

        Parameters
        ----------
        names : what a message calls each picture.
        keep : whether features of new pictures are kept on disk.

        Raises
        ------
        PamelaError
            If the model cannot learn from ratings, or something is off the scale, unknown, missing
            or rated twice.
        """
        model = self.bundle.model
        if len(ratings) and not model.adapts:
            raise PamelaError(
                f"the model {model.name!r} cannot learn from a new user's ratings: "
                "give demographics alone, or use a champion that adapts"
            )
        low, high = self.bundle.scales[dataset]
        names = names or [f"rating {number}" for number in range(1, len(images) + 1)]
        for name, rating in zip(names, ratings, strict=True):
            if not low <= rating <= high:
                raise PamelaError(
                    f"{name}: rating {rating:g} is off the scale {low:g}..{high:g} of {dataset}"
                )
        self.users.check(dataset, demographics)
        resolved = self.pictures.catalog.find(images, names)
        context = self.pictures.items(resolved, prompts, names, keep=keep)
        _reject_rated_twice(resolved, context, names)
        internal = tuple(s.to_internal(float(r), low, high) for r in ratings)
        encoder = str(self.bundle.encoder["fingerprint"])
        return User(dataset, dict(demographics), context, internal, encoder)


def _reject_rated_twice(
    resolved: Sequence[ResolvedImage], context: Items, names: Sequence[str]
) -> None:
    """Raise if a picture (with the same prompt) is rated twice, naming both ratings.

    What was saved is taken as it is: it was checked when it was given.
    """
    from pamela.core.images import hash_pixels

    ids = context.frame.select(s.DATASET, s.IMAGE, s.SHA256, s.PROMPT).iter_rows()
    first: dict[tuple[str, str | None], int] = {}
    for number, (dataset, image, known, prompt) in enumerate(ids):
        one, name = resolved[number], names[number]
        if isinstance(one.picture, Recorded):
            continue
        content = known or (f"{dataset}/{image}" if image else hash_pixels(one.picture, name))
        earlier = first.setdefault((content, prompt), number)
        if earlier != number:
            raise PamelaError(f"{name}: the same picture as in {names[earlier]}; keep one of them")


def refuse_repeats(resolved: Sequence[ResolvedImage], items: Items, names: Sequence[str]) -> None:
    """Raise if a picture is among the candidates twice, however it is given."""
    from pamela.core.images import hash_pixels

    first: dict[str, str] = {}
    ids = items.frame.select(s.DATASET, s.IMAGE, s.SHA256).iter_rows()
    for one, (dataset, image, known), name in zip(resolved, ids, names, strict=True):
        content = known or (f"{dataset}/{image}" if image else one.sha256)
        earlier = first.setdefault(content or hash_pixels(one.picture, name), name)
        if earlier != name:
            raise PamelaError(f"{name}: the same picture as {earlier}; keep one of them")
