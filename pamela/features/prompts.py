"""Prompts that an encoder does not read whole: counted at embed, told where one is scored.

A text tower reads a fixed number of tokens (`Encoder.context_length`). What is beyond changes
nothing, so two prompts that differ only there are one to the model; and so are all prompts of which
it knows no word.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PromptWarning

if TYPE_CHECKING:
    from pamela.features.encoders.base import Encoder

KEY_LETTERS = 16  # of a prompt's key, in the record of those that were cut
EXAMPLE_LETTERS = 60


def prompt_key(prompt: str) -> str:
    """Return the SHA-256 of a prompt's text."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def read_prompts(encoder: Encoder, images: pl.DataFrame) -> dict[str, Any]:
    """Return how much the encoder reads of the prompts of `images`, for ``features.json``.

    Returns
    -------
    ``distinct`` prompts; how many of them were ``cut``, and ``unread`` as no word of them is known;
    ``context_length``, the most tokens that are read; ``longest``, of a prompt; ``example``:
    dataset, image_id, prompt and tokens of the longest; ``cut_keys``: the beginnings of the keys
    of those that were cut; ``unread_example``: the first of those that are not read.
    """
    texts = images.drop_nulls(s.PROMPT).unique(s.PROMPT, keep="first", maintain_order=True)
    tokens = pl.Series("tokens", encoder.prompt_lengths(texts[s.PROMPT].to_list()), dtype=pl.Int64)
    lengths = texts.select(s.DATASET, s.IMAGE, s.PROMPT).with_columns(tokens)
    cut = lengths.filter(pl.col("tokens") > encoder.context_length)
    unread = lengths.filter(pl.Series(encoder.unread(texts[s.PROMPT].to_list()), dtype=pl.Boolean))
    record: dict[str, Any] = {
        "distinct": lengths.height,
        "cut": cut.height,
        "unread": unread.height,
        "context_length": encoder.context_length,
        "longest": lengths["tokens"].max() or 0,
    }
    if cut.height:
        record["example"] = cut.sort("tokens", descending=True, maintain_order=True).row(
            0, named=True
        )
        record["cut_keys"] = sorted(prompt_key(text)[:KEY_LETTERS] for text in cut[s.PROMPT])
    if unread.height:
        record["unread_example"] = unread.row(0, named=True)
    return record


def prompt_notes(record: Mapping[str, Any], encoder: str) -> list[str]:
    """Return what to tell of prompts that are not read whole; nothing where all are."""
    notes = []
    if record["cut"]:
        one = record["example"]
        notes.append(
            f"{record['cut']:,} of {record['distinct']:,} prompts are longer than the "
            f"{record['context_length']} tokens that {encoder} reads, and only their beginning "
            f"counts; the longest has {one['tokens']}: {_shown(one)}"
        )
    if record["unread"]:
        notes.append(
            f"{record['unread']:,} of {record['distinct']:,} prompts have no word that {encoder} "
            f"knows, and are all one to it: {_shown(record['unread_example'])}"
        )
    return notes


def _shown(one: Mapping[str, Any]) -> str:
    text = " ".join(str(one[s.PROMPT]).split())
    cut = text if len(text) <= EXAMPLE_LETTERS else f"{text[:EXAMPLE_LETTERS]}..."
    return f"{one[s.DATASET]}/{one[s.IMAGE]} ({cut!r})"


def warn_of_cut(encoder: Encoder, prompts: Sequence[str | None]) -> None:
    """Warn of prompts that were given and are not read whole.

    The text names numbers alone: Python keeps every text that it has warned of.
    """
    given = [prompt for prompt in prompts if prompt]
    lengths, unread = encoder.prompt_lengths(given), sum(encoder.unread(given))
    if unread:
        warnings.warn(
            f"{unread} of {len(given)} new prompts {'has' if unread == 1 else 'have'} no word that "
            f"the encoder {encoder.name!r} knows: the picture alone is scored",
            PromptWarning,
            stacklevel=2,
        )
    longest = max(lengths, default=0)
    if longest > encoder.context_length:
        cut = sum(length > encoder.context_length for length in lengths)
        warnings.warn(
            f"{cut} of {len(lengths)} new prompts {'is' if cut == 1 else 'are'} longer than the "
            f"{encoder.context_length} tokens that the encoder {encoder.name!r} reads (the longest "
            f"has {longest}): what is beyond changes no score",
            PromptWarning,
            stacklevel=2,
        )


def read_whole(encoder: Encoder, prompts: Sequence[str]) -> list[bool]:
    """Tell of each prompt whether nothing is to be said of it: read to its end, with words."""
    lengths, unread = encoder.prompt_lengths(prompts), encoder.unread(prompts)
    return [
        length <= encoder.context_length and not none
        for length, none in zip(lengths, unread, strict=True)
    ]
