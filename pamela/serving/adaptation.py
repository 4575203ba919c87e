"""A new user from a few ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.types import ImageLike
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
            If the model cannot learn from ratings, or something is off the scale, unknown or
            missing.
        """
        model = self.bundle.model
        if len(ratings) and not model.adapts:
            raise PamelaError(
                f"the model {model.name!r} cannot learn from a new user's ratings: "
                "give demographics alone, or use a champion that adapts"
            )
        low, high = self.bundle.scales[dataset]
        off = next((r for r in ratings if not low <= r <= high), None)
        if off is not None:
            raise PamelaError(f"rating {off:g} is off the scale {low:g}..{high:g} of {dataset}")
        self.users.check(dataset, demographics)
        context = self.pictures.items(images, prompts, names, keep=keep)
        internal = tuple(s.to_internal(float(r), low, high) for r in ratings)
        encoder = str(self.bundle.encoder["fingerprint"])
        return User(dataset, dict(demographics), context, internal, encoder)
