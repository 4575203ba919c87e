"""Checked requests answered together: one pass over the encoder for all of them.

An `Answers` belongs to one loaded model and is used by one thread. A fault in one request is the
answer to that one alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock
from typing import Any, Final, cast

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.serving.api import Reward
from pamela.serving.arguments.chosen_pictures import SIDES, ChosenPictures
from pamela.serving.arguments.unknown import nearest, quoted
from pamela.serving.requests.pictures import PictureDoor, named
from pamela.serving.requests.records import (
    CandidateRecord,
    ChoiceRecord,
    DescribedRecord,
    PersonRecord,
    PictureRecord,
)
from pamela.serving.saved.people import PEOPLE
from pamela.serving.types import CatalogImage, ResolvedImage, Score
from pamela.serving.user_context import User, UserContext

ADAPTED: Final = "adapted"  # before the names of people who were adapted to here
MOST_KEPT: Final = 1024  # of them that are remembered


class AdaptedPeople:
    """People given by their ratings, under a name made of those; the longest unused go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, User] = OrderedDict()
        self._lock = Lock()

    def get(self, name: str) -> User | None:
        """Return the person called `name`, if they are remembered."""
        with self._lock:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
            return found

    def keep(self, name: str, user: User) -> None:
        """Remember a person."""
        with self._lock:
            self._kept[name] = user
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)


@dataclass(frozen=True)
class ScoreRequest:
    """Pictures to score for one person.

    Parameters
    ----------
    names : what a message calls each picture.
    prompt : of the pictures that bring none.
    name : what a message calls the person's own data; empty where there is nothing to tell apart.
    """

    person: PersonRecord
    pictures: Sequence[PictureRecord]
    names: Sequence[str]
    prompt: str | None = None
    name: str = ""


@dataclass(frozen=True)
class _Ready:
    """A request whose person and pictures were found."""

    request: ScoreRequest
    user_context: UserContext
    images: list[ResolvedImage]
    names: list[str]


