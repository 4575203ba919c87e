"""Picture and prompt encoders: the embedded one, any open_clip model, or none (precomputed)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pamela.core.errors import PamelaError
from pamela.features.encoders.base import EMBEDDED, LOCAL_DIR, Encoder, Picture
from pamela.params import PRECOMPUTED

# Decoding threads run beside the encoder: OpenMP threads that spin while they wait would starve
# them. Read when torch is first loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = ["EMBEDDED", "LOCAL_DIR", "Encoder", "Picture", "get_encoder", "same_encoder"]


def get_encoder(name: str, *, device: str = "auto", batch_size: int, workers: int) -> Encoder:
    """Return the encoder that ``embed.encoder`` names.

    Parameters
    ----------
    name : ``embedded``, ``<open_clip model>/<pretrained>``, ``hf-hub:<repository>`` or
        ``local-dir:<path>``.
    device : auto, cpu or gpu.
    batch_size : pictures encoded at once; features do not depend on it (to about 1e-5).
    workers : threads that decode pictures while others are encoded; 0 decodes in line.

    Raises
    ------
    PamelaError
        If there is no such encoder, or its weights are not to be had.
    """
    if name == PRECOMPUTED:
        raise PamelaError(
            "embed.encoder precomputed: its features were brought with the dataset and there is "
            "no encoder for new pictures; name an open_clip model to score new pictures"
        )
    if name == EMBEDDED:
        from pamela.features.encoders.embedded_clip.encoder import embedded_encoder

        return embedded_encoder(device, batch_size, workers)
    from pamela.features.encoders.openclip import open_clip_encoder

    return open_clip_encoder(name, device, batch_size, workers)


def same_encoder(wanted: Mapping[str, Any], what: str, **settings: Any) -> Encoder:
    """Return the encoder that a model was trained with.

    Parameters
    ----------
    wanted : the record of the model's encoder: its name and fingerprint.
    what : what it is wanted for, for messages.
    settings : as of `get_encoder`.

    Raises
    ------
    PamelaError
        If the model was trained on precomputed features, or the encoder has other weights now.
    """
    name = wanted["encoder"]
    if name == PRECOMPUTED:
        raise PamelaError(
            f"{what}: this model was trained on precomputed features, so it can score "
            "only the pictures of its own datasets, which it knows by their files and ids"
        )
    encoder = get_encoder(name, **settings)
    if encoder.fingerprint != wanted["fingerprint"]:
        raise PamelaError(
            f"encoder {name!r} here has other weights, another activation or preprocessing than "
            "the model was trained with: run the pipeline again, or restore them"
        )
    return encoder
