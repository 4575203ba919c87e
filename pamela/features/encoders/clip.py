"""The batch loop that all CLIP-like encoders share, from decoded pictures to normalised rows."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pamela.core.arrays import Floats32
from pamela.core.errors import PamelaError
from pamela.core.progress import progress
from pamela.features.encoders.base import Picture
from pamela.features.encoders.preprocessing import decode_batches

SMALLEST_BATCH = 8


def padded_size(rows: int, batch_size: int) -> int:
    """Return the batch that `rows` are padded to: a power of two, or the full batch."""
    size = SMALLEST_BATCH
    while size < rows:
        size *= 2
    return size if size <= batch_size else max(rows, batch_size)


@dataclass(kw_only=True, eq=False)
class ClipEncoder:
    """The towers of a frozen model, ``prepare`` for one picture, a tokenizer; see `base.Encoder`.

    Batches are padded to a few fixed sizes, because convolution and matrix kernels round
    differently by shape. Between batch sizes features agree to about 1e-5 of their scale.

    Attributes
    ----------
    prepare : RGB picture -> tensor of one shape for all pictures.
    tokenizer : list of texts -> int64 ids (n, context); what is longer is cut there.
    count_tokens : list of texts -> how many ids each would have uncut.
    context_length : the most ids that the text tower reads.
    activation, preprocess, known_from : how the weights were trained, and who says so.
    embed_image : batch of prepared pictures, on the device -> (n, image_dim).
    embed_text : batch of ids, on the device -> (n, prompt_dim).
    logit_scale : what cosines of the joint space are multiplied with to be the model's logits.
    """

    name: str
    fingerprint: str
    prepare: Callable[[Image.Image], Tensor]
    tokenizer: Callable[[list[str]], Tensor]
    count_tokens: Callable[[list[str]], list[int]]
    context_length: int
    activation: str
    preprocess: Mapping[str, Any]
    known_from: str
    embed_image: Callable[[Tensor], Tensor]
    embed_text: Callable[[Tensor], Tensor]
    logit_scale: float
    image_dim: int
    prompt_dim: int
    device: str
    batch_size: int
    workers: int
    precision: str = field(init=False)

    def __post_init__(self) -> None:
        self.precision = "bf16" if self.device == "cuda" else "fp32"

    def encode_images(
        self,
        images: Sequence[Picture],
        label: str | None = None,
        names: Sequence[str] | None = None,
    ) -> Floats32:
        """Return the features of n pictures, shape (n, image_dim); see `base.Encoder`."""
        out = np.zeros((len(images), self.image_dim), np.float32)
        done = 0
        batches = decode_batches(images, self.prepare, self.batch_size, self.workers, names)
        with progress(label or "", len(images), quiet=label is None) as advance:
            for batch in batches:
                rows = self._run(self.embed_image, torch.stack(batch))
                out[done : done + len(rows)] = rows
                done += len(rows)
                advance(len(rows))
        return out

    def encode_prepared(self, batch: Tensor) -> Floats32:
        """Return the features (n, image_dim) of n prepared pictures, at most a batch of them."""
        return self._run(self.embed_image, batch)

    def encode_prompts(self, prompts: Sequence[str | None]) -> Floats32:
        """Return the features of n prompts, shape (n, prompt_dim); a null prompt is a zero row."""
        out = np.zeros((len(prompts), self.prompt_dim), np.float32)
        known = [i for i, prompt in enumerate(prompts) if prompt is not None]
        for start in range(0, len(known), self.batch_size):
            rows = known[start : start + self.batch_size]
            ids = self.tokenizer([str(prompts[i]) for i in rows])
            out[rows] = self._run(self.embed_text, ids)
        return out

    def prompt_lengths(self, prompts: Sequence[str]) -> list[int]:
        """Return how many tokens each prompt has; see `base.Encoder`."""
        return self.count_tokens(list(prompts)) if prompts else []

    def unread(self, prompts: Sequence[str]) -> list[bool]:
        """Tell of each prompt whether no word of it is known; see `base.Encoder`."""
        knows = getattr(self.tokenizer, "knows", None)  # only ours has a small vocabulary
        return [knows is not None and not knows(prompt) for prompt in prompts]

    def _run(self, embed: Callable[[Tensor], Tensor], batch: Tensor) -> Floats32:
        """Run `embed` on `batch` padded with copies of its first row, and drop the padding."""
        rows = len(batch)
        missing = padded_size(rows, self.batch_size) - rows
        if missing:
            batch = torch.cat([batch, batch[:1].expand(missing, *batch.shape[1:])])
        with torch.inference_mode(), self._autocast():
            features = embed(batch.to(self.device))
        result: Floats32 = features[:rows].float().cpu().numpy()
        if not np.isfinite(result).all():
            raise PamelaError(
                f"embed.encoder {self.name!r} returned a NaN or infinite feature: "
                "its weights do not fit its configuration, or are damaged"
            )
        return result

    @contextlib.contextmanager
    def _autocast(self) -> Iterator[None]:
        if self.device == "cuda":
            with torch.autocast("cuda", torch.bfloat16):
                yield
        else:
            yield


def frozen(model: nn.Module, device: str) -> Any:
    """Return `model` on `device`, for inference alone."""
    return model.to(device).eval().requires_grad_(False)


def state_fingerprint(state: Mapping[str, Tensor], *configuration: Any) -> str:
    """Return a SHA-256 over the names and values of a model's weights and its configuration."""
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode())
    for key, value in sorted(state.items()):
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}\0".encode())
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()


def normalised(encode: Callable[..., Any]) -> Callable[[Tensor], Tensor]:
    """Return `encode` followed by L2 normalisation of each row, in float32."""

    def run(batch: Tensor) -> Tensor:
        return nn.functional.normalize(encode(batch).float(), dim=-1)

    return run