@dataclass(frozen=True)
class Answers:
    """What one model answers.

    Parameters
    ----------
    door : what lets pictures in.
    people : who was adapted to; may be shared between models with the same encoder.
    """

    reward: Reward
    door: PictureDoor
    people: AdaptedPeople

    # --- scores -----------------------------------------------------------------------------------
    def score(self, requests: Sequence[ScoreRequest]) -> list[list[Score] | PamelaError]:
        """Score the pictures of every request; new ones are encoded together."""
        found = [self._ready(request) for request in requests]
        ready = [one for one in found if isinstance(one, _Ready)]
        scores = iter(self._score(ready))
        return [next(scores) if isinstance(one, _Ready) else one for one in found]

    def _ready(self, request: ScoreRequest) -> _Ready | PamelaError:
        try:
            context = self.user_context(request.person, request.name)
            names = [
                named(p.image, n) for p, n in zip(request.pictures, request.names, strict=True)
            ]
            images = self.images(request.pictures, names, context.dataset)
        except PamelaError as error:
            return error
        return _Ready(request, context, images, names)

    def _score(self, ready: Sequence[_Ready]) -> list[list[Score] | PamelaError]:
        if not ready:
            return []
        prompts = [
            one.request.prompt if picture.prompt is None else picture.prompt
            for one in ready
            for picture in one.request.pictures
        ]
        try:
            items = self.reward.pictures.items(
                [image for one in ready for image in one.images],
                prompts,
                [name for one in ready for name in one.names],
            )
        except PamelaError as error:  # of one picture: the other requests are sound
            if len(ready) == 1:
                return [error]
            return [answer for one in ready for answer in self._score([one])]
        predictions = self.reward.user_contexts.predict_each(
            [(one.user_context, len(one.images)) for one in ready], items
        )
        read = iter(items.frame[s.PROMPT].to_list())
        return [
            self.reward.scores(one.user_context, prediction, list(islice(read, len(one.images))))
            for one, prediction in zip(ready, predictions, strict=True)
        ]

    # --- who and what -----------------------------------------------------------------------------
    def user(self, person: PersonRecord, name: str = "") -> str | User | None:
        """Return whom `person` means, as `Reward` takes it; ratings are learned from once."""
        if person.described:
            return self.adapt(person, name)[1]
        if person.user is None:
            return None
        user = s.one_spelling(person.user)
        adapted = self.people.get(user)
        if adapted is not None and self._reads(adapted):
            return adapted
        known = self.reward.user_contexts.users.matches(user)
        saved = self.reward.people is not None and self.reward.people.has(
            user.removeprefix(f"{PEOPLE}/")
        )
        if not known and not saved:
            raise PamelaError(_after(name, self._unknown(user)))
        return user

    def _unknown(self, user: str) -> str:
        if user.startswith(f"{ADAPTED}/"):
            return f"user {quoted(user)} is not remembered here (any longer): adapt again"
        keys = self.reward.users
        names = keys if "/" in user else [key.split("/", 1)[1] for key in keys]
        near = nearest(user, names, "users")
        return f"unknown user {quoted(user)}: {near}; null is people in general"

    def _reads(self, adapted: User) -> bool:
        """Tell whether somebody whom an earlier model adapted to is one of this model's kind."""
        bundle = self.reward.bundle
        return adapted.encoder == bundle.encoder["fingerprint"] and adapted.dataset in bundle.scales

    def user_context(self, person: PersonRecord, name: str = "") -> UserContext:
        """Return what the model knows of `person`.

        Raises
        ------
        PamelaError
            Beginning with `name`.
        """
        found = self._known(person.user) or self._looked_up(person, name)
        if person.dataset is not None and found.dataset != s.one_spelling(person.dataset):
            said = f"is of dataset {found.dataset}, not of {person.dataset!r}"
            raise PamelaError(_after(name, f"user {person.user!r} {said}"))
        return found

    def _known(self, user: str | None) -> UserContext | None:
        """Return the context of ``dataset/user``, if it is spelled so: the usual case."""
        contexts = self.reward.user_contexts
        if user is None or user not in contexts.users.row:
            return None
        return contexts.kept(user) or contexts.seen(contexts.users.find(user))

    def _looked_up(self, person: PersonRecord, name: str) -> UserContext:
        user = self.user(person, name)
        try:
            return self.reward.user_context(user, person.dataset)
        except PamelaError as error:
            raise PamelaError(_after(name, str(error))) from None

    def adapt(self, person: DescribedRecord, name: str = "") -> tuple[str, User]:
        """Return the name and the `User` of somebody who rated, chose or described themselves."""
        ratings = person.ratings or []
        names = [
            named(one.image, _after(name, f"rating {i + 1}", " ")) for i, one in enumerate(ratings)
        ]
        try:
            dataset = self.reward.adapter.dataset(person.dataset)
        except PamelaError as error:
            raise PamelaError(_after(name, str(error))) from None
        images = self.images(ratings, names, dataset)
        chosen = self._chosen(person.choices or [], name, dataset)
        encoder = str(self.reward.bundle.encoder["fingerprint"])
        digest = _digest(dataset, person, images, chosen, encoder)
        known = self.people.get(digest)
        if known is not None:
            return digest, known
        try:
            user = self.reward.adapter.user(
                dataset,
                person.demographics or {},
                images,
                [one.prompt for one in ratings],
                [one.rating for one in ratings],
                names,
                chosen=chosen,
            )
        except PamelaError as error:
            said = str(error)
            raise PamelaError(
                said if name and said.startswith(name) else _after(name, said)
            ) from None
        self.people.keep(digest, user)
        return digest, user

    def _chosen(self, choices: Sequence[ChoiceRecord], name: str, dataset: str) -> ChosenPictures:
        """Look the pictures of choices up."""
        names = [_after(name, f"choice {i + 1}", " ") for i in range(len(choices))]
        sides = [side for one in choices for side in (one.a, one.b)]
        said = ChosenPictures(
            (), [side.prompt for side in sides], [one.choice for one in choices], names
        )
        every = [f"{one}: {side}" for one in names for side in SIDES]
        return replace(said, images=self.images(sides, every, dataset))

    def images(
        self, pictures: Sequence[CandidateRecord], names: Sequence[str], dataset: str
    ) -> list[ResolvedImage]:
        """Look `pictures` up in the catalog; a known id is one of `dataset`."""
        found: list[ResolvedImage] = []
        for picture, name in zip(pictures, names, strict=True):
            if picture.image is not None:
                image = self.door.enter(picture.image, name)
                found += self.reward.pictures.catalog.find([image], [name])
                continue
            known = CatalogImage(dataset, s.one_spelling(str(picture.image_id)))
            found += self.reward.pictures.catalog.find([known], [name])
        return found


def _after(name: str, message: str, between: str = ": ") -> str:
    return f"{name}{between}{message}" if name else message


def _key(image: ResolvedImage) -> int | str:
    return image.sha256 or image.row


def _digest(
    dataset: str,
    person: DescribedRecord,
    images: Sequence[ResolvedImage],
    chosen: ChosenPictures,
    encoder: str,
) -> str:
    """Return a name that is the same for the same person of the same encoder."""
    ratings = [
        (_key(image), one.prompt, float(one.rating))
        for image, one in zip(images, person.ratings or [], strict=True)
    ]
    told: list[Any] = [encoder, dataset, ratings, person.demographics]
    if len(chosen):
        sides = [_key(one) for one in cast("Sequence[ResolvedImage]", chosen.images)]
        told.append([sides, [*chosen.prompts], [*chosen.choices]])
    said = json.dumps(told, sort_keys=True)
    return f"{ADAPTED}/{hashlib.sha256(said.encode(errors='surrogatepass')).hexdigest()[:16]}"
