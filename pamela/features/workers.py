"""Pictures and prompts encoded on the workers of a cluster, a chunk of them at a time.

A worker gets paths, not pictures: it sees the project's files under the same path, and compares
each with the hash that its features are to be kept by. What comes back is written by one process,
the one that asked.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pamela.compute.runner import Bar, Runner
from pamela.core.arrays import Floats32
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256
from pamela.features.encoders.base import LOCAL_DIR, Encoder
from pamela.features.factory import get_encoder
from pamela.params import EmbedParams

CHUNKS_PER_SLOT: Final = 8  # so that workers end together
LARGEST: Final = 4096  # pictures of a chunk, which is what a dead worker loses

Encoded = tuple[Sequence[str], Floats32]  # keys and their rows
_opening = threading.Lock()


@dataclass(frozen=True)
class Wanted:
    """The encoder that a worker must have; `precision` None: whatever the worker computes in."""

    embed: EmbedParams
    fingerprint: str
    precision: str | None = None


@dataclass(frozen=True)
class Chunk:
    """Contents that are encoded together.

    Attributes
    ----------
    start : place of the first among all.
    keys : what their features are kept by.
    contents : absolute paths, or prompts.
    """

    wanted: Wanted
    kind: str
    start: int
    keys: Sequence[str]
    contents: Sequence[str]

    def __str__(self) -> str:
        return f"{self.kind} {self.start + 1} to {self.start + len(self.keys)}"


class Workers:
    """The encoder of `embed`, as the workers of `runner` have it."""

    def __init__(self, runner: Runner, embed: EmbedParams, encoder: Encoder) -> None:
        self._runner = runner
        name = _absolute(encoder.name)
        self._embed = embed.model_copy(update={"encoder": name})
        self._fingerprint = encoder.fingerprint
        self._encoder = encoder

    def encoder(self) -> Encoder:
        """Return the encoder with the workers' precision: its rows are kept apart from others.

        Where the workers have GPUs and this machine has none, or the other way round.
        """
        wanted = Wanted(self._embed, self._fingerprint)
        ((_, precision),) = self._runner.map(precision_of, [wanted], name=lambda _: "the encoder")
        encoder = copy.copy(self._encoder)
        encoder.precision = precision
        return encoder

    def encode_images(
        self, encoder: Encoder, keys: Sequence[str], files: Sequence[Path]
    ) -> Iterator[Encoded]:
        """Yield keys and features of picture files, a chunk at a time, as they are done."""
        return self._encode(encode_pictures, "pictures", encoder, keys, [str(f) for f in files])

    def encode_prompts(
        self, encoder: Encoder, keys: Sequence[str], prompts: Sequence[str]
    ) -> Iterator[Encoded]:
        """Yield keys and features of prompts, a chunk at a time, as they are done."""
        return self._encode(encode_prompts, "prompts", encoder, keys, prompts)

    def _encode(
        self,
        encode: Callable[[Chunk], Floats32],
        kind: str,
        encoder: Encoder,
        keys: Sequence[str],
        contents: Sequence[str],
    ) -> Iterator[Encoded]:
        if not keys:  # nothing that a cluster would have to start for
            return
        wanted = Wanted(self._embed, encoder.fingerprint, encoder.precision)
        size = chunk_size(len(keys), self._runner.slots, self._embed.batch_size)
        chunks = (
            Chunk(wanted, kind, start, keys[start : start + size], contents[start : start + size])
            for start in range(0, len(keys), size)
        )
        bar = Bar(f"encode {kind}", len(keys), lambda chunk: len(chunk.keys))
        for chunk, rows in self._runner.map(encode, chunks, bar=bar):
            yield chunk.keys, rows


def chunk_size(rows: int, slots: int, batch_size: int) -> int:
    """Return how many rows go to a worker at once: whole batches, several chunks per worker."""
    batches = max(1, min(rows // (slots * CHUNKS_PER_SLOT), LARGEST) // batch_size)
    return batches * batch_size


def precision_of(wanted: Wanted) -> str:
    """Return, on a worker, what its encoder computes in."""
    return _worker_encoder(wanted).precision


def encode_pictures(chunk: Chunk) -> Floats32:
    """Return, on a worker, the features of picture files that have the hashes they should have."""
    encoder = _worker_encoder(chunk.wanted)
    files = [Path(path) for path in chunk.contents]
    for file, key in zip(files, chunk.keys, strict=True):
        _require_content(file, key)
    return encoder.encode_images(files)


def encode_prompts(chunk: Chunk) -> Floats32:
    """Return, on a worker, the features of prompts."""
    return _worker_encoder(chunk.wanted).encode_prompts(list(chunk.contents))


def _worker_encoder(wanted: Wanted) -> Encoder:
    with _opening:  # a worker may have several threads
        encoder = _opened(wanted.embed)
    if encoder.fingerprint != wanted.fingerprint:
        raise PamelaError(
            f"embed.encoder {wanted.embed.encoder!r} has other weights, another activation or "
            "preprocessing than where the command was started; workers must see the same files"
        )
    if wanted.precision not in (None, encoder.precision):
        raise PamelaError(
            f"encodes in {encoder.precision}, another worker in {wanted.precision}: start workers "
            "of one kind, all of them with a GPU or none"
        )
    return encoder


@lru_cache(maxsize=1)
def _opened(embed: EmbedParams) -> Encoder:
    return get_encoder(embed.encoder, batch_size=embed.batch_size, workers=embed.workers)


def _require_content(file: Path, sha256: str) -> None:
    try:
        found = file_sha256(file)
    except FileNotFoundError:
        raise PamelaError(
            f"{file}: no such image file; workers must see the project under this path"
        ) from None
    if found != sha256:
        raise PamelaError(
            f"{file}: not the picture that was validated; restore it, or run `dvc repro` again"
        )


def _absolute(name: str) -> str:
    """Return an encoder's name with its path from the root: workers run in folders of their own."""
    if name.startswith(LOCAL_DIR):
        return f"{LOCAL_DIR}{Path(name.removeprefix(LOCAL_DIR)).expanduser().absolute()}"
    model, _, file = name.partition("/")
    return f"{model}/{Path(file).absolute()}" if file and Path(file).is_file() else name
