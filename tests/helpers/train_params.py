"""Section train of params.yaml at the size of tests."""

from __future__ import annotations

from pamela.params import ALL_INPUTS, TrainParams


def params(**changes: object) -> TrainParams:
    base = {
        "models": ["global_mean", "user_mean", "group_mean", "population", "paper"],
        "champion": "population",
        "seed": 0,
        "device": "cpu",
        "devices": "auto",
        "inputs": ALL_INPUTS,
        "cv_folds": 2,
        "cv_trials": 2,
        "max_epochs": 2,
        "patience": 2,
        "batch_size": 128,
        "dataset_weights": "cv",
    }
    return TrainParams(**{**base, **changes})  # type: ignore[arg-type]
