"""The embedded encoder: a small open_clip CLIP of our own, shipped with the package.

``python -m pamela.features.encoders.embedded_clip.train`` (`make encoder`) trains it on rendered
pictures and writes the four files beside this module; CARD.md says what it can and cannot see.
Image features are the trunk's standardised features (unit variance over the training pictures, not
normalised by row), which hold more than their projection into the joint space; prompt features are
the text tower's projection, of unit length.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

import pamela.features.encoders.embedded_clip.architecture  # noqa: F401  (registers the trunk with timm)
from pamela.core.errors import PamelaError
from pamela.features.encoders.base import EMBEDDED, FloatArray, resolve_device
from pamela.features.encoders.clip import ClipEncoder, normalised
from pamela.features.encoders.embedded_clip.tokenizer import WordTokenizer
from pamela.features.encoders.openclip import CONFIG_FILE, state_fingerprint
from pamela.features.encoders.preprocessing import to_square

FOLDER = Path(__file__).parent
WEIGHTS_FILE = "open_clip_model.safetensors"
VOCABULARY_FILE = "vocabulary.txt"


class EmbeddedEncoder(ClipEncoder):
    """The embedded encoder; also maps its image features into the joint space."""

    def project(self, features: FloatArray) -> FloatArray:
        """Return image features (n, image_dim) in the joint space, (n, prompt_dim), unit rows.

        The dot product with `encode_prompts` says how well a text describes a picture.
        """
        with torch.inference_mode():
            rows = normalised(self.model.visual.head)(torch.from_numpy(features).to(self.device))
        projected: FloatArray = rows.cpu().numpy()
        return projected


def embedded_encoder(
    device: str, batch_size: int, workers: int, folder: Path = FOLDER
) -> EmbeddedEncoder:
    """Return the embedded encoder from the files in `folder`."""
    for file in (CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE):
        if not (folder / file).is_file():
            raise PamelaError(f"{folder / file}: no such file; `make encoder` writes it")
    model: Any = open_clip.create_model(f"local-dir:{folder}", require_pretrained=True)
    return wrap(model, folder, device, batch_size, workers)


def wrap(model: Any, folder: Path, device: str, batch_size: int, workers: int) -> EmbeddedEncoder:
    """Return `model` (trained or not) as an encoder with the vocabulary of `folder`."""
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    context = int(config["model_cfg"]["text_cfg"]["context_length"])
    tokenizer = WordTokenizer.load(folder / VOCABULARY_FILE, context)
    if tokenizer.vocab_size != config["model_cfg"]["text_cfg"]["vocab_size"]:
        raise PamelaError(
            f"{folder / VOCABULARY_FILE}: {tokenizer.vocab_size} ids, the weights have "
            f"{config['model_cfg']['text_cfg']['vocab_size']}; restore both, or `make encoder`"
        )
    preprocess = config["preprocess_cfg"]
    side = int(preprocess["size"][0])
    mean, std = torch.tensor(preprocess["mean"]) * 255, torch.tensor(preprocess["std"]) * 255

    def embed_image(batch: Tensor) -> Tensor:
        pixels = normalise_pixels(batch, mean.to(batch.device), std.to(batch.device))
        features: Tensor = model.visual.trunk(pixels)
        return features.float()

    return EmbeddedEncoder(
        name=EMBEDDED,
        fingerprint=state_fingerprint(model, config, tokenizer.words),
        model=model,
        prepare=lambda image: torch.from_numpy(to_square(image, side)),
        tokenizer=tokenizer,
        embed_image=embed_image,
        embed_text=normalised(model.encode_text),
        image_dim=int(model.visual.trunk.num_features),
        prompt_dim=int(config["model_cfg"]["embed_dim"]),
        device=resolve_device(device),
        batch_size=batch_size,
        workers=workers,
    )


def normalise_pixels(batch: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return uint8 pictures (n, s, s, 3) as standardised float32 (n, 3, s, s)."""
    return ((batch.float() - mean) / std).permute(0, 3, 1, 2)
