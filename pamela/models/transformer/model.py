"""`paper`: the paper's predictor, a shallow transformer over frozen features and user tokens.

Frozen image and prompt features (principal components), a user embedding with an unknown user,
demographics and metadata become tokens of a small transformer encoder, trained by Lightning.
Sizes and regularisation are chosen per dataset and fold by successive halving over a
cross-validation on prompts and users inside train (`pamela.models.transformer.selection`).

The model has no adaptation: a `context` is ignored, and an unseen user is predicted from
demographics. Training rows are put in an order of their own first, so that the order in which they
come changes nothing.

Several datasets share one network, which has the dataset as metadata. Each one's ratings are
standardised by its own mean and spread, its rows weigh in the squared error as
`pamela.models.dataset_weights` says (chosen on the first configuration, before the sizes), and a
column that a dataset does not have adds nothing.
"""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats32
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.models.base import (
    Prediction,
    Progress,
    RewardModel,
    on_scale,
    silent,
    span,
    without_prefix,
)
from pamela.models.dataset_weights import FoldScores, Weights, candidate_weights, choose_weights
from pamela.models.preprocessing import UNKNOWN, Datasets, UserIndex, canonical, prompt_groups
from pamela.models.transformer.batches import EVAL_BATCH, OptimiserConfig, device_count
from pamela.models.transformer.inputs import InputEncoding
from pamela.models.transformer.network import PreferenceTransformer, Shape, Size
from pamela.models.transformer.selection import (
    FIRST_EPOCHS,
    FIRST_ROWS,
    Configuration,
    SearchConfig,
    choose_configuration,
    cross_validation,
    hold_out_prompts,
)
from pamela.models.transformer.target_scaling import Standard
from pamela.models.transformer.validation import (
    BEST_EPOCH,
    Given,
    best_correlation,
    best_epoch,
    deviations,
)
from pamela.params import ALL_INPUTS, InputParams, TrainParams

SHARE_OF_SEARCH = 0.75  # of the fitting time, for the progress bar


