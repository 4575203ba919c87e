"""The reward models, by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pamela.core.errors import PamelaError

if TYPE_CHECKING:
    from pamela.models.base import RewardModel
    from pamela.params import TrainParams

# name -> module:class; imported only when asked for, so that a baseline does not import torch
MODELS: dict[str, str] = {
    "global_mean": "pamela.models.baselines:GlobalMean",
    "user_mean": "pamela.models.baselines:UserMean",
    "group_mean": "pamela.models.baselines:GroupMean",
    "population": "pamela.models.gaussian_process.model:Population",
    "residual_ridge": "pamela.models.residual.ridge:ResidualRidge",
    "mf": "pamela.models.residual.matrix_factorisation:MatrixFactorisation",
    "paper": "pamela.models.transformer.model:Paper",
    "hierarchical": "pamela.models.hierarchical.model:Hierarchical",
}


def list_models() -> list[str]:
    """Return the names that ``train.models`` may hold."""
    return list(MODELS)


def model_class(name: str) -> type[RewardModel]:
    """Return the class of a model by name."""
    if name not in MODELS:
        raise PamelaError(f"unknown model {name!r}: choose from {', '.join(MODELS)}")
    module, cls = MODELS[name].split(":")
    found: type[RewardModel] = getattr(import_module(module), cls)
    return found


def create_model(name: str, params: TrainParams) -> RewardModel:
    """Return an unfitted model by name."""
    return model_class(name).from_params(params)
