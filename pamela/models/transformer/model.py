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

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from pamela.compute.processes import opened, run_all
from pamela.core import schema as s
from pamela.core.arrays import Bools
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.models.base import Prediction, Progress, RewardModel, silent, span
from pamela.models.dataset_weights import FoldScores, Weights, candidate_weights, choose_weights
from pamela.models.preprocessing import Datasets, canonical, prompt_groups
from pamela.models.repeats import averaged
from pamela.models.transformer.batches import OptimiserConfig, device_count
from pamela.models.transformer.fitted import FittedTransformer
from pamela.models.transformer.inputs import InputEncoding
from pamela.models.transformer.network import PreferenceTransformer
from pamela.models.transformer.nodes import Nodes
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
    Deviations,
    Given,
    best_correlation,
    best_epoch,
)
from pamela.params import ALL_INPUTS, InputParams, TrainParams

Listener = Callable[[int, float], None]  # epoch, validation correlation
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
    spreads: ClassVar[bool] = True

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
        self._fitted: FittedTransformer | None = None
        self._deviations = Deviations()
        self._standard = Standard(0.0, 1.0)  # of the fold being fitted
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
        fresh._given = Given(self.chosen, self._deviations)
        return fresh

    def _fit(
        self, fold: Fold, *, seed: int, progress: Progress = silent, workdir: Path | None = None
    ) -> pl.DataFrame:
        """Choose a configuration inside train, then train it with early stopping on validation."""
        train = canonical(fold[s.TRAIN])
        validation, _ = averaged(canonical(Pairs.concat(fold[s.VAL_SEEN], fold[s.VAL_UNSEEN])))
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

        last = (self, fold, train, validation, trial, seed, workdir)
        if opened() is None:
            history, self._fitted = _train_last(*last, on_epoch_end)
        else:
            (made,) = run_all(_train_last_elsewhere, [last], [f"paper, fold {fold.number}"])
            history, encoding, weights = made
            self._fitted = FittedTransformer.of_weights(
                encoding, weights, trial.shape, self._standard
            )
        if self._given is not None:
            self.chosen, self._deviations = self._given
        else:
            best = best_epoch(history)
            self.chosen = {**asdict(trial), BEST_EPOCH: best, "cv_correlation": scores, **said}
            self._deviations = self._measured(self._fitted, fold, validation)
        progress(1.0, "done")
        return history

    def _choose_weights(
        self, fold: Fold, train: Pairs, datasets: Datasets, seed: int, workdir: Path | None
    ) -> tuple[Weights | None, dict[str, Any]]:
        """Choose the datasets' weights on the first configuration, at the first rung's size."""
        if len(datasets) < 2:
            return None, {}
        offered = candidate_weights(self.search.dataset_weights, datasets, datasets.rows(train))
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
            jobs = [(trial, inner, outer, FIRST_EPOCHS) for inner, outer in parts]
            names = [f"paper: weights of datasets, part {k + 1}" for k in range(len(jobs))]
            return np.array(run_all(partial(_score, self, fold, seed), jobs, names))

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

        trial, scores = choose_configuration(
            self.search,
            train,
            prompt_groups(fold.items),
            partial(_score, self, fold, seed),
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
        nodes: Nodes | None = None,
    ) -> tuple[pl.DataFrame, FittedTransformer]:
        encoding = InputEncoding.fit(fold.items, fold.people, train, trial.components, self.inputs)
        # Lightning: not where one only predicts
        from pamela.models.transformer.ddp import train_network
        from pamela.models.transformer.trainer import TrainingJob

        torch.manual_seed(seed)
        network = PreferenceTransformer(encoding.size, trial.shape)
        job = TrainingJob(
            network,
            encoding.tables(fold.items, fold.people),
            self._standard.apply(fold.items, train),
            self._standard.apply(fold.items, validation),
            self._regime(trial, epochs),
            seed,
            self.device,
            workdir,
            self._datasets,
            self._weights.of_rows(train) if self._weights is not None else None,
        )
        history = train_network(job, devices=devices, nodes=nodes, on_epoch_end=on_epoch_end)
        return history, FittedTransformer(encoding, network, trial.shape, self._standard)

    def _regime(self, trial: Configuration, epochs: int) -> OptimiserConfig:
        """Return how to train; a refit ends after the epoch that was best where it was chosen."""
        regime = self.search.regime(trial, epochs)
        if self._given is None:
            return regime
        return replace(regime, stop_after=self._given.chosen.get(BEST_EPOCH, regime.epochs))

    def _measured(self, fitted: FittedTransformer, fold: Fold, validation: Pairs) -> Deviations:
        """Take the predictive deviation from validation residuals."""
        mean = fitted.expected(fold.items, fold.people, validation)
        error = mean.astype(np.float64) - validation.rating
        known = fitted.knows(fold.people)[validation.user]
        names = self._datasets.names if self._datasets is not None else ()
        column = fold.items.frame[s.DATASET].to_numpy()[validation.item]
        return Deviations.measure(error, known, {name: column == name for name in names})

    @property
    def _ready(self) -> FittedTransformer:
        if self._fitted is None:
            raise PamelaError("model paper: not fitted; fit or load it first")
        return self._fitted

    def predict(
        self,
        items: Items,
        people: People,
        pairs: Pairs,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Prediction:
        """Predict `pairs`; the context is ignored (no adaptation)."""
        mean = self._ready.expected(items, people, pairs)
        known = self.knows(people)[pairs.user]
        column = items.frame[s.DATASET].to_numpy()[pairs.item]
        return Prediction(mean, self._deviations.of(known, column).astype(np.float32))

    def knows(self, people: People) -> Bools:
        """Return, per row of `people`, whether that user was in training."""
        if self._fitted is None:
            return np.zeros(len(people), bool)
        return self._fitted.knows(people)

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return config and arrays."""
        fitted, arrays = self._ready.state()
        config = {
            "search": asdict(self.search),
            "inputs": self.inputs.model_dump(),
            "chosen": self.chosen,
            **fitted,
            "std": self._deviations.overall,
            "stds": self._deviations.by_dataset,
        }
        return config, arrays

    @classmethod
    def from_state(cls, config: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """Rebuild from `state`; scoring runs on the CPU."""
        inputs = InputParams(**config["inputs"]) if "inputs" in config else ALL_INPUTS
        model = cls(SearchConfig.from_json(config["search"]), "cpu", inputs)
        model.chosen = config["chosen"]
        model._deviations = Deviations(config["std"], config.get("stds", {}))
        model._fitted = FittedTransformer.from_state(config, arrays)
        return model


def _score(
    model: Paper,
    fold: Fold,
    seed: int,
    trial: Configuration,
    inner: Pairs,
    outer: Pairs,
    epochs: int,
) -> float:
    """Return how well `trial`, trained on inner rows, orders the outer ones."""
    return best_correlation(model._train(fold, inner, outer, trial, epochs, seed)[0])


def _train_last(
    model: Paper,
    fold: Fold,
    train: Pairs,
    validation: Pairs,
    trial: Configuration,
    seed: int,
    workdir: Path | None,
    on_epoch_end: Listener,
) -> tuple[pl.DataFrame, FittedTransformer]:
    """Train the chosen configuration on all rows."""
    return model._train(
        fold, train, validation, trial, model.search.epochs(trial), seed,
        on_epoch_end=on_epoch_end, workdir=workdir,
        devices=device_count(model.device, model.devices),
        nodes=Nodes.from_environment(),
    )  # fmt: skip


def _train_last_elsewhere(
    model: Paper,
    fold: Fold,
    train: Pairs,
    validation: Pairs,
    trial: Configuration,
    seed: int,
    workdir: Path | None,
) -> tuple[pl.DataFrame, InputEncoding, dict[str, npt.NDArray[Any]]]:
    """Do so in another process; by value, as sharing tensors would need as much /dev/shm."""
    rows = (train, validation)
    history, fitted = _train_last(model, fold, *rows, trial, seed, workdir, lambda *_: None)
    weights = {key: value.numpy() for key, value in fitted.network.state_dict().items()}
    return history, fitted.encoding, weights