class Paper(RewardModel):
    """The transformer after the paper.

    Parameters
    ----------
    search : how sizes are chosen and how long training may take.
    device : ``auto``, ``cpu`` or ``gpu``.
    inputs : which tokens there are beside picture and prompt.
    devices : processes of the last training, a device each; the search's runs are too short.
    """

    name: ClassVar[str] = "paper"
    switches: ClassVar[frozenset[str]] = frozenset(InputParams.model_fields)

    def __init__(
        self,
        search: SearchConfig,
        device: str,
        inputs: InputParams = ALL_INPUTS,
        devices: int | str = 1,
    ) -> None:
        self.search, self.device, self.inputs = search, device, inputs
        self.devices = devices
        self.personal = inputs.user or inputs.demographics
        self.uses_demographics = inputs.demographics
        self.chosen: dict[str, Any] = {}
        self._encoding: InputEncoding | None = None
        self._network: PreferenceTransformer | None = None
        self._shape: Shape | None = None
        self._standard = Standard(0.0, 1.0)
        self._std = {"seen": 1.0, "unseen": 1.0}
        self._stds: dict[str, dict[str, float]] = {}  # the same by dataset, where several
        self._datasets: Datasets | None = None  # of the fold being fitted, where several
        self._weights: Weights | None = None
        self._given: Given | None = None  # of the model that this one refits

    @classmethod
    def from_params(cls, params: TrainParams) -> Self:
        """Build from ``train`` params."""
        return cls(
            SearchConfig(
                folds=params.cv_folds,
                trials=params.cv_trials,
                max_epochs=params.max_epochs,
                patience=params.patience,
                batch_size=params.batch_size,
                dataset_weights=params.dataset_weights,
            ),
            params.device,
            params.inputs,
            params.devices,
        )

    def with_chosen_hyperparameters(self, params: TrainParams) -> Paper:
        """Return an unfitted model with the configuration that this one chose."""
        fresh = Paper.from_params(params)
        names = (field.name for field in fields(Configuration))
        trial = Configuration(**{name: self.chosen[name] for name in names})
        fresh.search = replace(fresh.search, given=(trial,))
        return fresh

    def refit(self, params: TrainParams) -> Paper:
        """Return an unfitted model with this one's configuration, epochs and deviations."""
        fresh = self.with_chosen_hyperparameters(params)
        weights = self.chosen.get("dataset_weights", params.dataset_weights)
        fresh.search = replace(fresh.search, dataset_weights=weights)
        fresh._given = Given(self.chosen, self._std, self._stds)
        return fresh

    def fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Choose a configuration inside train, then train it with early stopping on validation."""
        train = canonical(fold[s.TRAIN])
        validation = canonical(Pairs.concat(fold[s.VAL_SEEN], fold[s.VAL_UNSEEN]))
        if not len(validation) and self._given is None:
            train, validation = hold_out_prompts(train, prompt_groups(fold.items), seed)
        datasets = Datasets.of(fold.items, train)
        self._standard = Standard.fit(train, datasets)
        self._datasets = datasets if len(datasets) > 1 else None
        self._weights, said = self._choose_weights(fold, train, datasets, seed, workdir)
        trial, scores = self._choose(fold, train, seed, progress, workdir)

        late = span(progress, SHARE_OF_SEARCH, 1.0)

        def on_epoch_end(epoch: int, correlation: float) -> None:
            share = min(epoch / self.search.epochs(trial), 1.0)
            late(share, f"epoch {epoch}, validation {correlation:.3f}")

        history, module = self._train(
            fold, train, validation, trial, self.search.epochs(trial), seed,
            on_epoch_end=on_epoch_end, workdir=workdir,
            devices=device_count(self.device, self.devices),
        )  # fmt: skip
        self._network, self._shape = module, trial.shape
        if self._given is not None:
            self.chosen, self._std, self._stds = self._given
        else:
            best = best_epoch(history)
            self.chosen = {**asdict(trial), BEST_EPOCH: best, "cv_correlation": scores, **said}
            self._measure_std(fold, validation)
        progress(1.0, "done")
        return history

    def _choose_weights(
        self, fold: Fold, train: Pairs, datasets: Datasets, seed: int, workdir: Path | None
    ) -> tuple[Weights | None, dict[str, Any]]:
        """Choose the datasets' weights on the first configuration, at the first rung's size."""
        if len(datasets) < 2:
            return None, {}
        offered = candidate_weights(self.search.dataset_weights, datasets, train)
        kept = workdir / "weights.json" if workdir is not None else None
        if kept is not None and kept.is_file():
            saved = read_json(kept)
            return offered[saved["rule"]], saved["said"]
        rng = np.random.default_rng(seed)
        trial = self.search.candidates(np.random.default_rng(seed))[0]
        parts = cross_validation(
            train, prompt_groups(fold.items), self.search.folds, FIRST_ROWS, rng, datasets
        )

        def score(weights: Weights) -> FoldScores:
            self._weights = weights
            found = [
                self._train(fold, inner, outer, trial, FIRST_EPOCHS, seed)[0]
                for inner, outer in parts
            ]
            return np.array([best_correlation(history) for history in found])

        weights, said = choose_weights(offered, score)
        if kept is not None:
            rule = next(name for name, one in offered.items() if one is weights)
            write_json(kept, {"rule": rule, "said": said})
        return weights, said

    def _choose(
        self, fold: Fold, train: Pairs, seed: int, progress: Progress, workdir: Path | None
    ) -> tuple[Configuration, dict[str, float]]:
        """Return the chosen trial and the scores, from `workdir` if they were found before."""
        kept = workdir / "selection.json" if workdir is not None else None
        if kept is not None and kept.is_file():
            saved = read_json(kept)
            return Configuration(**saved["trial"]), saved["scores"]

        def run(trial: Configuration, inner: Pairs, outer: Pairs, epochs: int) -> float:
            return best_correlation(self._train(fold, inner, outer, trial, epochs, seed)[0])

        trial, scores = choose_configuration(
            self.search,
            train,
            prompt_groups(fold.items),
            run,
            seed=seed,
            progress=span(progress, 0.0, SHARE_OF_SEARCH),
            datasets=self._datasets,
        )
        if kept is not None:
            write_json(kept, {"trial": asdict(trial), "scores": scores})
        return trial, scores

    def _train(
        self,
        fold: Fold,
        train: Pairs,
        validation: Pairs,
        trial: Configuration,
        epochs: int,
        seed: int,
        *,
        on_epoch_end: Any = None,
        workdir: Path | None = None,
        devices: int = 1,
    ) -> tuple[pl.DataFrame, PreferenceTransformer]:
        self._encoding = InputEncoding.fit(
            fold.items, fold.people, train, trial.components, self.inputs
        )
        # Lightning: not where one only predicts
        from pamela.models.transformer.ddp import train_network
        from pamela.models.transformer.trainer import TrainingJob

        torch.manual_seed(seed)
        network = PreferenceTransformer(self._encoding.size, trial.shape)
        job = TrainingJob(
            network,
            self._encoding.tables(fold.items, fold.people),
            self._standard.apply(fold.items, train),
            self._standard.apply(fold.items, validation),
            self._regime(trial, epochs),
            seed,
            self.device,
            workdir,
            self._datasets,
            self._weights.of_rows(train) if self._weights is not None else None,
        )
        return train_network(job, devices=devices, on_epoch_end=on_epoch_end), network

    def _regime(self, trial: Configuration, epochs: int) -> OptimiserConfig:
        """Return how to train; a refit ends after the epoch that was best where it was chosen."""
        regime = self.search.regime(trial, epochs)
        if self._given is None:
            return regime
        return replace(regime, stop_after=self._given.chosen.get(BEST_EPOCH, regime.epochs))

    def _measure_std(self, fold: Fold, validation: Pairs) -> None:
        """Take the predictive deviation from validation residuals, seen and unseen users apart."""
        mean = self._mean_of(fold.items, fold.people, validation)
        error = mean.astype(np.float64) - validation.rating
        known = self.knows(fold.people)[validation.user]
        self._std = deviations(error, known)
        names = self._datasets.names if self._datasets is not None else ()
        column = fold.items.frame[s.DATASET].to_numpy()[validation.item]
        own = {name: column == name for name in names}
        self._stds = {
            name: deviations(error[mask], known[mask]) for name, mask in own.items() if mask.any()
        }

    def _mean_of(self, items: Items, people: People, pairs: Pairs) -> Floats32:
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
        mean, scale = self._standard.of(items, pairs)
        return on_scale(np.concatenate(out) * scale + mean)

    def predict(
        self, items: Items, people: People, pairs: Pairs, context: Pairs | None = None
    ) -> Prediction:
        """Predict `pairs`; the context is ignored (no adaptation)."""
        mean = self._mean_of(items, people, pairs)
        known = self.knows(people)[pairs.user]
        std = np.where(known, self._std["seen"], self._std["unseen"])
        if self._stds:
            column = items.frame[s.DATASET].to_numpy()[pairs.item]
            for name, own in self._stds.items():
                here = np.where(known, own["seen"], own["unseen"])
                std = np.where(column == name, here, std)
        return Prediction(mean, std.astype(np.float32))

    def knows(self, people: People) -> Bools:
        """Return, per row of `people`, whether that user was in training."""
        users = self._encoding.users if self._encoding is not None else UserIndex(())
        known: Bools = users.encode(people) != UNKNOWN
        return known

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        if self._encoding is None or self._network is None or self._shape is None:
            raise PamelaError("model paper: not fitted; nothing to save")
        config = {
            "search": asdict(self.search),
            "inputs": self.inputs.model_dump(),
            "chosen": self.chosen,
            "shape": vars(self._shape),
            "size": asdict(self._encoding.size),
            "encoding": self._encoding.to_json(),
            **self._standard.to_json(),
            "std": self._std,
            "stds": self._stds,
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
        inputs = InputParams(**config["inputs"]) if "inputs" in config else ALL_INPUTS
        model = cls(SearchConfig.from_json(config["search"]), "cpu", inputs)
        model.chosen, model._std = config["chosen"], config["std"]
        model._stds = config.get("stds", {})
        model._standard = Standard.from_json(config)
        model._shape = Shape(**config["shape"])
        model._encoding = InputEncoding.from_saved(config["encoding"], arrays)
        model._network = PreferenceTransformer(Size.from_json(config["size"]), model._shape)
        weights = without_prefix(arrays, "network.")
        model._network.load_state_dict(
            {key: torch.from_numpy(np.array(value)) for key, value in weights.items()}
        )
        model._network.eval()
        return model
