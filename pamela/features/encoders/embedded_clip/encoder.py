"""The embedded encoder: a small open_clip CLIP of our own, shipped with the package.

``python -m pamela.features.encoders.embedded_clip.train`` (`make encoder`) trains it on rendered
pictures and writes the four files beside this module; CARD.md says what it can and cannot see.
Image features are the trunk's standardised features (unit variance over the training pictures, not
normalised by row), which hold more than their projection into the joint space; prompt features are
the text tower's projection, of unit length.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import linear, normalize

from pamela.core.arrays import Floats32
from pamela.core.errors import PamelaError
from pamela.features.encoders.base import CONFIG_FILE, EMBEDDED, resolve_device
from pamela.features.encoders.clip import (
    ClipEncoder,
    frozen,
    normalised,
    state_fingerprint,
)
from pamela.features.encoders.embedded_clip.architecture import StatisticsTrunk, register_trunk
from pamela.features.encoders.embedded_clip.text_tower import TextTower
from pamela.features.encoders.embedded_clip.tokenizer import WordTokenizer
from pamela.features.encoders.preprocessing import to_square
from pamela.features.encoders.tokens import counter

FOLDER = Path(__file__).parent
WEIGHTS_FILE = "open_clip_model.safetensors"
VOCABULARY_FILE = "vocabulary.txt"
TRUNK, TEXT = "visual.trunk.", "text."  # before the names of their weights
HEAD = "visual.head.proj.weight"


class EmbeddedEncoder(ClipEncoder):
    """The embedded encoder; also maps its image features into the joint space.

    Parameters
    ----------
    build : how to make the whole open_clip model. Nothing here needs it but its training: to import
        open_clip takes longer than to encode thousands of pictures.
    head : weights (prompt_dim, image_dim) by which image features come into the joint space.
    """

    def __init__(self, *, build: Callable[[], Any], head: Tensor, **settings: Any) -> None:
        super().__init__(**settings)
        self._build = build
        self._head = head.detach().to(self.device)

    @cached_property
    def model(self) -> Any:
        """The whole open_clip model."""
        return frozen(self._build(), self.device)

    def project(self, features: Floats32) -> Floats32:
        """Return image features (n, image_dim) in the joint space, (n, prompt_dim), unit rows.

        The dot product with `encode_prompts` says how well a text describes a picture.
        """
        with torch.inference_mode():
            given = torch.from_numpy(features).to(self.device)
            rows = normalize(linear(given, self._head), dim=-1)
        projected: Floats32 = rows.cpu().numpy()
        return projected


def embedded_encoder(
    device: str, batch_size: int, workers: int, folder: Path = FOLDER
) -> EmbeddedEncoder:
    """Return the embedded encoder from the files in `folder`."""
    for file in (CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE):
        if not (folder / file).is_file():
            raise PamelaError(f"{folder / file}: no such file; `make encoder` writes it")
    kept = load_file(folder / WEIGHTS_FILE)
    state = {key: v.float() if v.is_floating_point() else v for key, v in kept.items()}
    return _encoder(
        state,
        lambda: open_clip_model(folder, require_pretrained=True),
        folder,
        device,
        batch_size,
        workers,
    )


def open_clip_model(folder: Path, **options: Any) -> Any:
    """Return open_clip's model of the configuration in `folder`."""
    import open_clip

    register_trunk()
    return open_clip.create_model(f"local-dir:{folder}", **options)


def wrap(model: Any, folder: Path, device: str, batch_size: int, workers: int) -> EmbeddedEncoder:
    """Return `model` (trained or not) as an encoder with the vocabulary of `folder`."""
    return _encoder(model.state_dict(), lambda: model, folder, device, batch_size, workers)


def _encoder(
    state: Mapping[str, Tensor],
    build: Callable[[], Any],
    folder: Path,
    device: str,
    batch_size: int,
    workers: int,
) -> EmbeddedEncoder:
    """Return the encoder of a model's weights `state`, with the vocabulary of `folder`."""
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    text = config["model_cfg"]["text_cfg"]
    tokenizer = WordTokenizer.load(folder / VOCABULARY_FILE, int(text["context_length"]))
    if tokenizer.vocab_size != text["vocab_size"]:
        raise PamelaError(
            f"{folder / VOCABULARY_FILE}: {tokenizer.vocab_size} ids, the weights have "
            f"{text['vocab_size']}; restore both, or `make encoder`"
        )
    device = resolve_device(device)
    preprocess = config["preprocess_cfg"]
    side = int(preprocess["size"][0])
    mean, std = torch.tensor(preprocess["mean"]) * 255, torch.tensor(preprocess["std"]) * 255
    trunk = StatisticsTrunk(side)
    trunk.load_state_dict(_below(state, TRUNK))
    trunk = frozen(trunk, device)
    tower = TextTower(text, int(config["model_cfg"]["embed_dim"]))
    # open_clip keeps its causal mask with the weights in some versions; it is made anew here
    tower.load_state_dict({k: v for k, v in _below(state, TEXT).items() if k != "attn_mask"})
    tower = frozen(tower, device)

    def embed_image(batch: Tensor) -> Tensor:
        pixels = normalise_pixels(batch, mean.to(batch.device), std.to(batch.device))
        features: Tensor = trunk(pixels)
        return features.float()

    return EmbeddedEncoder(
        name=EMBEDDED,
        fingerprint=state_fingerprint(state, config, tokenizer.words),
        build=build,
        head=state[HEAD],
        prepare=lambda image: torch.from_numpy(to_square(image, side)),
        tokenizer=tokenizer,
        count_tokens=counter(tokenizer),
        context_length=tokenizer.context_length,
        activation="GELU",
        preprocess=preprocess,
        known_from="shipped with it",
        embed_image=embed_image,
        embed_text=normalised(tower),
        logit_scale=float(state["logit_scale"].exp()),
        image_dim=trunk.num_features,
        prompt_dim=int(config["model_cfg"]["embed_dim"]),
        device=device,
        batch_size=batch_size,
        workers=workers,
    )


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights whose names begin with `prefix`, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def normalise_pixels(batch: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 pictures (n, s, s, 3) as standardised float32 (n, 3, s, s)."""
    return ((batch.float() - mean) / std).permute(0, 3, 1, 2)
