"""What the endpoints take and answer; the OpenAPI page is made of these."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from pamela.serving.requests.records import (
    MOST_PICTURES,
    MOST_SUGGESTIONS,
    CandidateRecord,
    DescribedRecord,
    PersonRecord,
    PictureRecord,
    Prompt,
)
from pamela.serving.types import Source

MANY = Field(min_length=1, max_length=MOST_PICTURES)


class ScoreBody(PersonRecord):
    """Pictures to score for one person."""

    images: Annotated[list[PictureRecord], MANY]
    prompt: Annotated[Prompt | None, Field(description="of every picture that brings none")] = None


class AdaptBody(DescribedRecord):
    """Somebody new: by ratings, choices, demographics or several of these."""

    @model_validator(mode="after")
    def _somebody_new(self) -> Self:
        if not self.described:
            raise ValueError("give ratings, choices, demographics or several of these")
        return self


class SuggestBody(PersonRecord):
    """Who wants to know what to rate next."""

    n: Annotated[int, Field(ge=1, le=MOST_SUGGESTIONS)] = 10
    candidates: Annotated[list[CandidateRecord], MANY] | None = None


class ExplainBody(PersonRecord):
    """Whose taste to explain."""


class ScoreItem(BaseModel):
    """How much the person is predicted to like one picture (`pamela.Score`)."""

    rating: float
    std: float
    percentile: float
    source: Source
    model_version: str
    prompt_cut: bool
    standardised: bool


class ScoreAnswer(BaseModel):
    """A score for each picture, in the order asked."""

    scores: list[ScoreItem]


class AdaptAnswer(BaseModel):
    """Somebody whom the model adapted to: `user` is a name that the other endpoints take."""

    user: str
    dataset: str
    source: Source
    ratings: int
    choices: int
    model_version: str


class SuggestItem(BaseModel):
    """A picture whose rating would teach much (`pamela.serving.types.Suggestion`)."""

    candidate: int | None  # its place among the candidates, from 0
    image_id: str | None
    file: str | None  # relative to the project
    prompt: str | None
    before: float
    left: float


class SuggestAnswer(BaseModel):
    """What to rate next, in that order."""

    dataset: str
    suggestions: list[SuggestItem]
    model_version: str


class DatasetFacts(BaseModel):
    """A dataset that the model knows."""

    scale: tuple[float, float]
    users: int
    images: int


class ModelAnswer(BaseModel):
    """The model that answers now."""

    uri: str
    version: str | None  # in the registry
    model_version: str
    evaluated_version: str  # the fit of fold 0, whose figures are published
    loaded_at: str
    adapts: bool
    encoder: str
    datasets: dict[str, DatasetFacts]
    users: list[str]  # a few of them, to try
    reload_error: str | None  # why a newer model could not be loaded


class HealthAnswer(BaseModel):
    """The server answers."""

    status: str
    model_version: str


class Fault(BaseModel):
    """What is wrong, in one line."""

    detail: str
