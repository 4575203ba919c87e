"""The model behind MLflow's pyfunc interface: ``mlflow models serve -m models:/pamela@champion``.

A registered bundle is an MLflow model as well (`pamela.registry.mlflow_model`), which MLflow loads
with `load_pyfunc`. Weights stay safetensors; nothing is pickled.

One row of the input is one picture for one person, a `Row`. MLflow drops columns that the signature
does not have before the model sees them, and a table cannot tell null from absent: so a row that
means people in general names its dataset. ``pamela serve`` (`pamela.serving.http`) sees the JSON
itself and refuses what it does not know.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import load_params
from pamela.serving.api import Reward
from pamela.serving.loading import project_here
from pamela.serving.requests.answers import AdaptedPeople, Answers, ScoreRequest
from pamela.serving.requests.pictures import PictureDoor
from pamela.serving.requests.records import PersonRecord, PictureRecord, check, without_nulls
from pamela.serving.types import Score
from pamela.training.bundle import load_bundle

if TYPE_CHECKING:
    import pandas as pd


class Row(PersonRecord, PictureRecord):
    """One row of a request: a picture, and for whom."""


def load_pyfunc(path: str) -> Served:
    """Load a bundle for MLflow."""
    project = project_here()
    return Served(Reward(load_bundle(Path(path)), project=project), picture_door(project))


def picture_door(project: Project | None) -> PictureDoor:
    """Return what lets pictures in, as ``serve.image_folder`` of a project says."""
    if project is None:
        return PictureDoor(None)
    folder = load_params(project.params_file).serve.image_folder
    return PictureDoor(project.root / folder if folder is not None else None)


class Served:
    """A reward model that answers tables."""

    def __init__(self, reward: Reward, door: PictureDoor | None = None) -> None:
        self.reward = reward
        self._answers = Answers(reward, door or PictureDoor(None), AdaptedPeople())

    def predict(
        self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score every row; rows of one person are scored together.

        Raises
        ------
        MlflowException
            For what a caller can mend (HTTP status 400), with the row from 1.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException

        try:
            if not len(model_input.columns):  # MLflow drops those it does not know
                raise PamelaError(f"no known column; there are {', '.join(Row.model_fields)}")
            cells = [
                {str(column): value for column, value in row.items()}
                for row in model_input.to_dict("records")
            ]
            rows = [check(Row, without_nulls(row), f"row {i + 1}") for i, row in enumerate(cells)]
            scores = self._score(rows)
        except PamelaError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        names = [f.name for f in fields(Score)]
        return pd.DataFrame([asdict(score) for score in scores], columns=names)

    def _score(self, rows: list[Row]) -> list[Score]:
        by_person: dict[Hashable, list[int]] = {}
        for number, row in enumerate(rows):
            by_person.setdefault(_person(row), []).append(number)
        answers = self._answers.score([_request(rows, some) for some in by_person.values()])
        found: dict[int, Score] = {}
        for some, answer in zip(by_person.values(), answers, strict=True):
            if isinstance(answer, PamelaError):
                raise answer
            found |= dict(zip(some, answer, strict=True))
        return [found[number] for number in range(len(rows))]


def _person(row: Row) -> Hashable:
    """Return what is equal for rows of the same person."""
    demographics = tuple(sorted((row.demographics or {}).items()))
    return row.user, row.dataset, tuple(row.ratings or ()), tuple(row.choices or ()), demographics


def _request(rows: list[Row], some: list[int]) -> ScoreRequest:
    names = [f"row {number + 1}" for number in some]
    return ScoreRequest(rows[some[0]], [rows[number] for number in some], names, name=names[0])
