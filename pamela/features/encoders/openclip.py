"""Encoders of open_clip: ``<model>/<pretrained>``, ``hf-hub:<repo>``, ``local-dir:<path>``.

Image and prompt features are the model's own embeddings in the joint space, each row L2-normalised,
as the model was trained to compare them. The tokenizer is that of the same model; activation and
preprocessing are those the weights were trained with (`pamela.features.encoders.published`).
"""

from __future__ import annotations

import difflib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
from open_clip.transform import PreprocessCfg, image_transform_v2

from pamela.core.errors import PamelaError
from pamela.features.encoders.base import CONFIG_FILE, HF_HUB, LOCAL_DIR, resolve_device
from pamela.features.encoders.clip import (
    ClipEncoder,
    frozen,
    normalised,
    state_fingerprint,
)
from pamela.features.encoders.hub import hub_answers, hub_file, hub_offline
from pamela.features.encoders.published import QUICK_GELU, Training, of_config, of_file, of_pair
from pamela.features.encoders.tokens import counter, require_tokenizer, tokenizer_state

LONGEST_REASON = 160
GELU, QUICK = "GELU", "QuickGELU"
HOW = (
    "run once where the Hugging Face hub is reachable (the weights are then kept in its cache), "
    f"or name a folder with {CONFIG_FILE}, safetensors weights and, where it is not open_clip's "
    f"own, the tokenizer as {LOCAL_DIR}<path>"
)

HOW_LOCAL = (
    "the safetensors weights must be there, whole, and of the network that "
    f"{CONFIG_FILE} or <open_clip model> names"
)


def open_clip_encoder(name: str, device: str, batch_size: int, workers: int) -> ClipEncoder:
    """Return the encoder of an open_clip model.

    Raises
    ------
    PamelaError
        If the model or its weights are unknown, are neither on this machine nor reachable, need a
        package that is not installed, or were trained in a way that cannot be known.
    """
    model_name, pretrained = _parse(name)
    device = resolve_device(device)
    local = name.startswith(LOCAL_DIR) or (pretrained is not None and Path(pretrained).is_file())
    reachable = local or hub_answers()
    try:
        with _quiet(), hub_offline(not reachable):
            config, training = _training(name, model_name, pretrained)
            require_tokenizer(name, config)
            tokenizer = _tokenizer(name, model_name, local=local)
            model: Any = open_clip.create_model(
                model_name,
                pretrained,
                require_pretrained=True,
                force_quick_gelu=training.quick_gelu,
                force_preprocess_cfg=training.preprocess,
                weights_only=True,  # of a file that is a pickle: tensors, no code
            )
    except PamelaError:
        raise
    except Exception as error:  # open_clip, the hub and torch raise a dozen kinds
        reason = (
            _first_line(error)
            if reachable
            else "its weights are not on this machine and the Hugging Face hub does not answer"
        )
        raise PamelaError(
            f"embed.encoder {name!r}: could not be loaded ({reason}); {HOW_LOCAL if local else HOW}"
        ) from None
    preprocess: dict[str, Any] = model.visual.preprocess_cfg
    activation = _activation(model)
    fingerprint = state_fingerprint(
        model.state_dict(), _built(config, activation), preprocess, tokenizer_state(tokenizer)
    )
    model = frozen(model, device)
    return ClipEncoder(
        name=name,
        fingerprint=fingerprint,
        prepare=image_transform_v2(PreprocessCfg(**preprocess), is_train=False),
        tokenizer=tokenizer,
        count_tokens=counter(tokenizer),
        context_length=int(tokenizer.context_length),
        activation=activation,
        preprocess=preprocess,
        known_from=training.known_from,
        embed_image=normalised(model.encode_image),
        embed_text=normalised(model.encode_text),
        logit_scale=float(model.logit_scale.exp()),
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


def _training(name: str, model: str, pretrained: str | None) -> tuple[dict[str, Any], Training]:
    """Return the model's configuration, and how the weights that `name` means were trained."""
    if pretrained is None:
        config = _read_config(name, model)
        training = of_config(name, config)
        return config["model_cfg"], training
    named: dict[str, Any] = open_clip.get_model_config(model)
    published = pretrained in open_clip.list_pretrained_tags_by_model(model)
    return named, of_pair(model, pretrained) if published else of_file(name, model)


def _read_config(name: str, model: str) -> Any:
    """Return the ``open_clip_config.json`` of a folder or a repository of the hub."""
    path = (
        hub_file(model.removeprefix(HF_HUB), CONFIG_FILE)
        if name.startswith(HF_HUB)
        else Path(model.removeprefix(LOCAL_DIR)) / CONFIG_FILE
    )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # also what is no UTF-8
        raise PamelaError(f"embed.encoder {name!r}: {path}: no JSON ({error})") from None


def _tokenizer(name: str, model: str, *, local: bool) -> Any:
    """Return the model's tokenizer; one that a folder should hold and does not is named."""
    try:
        return open_clip.get_tokenizer(model)
    except Exception as error:  # transformers raises a dozen kinds
        if not local:
            raise
        raise PamelaError(
            f"embed.encoder {name!r}: its tokenizer could not be loaded ({_first_line(error)}); "
            "its files (tokenizer.json, tokenizer_config.json) must lie beside the weights, and "
            "`import transformers` must work"
        ) from None


def _activation(model: Any) -> str:
    """Return which activation was built, whatever was asked for."""
    quick = any(type(module).__name__ == QUICK for module in model.modules())
    return QUICK if quick else GELU


def _built(config: dict[str, Any], activation: str) -> dict[str, Any]:
    """Return the configuration of the network that was built, for its fingerprint."""
    rest = {key: value for key, value in config.items() if key != QUICK_GELU}
    return rest | {QUICK_GELU: True} if activation == QUICK else rest


def _first_line(error: Exception) -> str:
    lines = (str(error).strip() or type(error).__name__).splitlines()
    line = lines[0]
    if line.endswith(":"):  # torch's list of what a network lacks begins so
        line = " ".join(part.strip() for part in lines[:2])
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the libraries' own log lines: one line of ours says what went wrong.

    What open_clip itself warns of, a network that its weights do not fit, is passed on.
    """
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logging.disable(previous)
    home = str(Path(open_clip.__file__).parent)
    for warning in caught:
        if issubclass(warning.category, UserWarning) and warning.filename.startswith(home):
            warnings.warn(str(warning.message), stacklevel=4)
