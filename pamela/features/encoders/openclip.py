"""Encoders of open_clip: ``<model>/<pretrained>``, ``hf-hub:<repo>``, ``local-dir:<path>``.

Image and prompt features are the model's own embeddings in the joint space, each row L2-normalised,
as the model was trained to compare them. The tokenizer is that of the same model.
"""

from __future__ import annotations

import difflib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub
import open_clip
from open_clip.transform import PreprocessCfg, image_transform_v2

from pamela.core.errors import PamelaError
from pamela.features.encoders.base import HF_HUB, LOCAL_DIR, resolve_device
from pamela.features.encoders.clip import (
    CONFIG_FILE,
    ClipEncoder,
    frozen,
    normalised,
    state_fingerprint,
)

HUB_TIMEOUT_S = 5.0
LONGEST_REASON = 160
HOW = (
    "run once where the Hugging Face hub is reachable (the weights are then kept in its cache), "
    f"or name a folder with {CONFIG_FILE} and safetensors weights as {LOCAL_DIR}<path>"
)


def open_clip_encoder(name: str, device: str, batch_size: int, workers: int) -> ClipEncoder:
    """Return the encoder of an open_clip model.

    Raises
    ------
    PamelaError
        If the model or its weights are unknown, or are neither on this machine nor reachable.
    """
    model_name, pretrained = _parse(name)
    device = resolve_device(device)
    local = name.startswith(LOCAL_DIR) or (pretrained is not None and Path(pretrained).is_file())
    reachable = local or _hub_answers()
    try:
        with _quiet(), _hub_offline(not reachable):
            model: Any = open_clip.create_model(model_name, pretrained, require_pretrained=True)
            tokenizer = open_clip.get_tokenizer(model_name)
            config = open_clip.get_model_config(model_name)
    except Exception as error:  # open_clip, the hub and torch raise a dozen kinds
        reason = (
            _first_line(error)
            if reachable
            else "its weights are not on this machine and the Hugging Face hub does not answer"
        )
        raise PamelaError(
            f"embed.encoder {name!r}: could not be loaded ({reason}); {HOW}"
        ) from None
    preprocess = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    fingerprint = state_fingerprint(
        model.state_dict(), config, model.visual.preprocess_cfg, type(tokenizer).__name__
    )
    model = frozen(model, device)
    return ClipEncoder(
        name=name,
        fingerprint=fingerprint,
        prepare=preprocess,
        tokenizer=tokenizer,
        embed_image=normalised(model.encode_image),
        embed_text=normalised(model.encode_text),
        image_dim=int(config["embed_dim"]),
        prompt_dim=int(config["embed_dim"]),
        device=device,
        batch_size=batch_size,
        workers=workers,
    )


def _parse(name: str) -> tuple[str, str | None]:
    """Return open_clip's (model name, pretrained tag) for ``embed.encoder``."""
    if name.startswith(LOCAL_DIR):
        folder = Path(name.removeprefix(LOCAL_DIR)).expanduser()
        if not (folder / CONFIG_FILE).is_file():
            raise PamelaError(
                f"embed.encoder {name!r}: {folder / CONFIG_FILE}: no such file; the folder must "
                f"hold {CONFIG_FILE} and safetensors weights"
            )
        return f"{LOCAL_DIR}{folder}", None
    if name.startswith(HF_HUB):
        return name, None
    model, _, pretrained = name.partition("/")
    if model not in open_clip.list_models():
        near = difflib.get_close_matches(model, open_clip.list_models(), n=3)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise PamelaError(
            f"embed.encoder {name!r}: no open_clip model {model!r}; {hint}use embedded, "
            f"precomputed, <open_clip model>/<pretrained> or {LOCAL_DIR}<path>"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if pretrained not in tags and not (pretrained and Path(pretrained).is_file()):
        raise PamelaError(
            f"embed.encoder {name!r}: {model} has no pretrained weights {pretrained!r}; "
            f"it has {', '.join(tags) or 'none'}"
        )
    return model, pretrained


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    line = text.splitlines()[0]
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the libraries' own log lines: one line of ours says what went wrong."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)


def _hub_answers() -> bool:
    constants = huggingface_hub.constants
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        httpx.head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
    except httpx.HTTPError:
        return False
    return True


@contextmanager
def _hub_offline(offline: bool) -> Iterator[None]:
    """Use the hub's local cache alone: where the hub does not answer, retries take a minute."""
    constants = huggingface_hub.constants
    previous = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = previous or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = previous
