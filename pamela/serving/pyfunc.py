"""The model behind MLflow's pyfunc interface: ``mlflow models serve -m models:/pamela@champion``.

A registered bundle is an MLflow model as well (`pamela.registry.mlflow_model`), which MLflow loads
with `load_pyfunc`. Weights stay safetensors; nothing is pickled.

One row of the input is one picture for one person. ``image`` is a path that the server can read, or
the file's content in base64 (a ``data:`` URL too); ``image_id`` names a known picture instead.
``user`` is as in `pamela.serving.api.Reward.score`. A row with ``ratings`` (a list of objects with
image or image_id, rating, optional prompt) or ``demographics`` (an object) asks for the person who
gave those; what was learned of them is kept while the server runs.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.registry.mlflow_model import DEMOGRAPHICS, PICTURE, RATINGS
from pamela.serving.api import Reward, project_here
from pamela.serving.types import CatalogImage, ImageLike, Score
from pamela.serving.user_context import User
from pamela.training.bundle import load_bundle

if TYPE_CHECKING:
    import pandas as pd

# The first bytes of a PNG, JPEG or WebP file; base64 of anything else is taken for a path.
CONTENT: Final = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF")
LONGEST_PATH: Final = 80  # what is longer is not shown in messages: it may be a whole picture
MOST_KEPT: Final = 256  # people given by their ratings that a server remembers


def load_pyfunc(path: str) -> Served:
    """Load a bundle for MLflow."""
    return Served(Reward(load_bundle(Path(path)), project=project_here()))


class Served:
    """A reward model that answers tables."""

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self._adapted: OrderedDict[str, User] = OrderedDict()

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
            cells = model_input.to_dict("records")
            rows = [_Row(i + 1, {str(c): v for c, v in row.items()}) for i, row in enumerate(cells)]
            scores = self._score(rows)
        except PamelaError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        names = [f.name for f in fields(Score)]
        return pd.DataFrame([asdict(score) for score in scores], columns=names)

    def _score(self, rows: list[_Row]) -> list[Score]:
        by_person: dict[str, list[_Row]] = {}
        for row in rows:
            by_person.setdefault(row.person, []).append(row)
        found: dict[int, Score] = {}
        for some in by_person.values():
            scores = self.reward.score(
                user=self._user(some[0]),
                images=self.reward.pictures.find(
                    [row.image(self.reward) for row in some], [row.name for row in some]
                ),
                prompt=[row.text(s.PROMPT) for row in some],
                dataset=some[0].text(s.DATASET),
            )
            found |= {row.number: score for row, score in zip(some, scores, strict=True)}
        return [found[row.number] for row in rows]

    def _user(self, row: _Row) -> str | User | None:
        if not row.adapts:
            return row.text("user")
        if row.text("user") is not None:
            raise PamelaError(f"{row.name}: has both user and {RATINGS}; leave one of them out")
        if row.person not in self._adapted:
            self._adapted[row.person] = self._adapt(row)
            if len(self._adapted) > MOST_KEPT:
                self._adapted.popitem(last=False)
        self._adapted.move_to_end(row.person)
        return self._adapted[row.person]

    def _adapt(self, row: _Row) -> User:
        dataset = self.reward.adapter.dataset(row.text(s.DATASET))
        given = [_Row(row.number, one, f" rating {i + 1}") for i, one in enumerate(row.ratings)]
        return self.reward.adapter.user(
            dataset,
            row.demographics,
            [one.image(self.reward, dataset) for one in given],
            [one.text(s.PROMPT) for one in given],
            [one.rating for one in given],
            [one.name for one in given],
        )


class _Row:
    """One row of a request; an absent cell is null, however pandas has it.

    Parameters
    ----------
    number : of the row, from 1.
    cells : by column.
    part : which part of the row this is, for messages.
    """

    def __init__(self, number: int, cells: Mapping[str, Any], part: str = "") -> None:
        self.number, self.cells = number, cells
        path = self.text(PICTURE) or ""
        self.name = f"row {number}{part}" + (f" ({path})" if 0 < len(path) <= LONGEST_PATH else "")

    def text(self, column: str) -> str | None:
        value = self.cells.get(column)
        return value if isinstance(value, str) and value else None

    @property
    def rating(self) -> float:
        """The number; whatever else stands there is an error."""
        value = self.cells.get(s.RATING)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PamelaError(f"{self.name}: {s.RATING} {value!r} is not a number")
        return float(value)

    @property
    def ratings(self) -> list[Mapping[str, Any]]:
        found = self.cells.get(RATINGS)
        if _is_absent(found):
            return []
        rows: list[Any] = list(found) if isinstance(found, Iterable) else [found]
        if not all(isinstance(row, Mapping) for row in rows):
            raise PamelaError(f"{self.name}: {RATINGS} is not a list of objects")
        return rows

    @property
    def demographics(self) -> dict[str, str]:
        found = self.cells.get(DEMOGRAPHICS)
        if _is_absent(found):
            return {}
        if not isinstance(found, Mapping) or not all(isinstance(v, str) for v in found.values()):
            raise PamelaError(f"{self.name}: {DEMOGRAPHICS} is not an object of texts")
        return dict(found)

    @property
    def adapts(self) -> bool:
        return bool(self.ratings or self.demographics)

    @property
    def person(self) -> str:
        """A text that is equal for rows of the same person."""
        ratings = [{k: _plain(v) for k, v in one.items()} for one in self.ratings]
        who = [self.text("user"), self.text(s.DATASET), ratings, self.demographics]
        return json.dumps(who, sort_keys=True)

    def image(self, reward: Reward, dataset: str | None = None) -> ImageLike:
        """Return the row's picture."""
        path, key = self.text(PICTURE), self.text(s.IMAGE)
        if (path is None) == (key is None):
            raise PamelaError(f"{self.name}: give either {PICTURE} or {s.IMAGE}")
        if path is not None:
            return _content(path) or Path(path)
        user = self.text("user")
        if dataset is None and user is not None and not self.text(s.DATASET):
            dataset = reward.user_context(user).dataset
        return CatalogImage(dataset or reward.adapter.dataset(self.text(s.DATASET)), str(key))


def _is_absent(cell: Any) -> bool:
    """Tell whether a cell is empty: pandas has a float, NaN, in its place."""
    return cell is None or isinstance(cell, float)


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) else value


def _content(text: str) -> bytes | None:
    """Return the picture file that `text` holds in base64, or None where it is a path."""
    marked = text.startswith("data:")
    try:
        content = base64.b64decode(text.partition(",")[2] if marked else text, validate=True)
    except (binascii.Error, ValueError):
        if marked:
            raise PamelaError(
                "a data: URL without base64; write data:image/png;base64,..."
            ) from None
        return None
    return content if marked or content.startswith(CONTENT) else None
