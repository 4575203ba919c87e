"""How many tokens a prompt has, and what a tokenizer is, for each kind that open_clip knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from pamela.core.errors import require

START_AND_END = 2
# open_clip's HFTokenizer puts a third special token after the text in this mode
CLIPS, CLIPS_SPECIAL = "clips", 3


def require_tokenizer(name: str, model: Mapping[str, Any]) -> None:
    """Raise where a model needs the package transformers and it is not installed.

    Parameters
    ----------
    name : ``embed.encoder``.
    model : open_clip's configuration of the model.
    """
    text = model.get("text_cfg", {})
    if text.get("hf_tokenizer_name") or text.get("hf_model_name"):
        require("transformers", f"embed.encoder {name!r}: its tokenizer")


def counter(tokenizer: Any) -> Callable[[list[str]], list[int]]:
    """Return what counts the tokens of texts, start and end included, before any is cut."""
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is None:
        return lambda texts: [len(tokenizer.encode(text)) + START_AND_END for text in texts]
    clean = getattr(tokenizer, "clean_fn", str)
    clips = getattr(tokenizer, "tokenizer_mode", "") == CLIPS

    def count(texts: list[str]) -> list[int]:
        rows = inner([clean(text) for text in texts], add_special_tokens=not clips, verbose=False)
        return [len(ids) + (CLIPS_SPECIAL if clips else 0) for ids in rows["input_ids"]]

    return count


def tokenizer_state(tokenizer: Any) -> str:
    """Return what tells two tokenizers apart: its class, and its words where it read them."""
    kind = type(tokenizer).__name__
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is None:
        return kind
    backend = getattr(inner, "backend_tokenizer", None)
    words = backend.to_str() if backend else json.dumps(inner.get_vocab(), sort_keys=True)
    return f"{kind} {sha256(words.encode()).hexdigest()}"
