"""The one small base class behind which every reward model stands.

A model is fitted on a `Fold`, predicts for any `Items` and `People` (also ones it never saw), and
saves itself as JSON and safetensors, never pickles. All ratings are on the internal 1..5 scale.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Floats32
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path, read_json, write_json
from pamela.models.choices.as_ratings import choices_as_ratings
from pamela.models.choices.preference import (
    Difference,
    Preference,
    calibrated,
    choices_to_calibrate_on,
    preference,
)
from pamela.models.choices.thurstone import Thurstone
from pamela.params import TrainParams

Progress = Callable[[float, str], None]  # share done in [0, 1], what is being done
CONFIG = "model.json"
WEIGHTS = "model.safetensors"
LEAST_GAIN = 1e-4  # of a validation correlation that counts as better


def silent(share: float, what: str) -> None:
    """Tell nobody of the progress."""


def span(progress: Progress, start: float, stop: float) -> Progress:
    """Return a progress whose 0..1 is ``start..stop`` of `progress`."""
    return lambda share, what: progress(start + (stop - start) * share, what)


EDGE = 0.25  # rating units inside either end of the scale within which predictions bend


def on_scale(mean: npt.NDArray[Any]) -> Floats32:
    """Return expected ratings (n,) inside the scale, in the order they had.

    Predictions beyond an end would tie if they were cut off there, and ties cost a person with
    extreme ratings the order of whole shelves of pictures. Within `EDGE` of an end they bend
    towards it instead, exponentially; elsewhere nothing changes.
    """
    low, high = s.SCALE_LOW + EDGE, s.SCALE_HIGH - EDGE
    below, above = np.minimum(mean - low, 0.0), np.maximum(mean - high, 0.0)
    inside = np.clip(mean, low, high)
    bent = inside + EDGE * (np.expm1(below / EDGE) - np.expm1(-above / EDGE))
    return np.clip(bent, s.SCALE_LOW, s.SCALE_HIGH).astype(np.float32)


def std_on_scale(mean: npt.NDArray[Any], std: npt.NDArray[Any]) -> Floats:
    """Return standard deviations (n,) of ratings that lie on the scale and have these means.

    None is above sqrt((mean - low) (high - mean)), which is reached where only the two ends are
    given: of likes that one in two gives, half of the scale (Bhatia & Davis 2000).
    """
    room = (mean.astype(np.float64) - s.SCALE_LOW) * (s.SCALE_HIGH - mean.astype(np.float64))
    return np.minimum(std, np.sqrt(np.clip(room, 0.0, None)))


@dataclass(frozen=True)
class Prediction:
    """Predicted ratings on the internal 1..5 scale.

    Attributes
    ----------
    mean : float32 array (n,)
    std : float32 array (n,), predictive standard deviation of one new rating.

    Raises
    ------
    PamelaError
        If a number is not finite: that is never an answer.
    """

    mean: Floats32
    std: Floats32

    def __post_init__(self) -> None:
        bad = int((~(np.isfinite(self.mean) & np.isfinite(self.std))).sum())
        if bad:
            raise PamelaError(
                f"{bad} of {len(self.mean)} predictions are not finite numbers; train the model "
                "again (dvc repro -f train)"
            )


class RewardModel(ABC):
    """A model of how much a person likes a picture."""

    name: ClassVar[str]
    # inputs of `train.inputs` that can be switched off; switching changes the three after it
    switches: ClassVar[frozenset[str]] = frozenset()
    personal: bool  # whether the user changes the order of pictures
    adapts: bool = False  # whether the ratings of a new user (context) change anything
    uses_demographics: bool = False
    # whether fitting reads the fold's choices; else they come as ratings (`choices_as_ratings`)
    learns_choices: ClassVar[bool] = False
    # whether it is built upon a fit of `population`, which is made once for all that are
    on_population: ClassVar[bool] = False
    # whether its fit hands independent parts of its work to `pamela.compute.processes` itself
    spreads: ClassVar[bool] = False

    chosen: dict[str, Any]  # the configuration that fitting chose, with its scores; JSON-able
    # how people choose between pictures of known scores, by dataset; from choices, where any are
    choosing: Mapping[str, Thurstone] = MappingProxyType({})

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Build an unfitted model from the ``train`` params."""
        return cls()

    def with_chosen_hyperparameters(self, params: TrainParams) -> RewardModel:
        """Return an unfitted model for another seed that need not choose its sizes again.

        A model that cannot take its choice over chooses again.
        """
        return type(self).from_params(params)

    def refit(self, params: TrainParams) -> RewardModel:
        """Return an unfitted model that takes over every choice of this fitted one.

        For one more fit, on all rows: nothing is searched and nothing held out, and intervals
        keep the calibration that held-out rows gave this model.
        """
        return self.with_chosen_hyperparameters(params)

    def fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Fit on the fold's train part, choosing sizes on train/val only.

        Parameters
        ----------
        workdir : where a long fit keeps checkpoints; a fit that finds its own there resumes.

        Returns
        -------
        DataFrame with a column ``step`` and one column per logged quantity (may be empty).
        """
        told = fold if self.learns_choices else choices_as_ratings(fold)
        history = self._fit(told, seed=seed, progress=progress, workdir=workdir)
        if not self.choosing:  # a refit has that of the model it refits
            learned = self.learned_choosing()
            asked = choices_to_calibrate_on(fold, learned)
            self.choosing = learned | {
                name: calibrated(self.difference(fold.items, fold.people, one), one)
                for name, one in asked.items()
            }
        return history

    @abstractmethod
    def _fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Fit as `fit` says; there are choices only for a model that `learns_choices`."""

    def learned_choosing(self) -> dict[str, Thurstone]:
        """Return how people choose, by dataset, as far as fitting learned it."""
        return {}

    @abstractmethod
    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        """Predict `pairs` (their ratings are ignored).

        Parameters
        ----------
        context, choices : the ratings and choices shown of users absent from training (k shots);
            pairs whose user has none are predicted at 0 shots. A model without adaptation ignores
            both.
        """

    def difference(
        self,
        items: Items,
        people: People,
        asked: Choices,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Difference:
        """Predict how much more `a` is liked than `b`; what `asked` says was chosen is ignored."""
        n = len(asked)
        both = Pairs(
            np.concatenate([asked.user, asked.user]),
            np.concatenate([asked.a, asked.b]),
            np.zeros(2 * n, np.float32),
        )
        found = self.predict(items, people, both, context, choices)
        mean, variance = found.mean.astype(np.float64), found.std.astype(np.float64) ** 2
        return Difference(mean[:n] - mean[n:], np.zeros(n), variance[:n] + variance[n:])

    def prefer(
        self,
        items: Items,
        people: People,
        asked: Choices,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Preference:
        """Predict what people choose; `context` and `choices` as for `predict`."""
        found = self.difference(items, people, asked, context, choices)
        return preference(found, items, asked, self.choosing)

    def knows(self, people: People) -> Bools:
        """Return, per row of `people`, whether that user was in training: here nobody was."""
        return np.zeros(len(people), dtype=np.bool_)

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what to save: a JSON-able config and named arrays."""

    @classmethod
    @abstractmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model from `state`."""

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and then ``model.json``, which names it, into `folder`."""
        config, arrays = self.state()
        folder.mkdir(parents=True, exist_ok=True)
        contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        with atomic_path(folder / WEIGHTS) as aside:
            save_file(contiguous, aside)
        choosing = {name: asdict(one) for name, one in self.choosing.items()}
        write_json(
            folder / CONFIG,
            {"model": self.name, "config": config} | ({"choosing": choosing} if choosing else {}),
        )


def without_prefix(arrays: dict[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def load_model(folder: Path) -> RewardModel:
    """Load the model saved in `folder`, whichever it is."""
    from pamela.models import model_class

    saved = read_json(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        raise PamelaError(f"{folder / WEIGHTS}: no such file; the model folder is incomplete")
    arrays = read_arrays(folder / WEIGHTS)
    model = model_class(saved["model"]).from_state(saved["config"], arrays)
    model.choosing = {name: Thurstone(**one) for name, one in saved.get("choosing", {}).items()}
    return model


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read named arrays; a missing or broken file is an error that names it."""
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise PamelaError(f"{path}: no such file; run the stage that writes it") from None
    except (OSError, SafetensorError) as error:
        raise PamelaError(f"{path}: not readable as safetensors ({error})") from None


def model_hash(folder: Path) -> str:
    """Return a short hash of a saved model's two files."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]
