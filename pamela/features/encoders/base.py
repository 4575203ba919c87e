"""What every encoder is: pictures and prompts in, float32 rows out, the same rows every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pamela.core.arrays import Floats32
from pamela.core.errors import PamelaError
from pamela.core.images import Picture

CONFIG_FILE = "open_clip_config.json"
EMBEDDED = "embedded"
LOCAL_DIR = "local-dir:"
HF_HUB = "hf-hub:"


@runtime_checkable
class Encoder(Protocol):
    """A frozen picture-and-prompt encoder.

    Attributes
    ----------
    name : as in ``embed.encoder``.
    fingerprint : SHA-256 over weights, configuration, vocabulary and preprocessing.
    precision : ``fp32`` or ``bf16``; features of different precision are never mixed in a cache.
    image_dim, prompt_dim : widths of the two kinds of features.
    context_length : the most tokens of a prompt that are read; what is beyond is cut.
    activation, preprocess, known_from : how the weights were trained (``GELU`` or ``QuickGELU``;
        size, mean, std, interpolation and resize mode of pictures), and who says so.
    """

    name: str
    fingerprint: str
    precision: str
    image_dim: int
    prompt_dim: int
    context_length: int
    activation: str
    preprocess: Mapping[str, Any]
    known_from: str

    def encode_images(
        self,
        images: Sequence[Picture],
        label: str | None = None,
        names: Sequence[str] | None = None,
    ) -> Floats32:
        """Return the features of n pictures, shape (n, image_dim).

        Parameters
        ----------
        images : paths, PIL images or uint8 arrays (height, width[, 3 or 4]).
        label : name of the progress bar; None for no bar.
        names : what a message calls each picture; None for its path or place.
        """
        ...

    def encode_prompts(self, prompts: Sequence[str | None]) -> Floats32:
        """Return the features of n prompts, shape (n, prompt_dim); a null prompt is a zero row."""
        ...

    def prompt_lengths(self, prompts: Sequence[str]) -> list[int]:
        """Return how many tokens each prompt has, start and end included, before it is cut."""
        ...

    def unread(self, prompts: Sequence[str]) -> list[bool]:
        """Tell of each prompt whether no word of it is known, so that all of them are one."""
        ...


def resolve_device(device: str) -> str:
    """Return the torch device that `device` (auto, cpu, gpu, cuda) means on this machine.

    Raises
    ------
    PamelaError
        If a GPU is asked for and there is none, or the name is unknown.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device in ("gpu", "cuda"):
        if not torch.cuda.is_available():
            raise PamelaError(f"device {device!r}: no CUDA device here; use device: auto or cpu")
        return "cuda"
    if device == "cpu":
        return "cpu"
    raise PamelaError(f"device {device!r} is unknown; use auto, cpu or gpu")
