"""A new user from a few ratings and choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pamela.core import schema as s
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.serving.arguments.chosen_pictures import NO_CHOICES, ChosenPictures
from pamela.serving.image_lookup import PictureLookup
from pamela.serving.types import NEW, ImageLike, Recorded, ResolvedImage
from pamela.serving.user_context import User
from pamela.training.bundle import Bundle
from pamela.training.user_lookup import UserLookup


@dataclass(frozen=True)
class Adapter:
    """What makes a `User` of ratings and choices."""

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
        chosen: ChosenPictures = NO_CHOICES,
        keep: bool = False,
    ) -> User:
        """Return the user who gave `ratings`, on the scale of `dataset`, and chose.

        Parameters
        ----------
        names : what a message calls each picture.
        chosen : pictures between which they chose.
        keep : whether features of new pictures are kept on disk.

        Raises
        ------
        PamelaError
            If the model cannot learn from ratings, or something is off the scale, unknown, missing
            or rated twice, or a picture stands against itself.
        """
        model = self.bundle.model
        if (len(ratings) or len(chosen)) and not model.adapts:
            what = "ratings" if len(ratings) else "choices"
            raise PamelaError(
                f"the model {model.name!r} cannot learn from a new user's {what}: "
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
        others = self.pictures.catalog.find(chosen.images, chosen.picture_names)
        every, said = [*resolved, *others], [*prompts, *chosen.prompts]
        first, place = _distinct(every, said, len(resolved))
        context = self.pictures.items(
            [every[i] for i in first],
            [said[i] for i in first],
            [[*names, *chosen.picture_names][i] for i in first],
            keep=keep,
        )
        reject_repeats(resolved, context, names)
        choices = _choices(chosen, place[len(resolved) :], context)
        internal = tuple(s.to_internal(float(r), low, high) for r in ratings)
        encoder = str(self.bundle.encoder["fingerprint"])
        return User(dataset, dict(demographics), context, internal, encoder, choices)


def _distinct(
    pictures: Sequence[ResolvedImage], prompts: Sequence[str | None], rated: int
) -> tuple[list[int], list[int]]:
    """Return the pictures to be looked up, and for every one given its place among these.

    The `rated` ones, which come first, are all looked up.
    """
    first, place = list(range(rated)), list(range(rated))
    known: dict[tuple[int | str, str | None], int] = {}
    for number, (one, prompt) in enumerate(zip(pictures, prompts, strict=True)):
        content = one.row if one.row != NEW else one.sha256 or f"object {id(one.picture)}"
        if number < rated:
            known.setdefault((content, prompt), number)
            continue
        if (content, prompt) not in known:
            known[content, prompt] = len(first)
            first.append(number)
        place.append(known[content, prompt])
    return first, place


def _choices(
    chosen: ChosenPictures, place: Sequence[int], context: Items
) -> tuple[tuple[int, int, float], ...]:
    """Return choices as rows of `context`; a picture against itself is a fault."""
    keys = list(context.frame.select(s.DATASET, s.IMAGE, s.PROMPT).iter_rows())
    found = []
    for a, b, choice, name in zip(
        place[::2], place[1::2], chosen.choices, chosen.names, strict=True
    ):
        if a == b or (keys[a] == keys[b] and keys[a][1] is not None):
            raise PamelaError(f"{name}: a picture against itself; give two pictures")
        found.append((a, b, s.OUTCOMES[choice]))
    return tuple(found)


def reject_repeats(resolved: Sequence[ResolvedImage], context: Items, names: Sequence[str]) -> None:
    """Raise if a picture (with the same prompt) is there twice, whatever its form, naming both.

    What was saved is taken as it is: it was checked when it was given.
    """
    from pamela.core.images import hash_pixels

    rated = context.frame[: len(resolved)]
    ids = rated.select(s.DATASET, s.IMAGE, s.SHA256, s.PROMPT).iter_rows()
    first: dict[tuple[str, str | None], int] = {}
    for number, (dataset, image, known, prompt) in enumerate(ids):
        one, name = resolved[number], names[number]
        if isinstance(one.picture, Recorded):
            continue
        content = known or (f"{dataset}/{image}" if image else hash_pixels(one.picture, name))
        earlier = first.setdefault((content, prompt), number)
        if earlier != number:
            raise PamelaError(f"{name}: the same picture as in {names[earlier]}; keep one of them")
