"""LAION's kind of aesthetic predictor: a small head on the image features of a CLIP-like encoder.

The head is a file of tensors alone (safetensors, or a PyTorch file that is read with
``weights_only``): linear layers ``weight`` and ``bias``, or ``<prefix>.<number>.weight`` and
``.bias`` of several, applied in the order of their numbers, the last one of width 1. Between them
is nothing, as in LAION's own, unless the metadata of a safetensors file say ``activation``: relu
or gelu.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256
from pamela.steer.generators.base import Image
from pamela.steer.rewards.models import RenderFeatures

if TYPE_CHECKING:
    from torch import Tensor, nn

LAYER: Final = re.compile(r"(?:.*?(?P<number>\d+)\.|.*\.)?(?P<part>weight|bias)")
ACTIVATIONS: Final = {"none": "Identity", "relu": "ReLU", "gelu": "GELU"}
SAFETENSORS: Final = ".safetensors"
WANTED: Final = "a head is linear layers, <number>.weight and <number>.bias, the last of width 1"


class AestheticScorer:
    """How beautiful a picture is, whatever its prompt, on the scale that the head was trained on.

    Parameters
    ----------
    name : as in ``steer.rewards``.
    load : returns the encoder's features when they are first needed.
    file : the head's weights.
    """

    def __init__(self, name: str, load: Callable[[], RenderFeatures], file: Path) -> None:
        self._name = name
        self._load = load
        self._file = file

    @property
    def fingerprint(self) -> str:
        """The encoder's weights and preprocessing, and the head's file."""
        self._head  # noqa: B018 - a file that is none is told of as such
        return f"aesthetic:{self._features.encoder.fingerprint}:{file_sha256(self._file)[:16]}"

    def score_pictures(self, images: Sequence[Image], prompts: Sequence[str]) -> Floats:
        """Score the pictures; array (n,), higher is better."""
        import torch

        rows = torch.from_numpy(self._features.of_images(images))
        with torch.inference_mode():
            scores: Floats = self._head(rows).squeeze(1).numpy().astype(np.float64)
        return scores

    def close(self) -> None:
        """Nothing is started."""

    @cached_property
    def _features(self) -> RenderFeatures:
        return self._load()

    @cached_property
    def _head(self) -> nn.Module:
        head = load_head(self._file)
        width, expected = head[0].in_features, self._features.encoder.image_dim
        if width != expected:
            raise PamelaError(
                f"steer.rewards: {self._name!r}: {self._file} takes features of width {width}, the "
                f"encoder gives {expected}: name the encoder that the head was trained on"
            )
        return head


def load_head(file: Path) -> nn.Sequential:
    """Return the head in a file.

    Raises
    ------
    PamelaError
        If there is no such file, it holds more than tensors, or they are no head.
    """
    state, activation = _read(file)
    if activation not in ACTIVATIONS:
        raise PamelaError(
            f"{file}: its metadata say activation {activation!r}; known: {', '.join(ACTIVATIONS)}"
        )
    return _build(file, state, activation)


def _read(file: Path) -> tuple[Mapping[str, Tensor], str]:
    """Return the tensors of a file by name, and the activation between the layers."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file

    try:
        if file.suffix == SAFETENSORS:
            with safe_open(file, "pt") as opened:
                metadata = opened.metadata() or {}
            return load_file(file), metadata.get("activation", "none")
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise PamelaError(f"{file}: no such file; an aesthetic reward names it") from None
    except Exception as error:  # of unpickling, zip files, safetensors: a dozen kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PamelaError(f"{file}: not read as tensors alone ({reason}); {WANTED}") from None
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}, "none"


def _build(file: Path, state: Mapping[str, Tensor], activation: str) -> nn.Sequential:
    """Return the layers of a state, in the order of their numbers."""
    from torch import nn

    layers: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        found = LAYER.fullmatch(key)
        if found is None:
            raise PamelaError(f"{file}: holds {key!r}; {WANTED}")
        layers.setdefault(int(found["number"] or 0), {})[found["part"]] = value.float()
    modules: list[nn.Linear] = []
    for number in sorted(layers):
        weight, bias = layers[number].get("weight"), layers[number].get("bias")
        before = modules[-1].out_features if modules else None
        if weight is None or weight.ndim != 2 or (before is not None and before != weight.shape[1]):
            raise PamelaError(f"{file}: its layers do not follow each other; {WANTED}")
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
        linear.load_state_dict(layers[number])
        modules.append(linear)
    if not modules or modules[-1].out_features != 1:
        raise PamelaError(f"{file}: its last layer is not of width 1; {WANTED}")
    chain: list[nn.Module] = [modules[0]]
    for linear in modules[1:]:
        chain += [getattr(nn, ACTIVATIONS[activation])(), linear]
    return nn.Sequential(*chain).eval().requires_grad_(False)
