"""What a client may say, as strict objects: shared by ``pamela serve`` and MLflow's pyfunc.

A value of the wrong JSON type, an unknown key or an empty text is an error that names it; nothing
counts as absent that was given. `check` turns the first fault into one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from pamela.core.errors import PamelaError

MOST_PICTURES: Final = 4096  # of one request
MOST_SUGGESTIONS: Final = 1000
LONGEST_SHOWN: Final = 60  # characters of a faulty value that a message repeats


def _valid_unicode(text: str) -> str:
    """Raise on half a character (a lone surrogate), which JSON can say and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"is not valid Unicode (got {text[:LONGEST_SHOWN]!a})") from None
    return text


Text = Annotated[str, StringConstraints(pattern=r"\S")]
Prompt = Annotated[str, AfterValidator(_valid_unicode)]  # may be empty, unlike a `Text`
PictureFile = Annotated[
    Text | bytes,
    WithJsonSchema(
        {
            "type": "string",
            "description": "a PNG, JPEG or WebP file in base64 (a data: URL too), or a path below "
            "`serve.image_folder` where that is set",
        }
    ),
]


class Strict(BaseModel):
    """Takes nothing but what it names, of the types that it names."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CandidateRecord(Strict):
    """A picture: the file itself, or the id of one that the model knows."""

    image: PictureFile | None = None
    image_id: Annotated[Text | None, Field(description="of a picture of the training data")] = None

    @model_validator(mode="after")
    def _one_picture(self) -> Self:
        if (self.image is None) == (self.image_id is None):
            raise ValueError("give either image or image_id")
        return self


class PictureRecord(CandidateRecord):
    """A picture and what it was asked to show."""

    prompt: Annotated[
        Prompt | None,
        Field(description="what it was asked to show; a known picture brings its own"),
    ] = None


class RatedPictureRecord(PictureRecord):
    """A picture and how somebody rated it."""

    rating: Annotated[float, Field(allow_inf_nan=False, description="on the dataset's own scale")]


class ChoiceRecord(Strict):
    """Two pictures, and which of them somebody chose."""

    a: PictureRecord
    b: PictureRecord
    choice: Annotated[Literal["a", "b", "tie"], Field(description="tie: both alike")]


Choices = Annotated[list[ChoiceRecord], Field(min_length=1, max_length=MOST_PICTURES)]
Ratings = Annotated[list[RatedPictureRecord], Field(min_length=1, max_length=MOST_PICTURES)]
Demographics = Annotated[dict[Text, Text], Field(min_length=1)]


class _NamedRecord(Strict):
    user: Annotated[
        Text | None,
        Field(
            description="dataset/user (bare where unique), a saved person, or what /adapt "
            "answered; null for people in general"
        ),
    ] = None


class DescribedRecord(Strict):
    """Somebody by what they rated, chose or said."""

    dataset: Annotated[
        Text | None, Field(description="whose scale and raters; needed where there are several")
    ] = None
    ratings: Annotated[Ratings | None, Field(description="what this person rated")] = None
    choices: Annotated[
        Choices | None, Field(description="between which pictures this person chose, and how")
    ] = None
    demographics: Annotated[
        Demographics | None, Field(description='what they say of themselves: {"gender": "female"}')
    ] = None

    @property
    def described(self) -> bool:
        """Whether this is somebody new."""
        return bool(self.ratings or self.choices or self.demographics)


class PersonRecord(DescribedRecord, _NamedRecord):
    """For whom: somebody by name, by what they rated, chose or said, or people in general."""

    @model_validator(mode="after")
    def _one_person(self) -> Self:
        described = self.described
        if self.user is not None and described:
            raise ValueError(
                "has both user and ratings, choices or demographics; leave one of them out"
            )
        if not described and not {"user", "dataset"} & self.model_fields_set:
            raise ValueError(
                "names no user: give user, ratings, choices or demographics; or, for people in "
                "general, dataset and no user"
            )
        return self


Checked = TypeVar("Checked", bound=Strict)


def check(kind: type[Checked], given: Any, where: str = "") -> Checked:
    """Return `given` as an object of `kind`.

    Parameters
    ----------
    where : what a message begins with, as ``row 3``.

    Raises
    ------
    PamelaError
        With the first fault in one line.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise PamelaError(_joined(where, _fault(kind, error))) from None


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)


def _fault(kind: type[BaseModel], error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False)
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    place = list(fault["loc"])
    if place[-2:-1] == ["image"]:  # text or bytes: which of the two is no part of the place
        place.pop()
    if fault["type"] in ("extra_forbidden", "missing"):
        *above, key = place
        owner = _model_at(kind, above)
        known = f"; there are {', '.join(owner.model_fields)}" if owner else ""
        what = "unknown key" if fault["type"] == "extra_forbidden" else "missing key"
        return _joined(_place(above), f"{what} {shown(key)}{known}")
    message = fault["msg"].removeprefix("Value error, ")
    message = WORDS.get(fault["type"], message)
    if fault["type"] == "value_error" or fault["type"].endswith(("too_short", "too_long")):
        return _joined(_place(place), message)
    return _joined(_place(place), f"{message} (got {shown(fault['input'])})")


WORDS: Final = {
    "string_type": "should be a text",
    "bytes_type": "should be a text",
    "string_pattern_mismatch": "should not be empty",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "int_type": "is not a whole number",
    "list_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "string_unicode": "is not valid Unicode",
}


def _place(parts: list[Any]) -> str:
    """Return where a fault is, pictures and ratings counted from 1."""
    said: list[str] = []
    for part in parts:
        if isinstance(part, int):
            last = said.pop() if said else "item"
            said.append(f"{SINGULAR.get(last, last)} {part + 1}")
        elif part != "[key]":
            said.append(shown(part) if not str(part).isidentifier() else str(part))
    return " ".join(said)


SINGULAR: Final = {
    "images": "image",
    "ratings": "rating",
    "choices": "choice",
    "candidates": "candidate",
}


def shown(value: Any) -> str:
    """Return a value for a message: as it was written, never longer than a line."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def _model_at(kind: type[BaseModel], place: list[Any]) -> type[BaseModel] | None:
    """Return the model that the keys at `place` belong to."""
    found: type[BaseModel] | None = kind
    for part in place:
        if isinstance(part, int):
            continue
        field = found.model_fields.get(part) if found else None
        found = _model_in(field.annotation) if field else None
    return found


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in inner if model), None)


def without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a table's row that hold something: pandas has NaN where nothing is."""
    held = {
        key: value.tolist() if hasattr(value, "tolist") else value for key, value in row.items()
    }
    return {
        key: value
        for key, value in held.items()
        if value is not None and not (isinstance(value, float) and value != value)
    }
