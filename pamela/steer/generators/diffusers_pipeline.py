"""The generator `diffusers:<id or folder>`: any text-to-image pipeline, in this process."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import diffusers
import numpy as np
import numpy.typing as npt
import torch

from pamela.core.errors import PamelaError, PromptWarning
from pamela.features.encoders.base import resolve_device
from pamela.params import DiffusersParams
from pamela.steer.generators.base import Image
from pamela.steer.generators.prompt_lengths import cut_prompts
from pamela.steer.model_folders import first_line, identity, model_folder

KEY: Final = "steer.generator"
SECTION: Final = "steer.diffusers"


class DiffusersGenerator:
    """Loads the pipeline with the first picture; weights are safetensors, code is never downloaded.

    Every picture has random numbers of its own, so that it does not depend on its batch.
    """

    def __init__(self, name: str, settings: DiffusersParams) -> None:
        self.name, self.settings = name, settings
        self.device = resolve_device(settings.device)
        if settings.offload != "none" and self.device == "cpu":
            raise PamelaError(
                f"params.yaml: {SECTION}.offload: {settings.offload!r} moves weights to a GPU and "
                "back, and there is none here: write none"
            )
        self._pipeline: Any = None

    @property
    def fingerprint(self) -> str:
        """The pipeline's commit or content, and every setting that changes a pixel."""
        asked = self.settings
        return (
            f"diffusers:{identity(self.name, self._folder)}:{self._dtype}:{asked.steps}:"
            f"{asked.guidance}:{asked.width}x{asked.height}:{diffusers.__version__}"
        )

    @property
    def at_once(self) -> int:
        """Pictures that are drawn, and kept, together."""
        return self.settings.batch_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipeline = None
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image]:
        """Draw one picture per prompt and seed, in batches of `batch_size`."""
        if self._pipeline is None:
            self._pipeline = self._load()
        self._warn_of_cut(prompts)
        size, images = self.settings.batch_size, list[Image]()
        for begin in range(0, len(prompts), size):
            images += self._draw(prompts[begin : begin + size], seeds[begin : begin + size])
        return images

    @cached_property
    def _folder(self) -> Path:
        return model_folder(KEY, self.name, _download)

    @property
    def _dtype(self) -> str:
        if self.settings.dtype != "auto":
            return self.settings.dtype
        return "float32" if self.device == "cpu" else "bfloat16"

    def _load(self) -> Any:
        try:
            pipeline = diffusers.DiffusionPipeline.from_pretrained(
                self._folder, dtype=getattr(torch, self._dtype), use_safetensors=True
            )
        except Exception as error:  # what a broken folder raises is no closed list
            raise PamelaError(
                f"params.yaml: {KEY}: {self.name!r} does not load as a diffusers pipeline: "
                f"{first_line(error)}"
            ) from None
        self._check(pipeline)
        pipeline.set_progress_bar_config(disable=True)
        if self.settings.offload == "model":
            pipeline.enable_model_cpu_offload()
        elif self.settings.offload == "sequential":
            pipeline.enable_sequential_cpu_offload()
        else:
            pipeline.to(self.device)
        return pipeline

    def _check(self, pipeline: Any) -> None:
        """Refuse what draws from more than text, and settings that it does not have."""
        accepted = inspect.signature(pipeline.__call__).parameters
        kind = type(pipeline).__name__
        needed = [
            name
            for name, one in accepted.items()
            if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
        ]
        if "prompt" not in accepted or set(needed) - {"prompt"}:
            raise PamelaError(
                f"params.yaml: {KEY}: {self.name!r} is a {kind}, which does not draw from text "
                "alone: name a text-to-image pipeline"
            )
        unknown = [name for name in self._call_settings() if name not in accepted]
        if unknown:
            raise PamelaError(
                f"params.yaml: {KEY}: {self.name!r} is a {kind}, which takes no "
                f"{', no '.join(unknown)}: name another pipeline"
                + (f", or set {SECTION}.guidance to null" if "guidance_scale" in unknown else "")
            )

    def _call_settings(self) -> dict[str, Any]:
        asked = self.settings
        words: dict[str, Any] = {
            "num_inference_steps": asked.steps, "width": asked.width, "height": asked.height,
        }  # fmt: skip
        if asked.guidance is not None:
            words["guidance_scale"] = asked.guidance
        return words

    def _draw(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image]:
        """Draw one batch. All by keyword: the first argument of FLUX.2 is `image`."""
        try:
            drawn = self._pipeline(
                prompt=list(prompts),
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                output_type="np",
                **self._call_settings(),
            )
        except torch.OutOfMemoryError:
            raise PamelaError(
                f"steer: diffusers:{self.name}: out of GPU memory with {len(prompts)} pictures of "
                f"{self.settings.width} x {self.settings.height}: lower {SECTION}.batch_size or "
                "size, or set offload to model; what was drawn is kept"
            ) from None
        except ValueError as error:  # of the pipeline's own check of its arguments
            raise PamelaError(
                f"params.yaml: {SECTION}: {self.name!r} refuses the settings: {first_line(error)}"
            ) from None
        flagged = getattr(drawn, "nsfw_content_detected", None) or []
        blackened = [prompt for prompt, flag in zip(prompts, flagged, strict=False) if flag]
        if blackened:
            raise PamelaError(
                f"steer: diffusers:{self.name}: the pipeline's safety checker blackened "
                f"{len(blackened)} of {len(prompts)} pictures, the first of {blackened[0][:80]!r}: "
                "name a pipeline without one, or change the prompts or steer.seed; what was drawn "
                "is kept"
            )
        return self._pixels(np.asarray(drawn.images))

    def _pixels(self, images: npt.NDArray[np.floating[Any]]) -> list[Image]:
        """Return floats of 0..1 as 8 bits."""
        if not np.isfinite(images).all():
            raise PamelaError(
                f"steer: diffusers:{self.name}: its pictures are NaN in {self._dtype}: "
                f"set {SECTION}.dtype to bfloat16 or float32"
            )
        asked = (self.settings.height, self.settings.width, 3)
        if images.shape[1:] != asked:
            height, width = images.shape[1:3]
            raise PamelaError(
                f"params.yaml: {SECTION}: {self.name!r} draws {width} x {height}, not the "
                f"{asked[1]} x {asked[0]} asked for: write a size that it has (multiples of 16, 32)"
            )
        return list(np.round(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8))

    def _warn_of_cut(self, prompts: Sequence[str]) -> None:
        """Say what pipelines do not: that they read no more than the beginning of a prompt."""
        if cut := cut_prompts(self._pipeline, prompts):
            longest, limit = max(length for length, _ in cut), cut[0][1]
            warnings.warn(
                f"{len(cut)} of {len(prompts)} prompts are longer than the {limit} tokens that "
                f"{self.name} reads (the longest has {longest}): what is beyond changes no picture",
                PromptWarning,
                stacklevel=3,
            )


def _download(name: str) -> str:
    return str(diffusers.DiffusionPipeline.download(name, use_safetensors=True))
