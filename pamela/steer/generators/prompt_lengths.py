"""Which prompts a diffusers pipeline does not read whole: some of them cut without a word."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Final

_ENDLESS: Final = 10**6  # tokenizers without a limit name a number beyond


def cut_prompts(pipeline: Any, prompts: Sequence[str]) -> list[tuple[int, int]]:
    """Return (tokens, limit) of the prompts that no text encoder of `pipeline` reads whole."""
    limits = [
        (tokenizer, limit)
        for name, tokenizer in pipeline.components.items()
        if name.startswith("tokenizer") and tokenizer is not None
        and (limit := _limit(pipeline, tokenizer)) < _ENDLESS
    ]  # fmt: skip
    found = []
    for prompt in prompts if limits else ():
        lengths = [(_length(pipeline, tokenizer, prompt), limit) for tokenizer, limit in limits]
        if all(length > limit for length, limit in lengths):
            found.append(max(lengths, key=lambda one: one[1]))
    return found


def _limit(pipeline: Any, tokenizer: Any) -> int:
    """Return how many tokens are read: CLIP's own number, else what the pipeline is called with."""
    own = getattr(tokenizer, "tokenizer", tokenizer).model_max_length  # a processor holds one
    words = inspect.signature(pipeline.__call__).parameters.get("max_sequence_length")
    if words is None or "CLIP" in type(tokenizer).__name__:
        return int(min(own, _ENDLESS))
    return int(words.default)


def _length(pipeline: Any, tokenizer: Any, prompt: str) -> int:
    """Return the tokens of `prompt`, in the chat template where the text encoder has one."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    if not getattr(tokenizer, "chat_template", None):
        return len(inner(prompt, truncation=False, verbose=False)["input_ids"])
    system = getattr(pipeline, "system_message", None)  # FLUX.2 [dev]
    conversation = [
        {"role": role, "content": [{"type": "text", "text": text}] if system else text}
        for role, text in (("system", system), ("user", prompt))
        if text
    ]
    text = tokenizer.apply_chat_template(
        conversation, tokenize=False, add_generation_prompt=not system, enable_thinking=False
    )
    return len(inner(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])
