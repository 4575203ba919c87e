"""Saving and loading reward models: ``model.json`` + ``model.safetensors``, never pickles."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path, read_json, write_json
from pamela.models.base import RewardModel

CONFIG = "model.json"
WEIGHTS = "model.safetensors"


def save_model(model: RewardModel, folder: Path) -> None:
    """Write `model` into `folder`; the weights first, the config (which names it) last."""
    config, arrays = model.state()
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
    with atomic_path(folder / WEIGHTS) as aside:
        save_file(contiguous, aside)
    write_json(folder / CONFIG, {"model": model.name, "config": config})


def load_model(folder: Path) -> RewardModel:
    """Load the model saved in `folder`, whichever it is."""
    from pamela.models import model_class

    saved = read_json(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        raise PamelaError(f"{folder / WEIGHTS}: no such file; the model folder is incomplete")
    arrays: dict[str, npt.NDArray[Any]] = load_file(folder / WEIGHTS)
    return model_class(saved["model"]).from_state(saved["config"], arrays)


def model_hash(folder: Path) -> str:
    """Return a short hash of a saved model's two files."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]
