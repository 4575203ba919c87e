"""`paper`: the paper's predictor, a shallow transformer over frozen features and user tokens.

Frozen image and prompt features (principal components), a user embedding with an unknown user,
demographics and metadata become tokens of a small transformer encoder, trained by Lightning.
Sizes and regularisation are chosen per dataset and fold by successive halving over a
cross-validation on prompts and users inside train (`pamela.models.selection`).

The model has no adaptation: a `context` is ignored, and an unseen user is predicted from
demographics. Training rows are put in an order of their own first, so that the order in which they
come changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pamela import schema as s
from pamela.data import Fold, Items, Pairs, People
from pamela.errors import PamelaError
from pamela.io import read_json, write_json
from pamela.models.base import Prediction, Progress, RewardModel, say
from pamela.models.batches import EVAL_BATCH, Tables
from pamela.models.encoding import (
    UNKNOWN,
    Codes,
    Components,
    UserIndex,
    canonical,
    prompt_groups,
)
from pamela.models.selection import Search, Trial, choose, hold_out_prompts
from pamela.models.transformer import PreferenceTransformer, Shape, Size
from pamela.params import TrainParams

METADATA_COLUMNS = (s.DATASET, *s.METADATA)
SHARE_OF_SEARCH = 0.75  # of the fitting time, for the progress bar


@dataclass(frozen=True)
class _Encoding:
    """How pictures and people become the network's inputs."""

    image: Components
    prompt: Components
    metadata: tuple[Codes, ...]
    users: UserIndex
    demographics: tuple[Codes, ...]

    @classmethod
    def fit(cls, items: Items, people: People, pairs: Pairs, components: int) -> Self:
        """Fit on the pictures and users of `pairs`."""
        seen_items = items.take(np.unique(pairs.item))
        seen_people = people.frame[np.unique(pairs.user)]
        return cls(
            Components.fit(seen_items.image, components),
            Components.fit(seen_items.prompt, components),
            tuple(Codes.fit(seen_items.frame, [c]) for c in METADATA_COLUMNS),
            UserIndex.fit(people, pairs),
            tuple(Codes.fit(seen_people, [c]) for c in people.demographics),
        )

    @property
    def size(self) -> Size:
        """The sizes of the network's inputs."""
        return Size(
            len(self.image),
            len(self.prompt),
            len(self.users),
            tuple(len(codes) for codes in self.demographics),
            tuple(len(codes) for codes in self.metadata),
        )

    def tables(self, items: Items, people: People) -> Tables:
        """Return the inputs of these pictures and people; code 0 is the unknown."""
        return Tables(
            _scaled(self.image, items.image),
            _scaled(self.prompt, items.prompt),
            _columns(self.metadata, items.frame),
            torch.from_numpy(self.users.encode(people) - UNKNOWN),
            _columns(self.demographics, people.frame),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON-able part."""
        return {
            "metadata": [codes.to_json() for codes in self.metadata],
            "users": list(self.users.keys),
            "demographics": [codes.to_json() for codes in self.demographics],
        }

    @classmethod
    def from_saved(cls, saved: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `to_json` and the components' arrays."""
        return cls(
            Components.from_arrays(arrays, "image"),
            Components.from_arrays(arrays, "prompt"),
            tuple(Codes.from_json(codes) for codes in saved["metadata"]),
            UserIndex(tuple(saved["users"])),
            tuple(Codes.from_json(codes) for codes in saved["demographics"]),
        )


def _scaled(components: Components, features: npt.NDArray[np.float32]) -> torch.Tensor:
    """Return components over the spread of the first: their relative sizes stay."""
    scores = components.transform(features)
    if scores.shape[1]:
        scores = scores / components.spread[0]
    return torch.from_numpy(scores.astype(np.float32))


def _columns(codes: tuple[Codes, ...], frame: pl.DataFrame) -> torch.Tensor:
    if not codes:
        return torch.zeros((frame.height, 0), dtype=torch.int64)
    return torch.from_numpy(np.stack([c.encode(frame) - UNKNOWN for c in codes], axis=1))


class Paper(RewardModel):
    """The transformer after the paper.

    Parameters
    ----------
    search : how sizes are chosen and how long training may take.
    device : ``auto``, ``cpu`` or ``gpu``.
    """

    name: ClassVar[str] = "paper"
    personal: ClassVar[bool] = True
    uses_demographics: ClassVar[bool] = True

    def __init__(self, search: Search, device: str) -> None:
        self.search, self.device = search, device
        self.chosen: dict[str, Any] = {}
        self._encoding: _Encoding | None = None
        self._network: PreferenceTransformer | None = None
        self._shape: Shape | None = None
        self._mean, self._scale = 0.0, 1.0
        self._std = {"seen": 1.0, "unseen": 1.0}

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Build from ``train`` params."""
        return cls(
            Search(
                folds=params.cv_folds,
                trials=params.cv_trials,
                max_epochs=params.max_epochs,
                patience=params.patience,
                batch_size=params.batch_size,
            ),
            params.device,
        )

    def fit(
        self,
        fold: Fold,
        *,
        seed: int,
        progress: Progress | None = None,
        workdir: Path | None = None,
    ) -> pl.DataFrame:
        """Choose a configuration inside train, then train it with early stopping on validation."""
        train = canonical(fold[s.TRAIN])
        validation = canonical(Pairs.concat(fold[s.VAL_SEEN], fold[s.VAL_UNSEEN]))
        if not len(validation):
            train, validation = hold_out_prompts(train, prompt_groups(fold.items), seed)
        self._mean = float(train.rating.mean())
        self._scale = max(float(train.rating.std()), 1e-3)
        trial, scores = self._choose(fold, train, seed, progress, workdir)

        def told(epoch: int, correlation: float) -> None:
            share = SHARE_OF_SEARCH + (1 - SHARE_OF_SEARCH) * epoch / self.search.epochs(trial)
            say(progress, min(share, 1.0), f"epoch {epoch}, validation {correlation:.3f}")

        history, module = self._train(
            fold, train, validation, trial, self.search.epochs(trial), seed,
            listener=told, workdir=workdir,
        )  # fmt: skip
        self._network, self._shape = module, trial.shape
        self.chosen = {**trial.to_json(), "cv_correlation": scores}
        self._measure_std(fold, validation)
        say(progress, 1.0, "done")
        return history

    def _choose(
        self, fold: Fold, train: Pairs, seed: int, progress: Progress | None, workdir: Path | None
    ) -> tuple[Trial, dict[str, float]]:
        """Return the chosen trial and the scores, from `workdir` if they were found before."""
        kept = workdir / "selection.json" if workdir is not None else None
        if kept is not None and kept.is_file():
            saved = read_json(kept)
            return Trial.from_json(saved["trial"]), saved["scores"]

        def run(trial: Trial, inner: Pairs, outer: Pairs, epochs: int) -> float:
            history, _ = self._train(fold, inner, outer, trial, epochs, seed)
            best = history["val_correlation"].max()
            return float(best) if isinstance(best, float) else 0.0

        trial, scores = choose(
            self.search,
            train,
            prompt_groups(fold.items),
            run,
            seed=seed,
            progress=lambda share, what: say(progress, SHARE_OF_SEARCH * share, what),
        )
        if kept is not None:
            write_json(kept, {"trial": trial.to_json(), "scores": scores})
        return trial, scores

    def _train(
        self,
        fold: Fold,
        train: Pairs,
        validation: Pairs,
        trial: Trial,
        epochs: int,
        seed: int,
        *,
        listener: Any = None,
        workdir: Path | None = None,
    ) -> tuple[pl.DataFrame, PreferenceTransformer]:
        self._encoding = _Encoding.fit(fold.items, fold.people, train, trial.components)
        from pamela.models.fitting import train_network  # Lightning: not where one only predicts

        torch.manual_seed(seed)
        network = PreferenceTransformer(self._encoding.size, trial.shape)
        history = train_network(
            network,
            self._encoding.tables(fold.items, fold.people),
            self._standardised(train),
            self._standardised(validation),
            self.search.regime(trial, epochs),
            seed=seed,
            device=self.device,
            listener=listener,
            workdir=workdir,
        )
        return history, network

    def _standardised(self, pairs: Pairs) -> Pairs:
        rating = ((pairs.rating - self._mean) / self._scale).astype(np.float32)
        return Pairs(pairs.user, pairs.item, rating)

    def _measure_std(self, fold: Fold, validation: Pairs) -> None:
        """Take the predictive deviation from validation residuals, seen and unseen users apart."""
        error = self._mean_of(fold.items, fold.people, validation) - validation.rating
        known = self.knows(fold.people)[validation.user]
        everybody = float(np.sqrt(np.mean(error**2)))
        for name, mask in (("seen", known), ("unseen", ~known)):
            self._std[name] = float(np.sqrt(np.mean(error[mask] ** 2))) if mask.any() else everybody

    def _mean_of(self, items: Items, people: People, pairs: Pairs) -> npt.NDArray[np.float64]:
        if self._encoding is None or self._network is None:
            raise PamelaError("model paper: not fitted; fit or load it first")
        tables = self._encoding.tables(items, people)
        network = self._network.eval()
        out = [np.zeros(0)]
        with torch.no_grad():
            for start in range(0, len(pairs), EVAL_BATCH):
                user = torch.from_numpy(pairs.user[start : start + EVAL_BATCH])
                item = torch.from_numpy(pairs.item[start : start + EVAL_BATCH])
                rating = network(
                    tables.image[item], tables.prompt[item], tables.metadata[item],
                    tables.user[user], tables.demographics[user],
                )  # fmt: skip
                out.append(rating.double().numpy())
        clipped: npt.NDArray[np.float64] = np.clip(
            np.concatenate(out) * self._scale + self._mean, s.SCALE_LOW, s.SCALE_HIGH
        )
        return clipped

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`; the context is ignored (no adaptation)."""
        mean = self._mean_of(items, people, pairs)
        known = self.knows(people)[pairs.user]
        std = np.where(known, self._std["seen"], self._std["unseen"])
        return Prediction(mean.astype(np.float32), std.astype(np.float32))

    def knows(self, people: People) -> npt.NDArray[np.bool_]:
        """Return, per row of `people`, whether that user was in training."""
        users = self._encoding.users if self._encoding is not None else UserIndex(())
        known: npt.NDArray[np.bool_] = users.encode(people) != UNKNOWN
        return known

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        if self._encoding is None or self._network is None or self._shape is None:
            raise PamelaError("model paper: not fitted; nothing to save")
        config = {
            "search": self.search.to_json(),
            "chosen": self.chosen,
            "shape": vars(self._shape),
            "size": self._encoding.size.to_json(),
            "encoding": self._encoding.to_json(),
            "mean": self._mean,
            "scale": self._scale,
            "std": self._std,
        }
        arrays: dict[str, npt.NDArray[Any]] = {
            **self._encoding.image.arrays("image"),
            **self._encoding.prompt.arrays("prompt"),
        }
        for key, value in self._network.state_dict().items():
            arrays[f"network.{key}"] = value.numpy()
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`; scoring runs on the CPU."""
        model = cls(Search.from_json(config["search"]), "cpu")
        model.chosen, model._std = config["chosen"], config["std"]
        model._mean, model._scale = config["mean"], config["scale"]
        model._shape = Shape(**config["shape"])
        model._encoding = _Encoding.from_saved(config["encoding"], arrays)
        model._network = PreferenceTransformer(Size.from_json(config["size"]), model._shape)
        prefix = "network."
        model._network.load_state_dict(
            {
                key.removeprefix(prefix): torch.from_numpy(np.array(value))
                for key, value in arrays.items()
                if key.startswith(prefix)
            }
        )
        model._network.eval()
        return model
