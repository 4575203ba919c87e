"""A saved person as their file says: what they rated, chose and said of themselves."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

FORMAT: Final = 1


class SavedPicture(BaseModel):
    """What finds a picture again."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    image_id: str | None
    sha256: str | None
    file: str | None  # relative to the project root where it lies below it
    prompt: str | None

    @property
    def key(self) -> tuple[str | None, str | None]:
        """What two ratings of the same picture share: content or id, and the prompt."""
        return (self.sha256 or self.image_id, self.prompt)


class SavedRating(SavedPicture):
    """One rating, on the dataset's own scale, and its picture."""

    rating: Annotated[float, Field(allow_inf_nan=False)]


class SavedChoice(BaseModel):
    """One choice between two pictures; repeats and contradictions stay."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    choice: Literal["a", "b", "tie"]
    a: SavedPicture
    b: SavedPicture


class SavedPerson(BaseModel):
    """``data/people/NAME.json``, strictly: an unknown or missing key is an error that names it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: int
    dataset: str
    scale: Annotated[list[float], Field(min_length=2, max_length=2)]
    demographics: dict[str, str]
    ratings: list[SavedRating]
    choices: list[SavedChoice] = []

    @model_serializer(mode="wrap")
    def _without_empty(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Say nothing of choices where there are none, as before there were any."""
        said: dict[str, Any] = told(self)
        return said if self.choices else {k: v for k, v in said.items() if k != "choices"}


def joined(before: SavedPerson, after: SavedPerson) -> tuple[SavedPerson, int]:
    """Return a person with further ratings and choices, and how many ratings replace an earlier."""
    rated = {one.key: one for one in before.ratings}
    changed = sum(one.key in rated for one in after.ratings)
    rated |= {one.key: one for one in after.ratings}
    demographics = before.demographics | after.demographics
    update = {
        "ratings": list(rated.values()),
        "choices": before.choices + after.choices,
        "demographics": demographics,
    }
    return after.model_copy(update=update), changed
