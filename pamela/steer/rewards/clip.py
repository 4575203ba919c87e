"""How well a picture fits its prompt in the joint space of a CLIP-like encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np

from pamela.core.arrays import Floats, Floats32
from pamela.core.errors import PamelaError
from pamela.steer.generators.base import Image
from pamela.steer.rewards.models import RenderFeatures

PERCENT: Final = 100.0  # CLIP score (Hessel et al., 2021) is 100 x cosine, here not cut at 0


class ClipScorer:
    """CLIP score: 100 x the cosine of picture and prompt; or the cosine x the model's logit scale.

    Parameters
    ----------
    name : as in ``steer.rewards``.
    load : returns the encoder's features when they are first needed.
    logits : multiply with the model's logit scale, as PickScore and HPSv2 do.
    """

    def __init__(self, name: str, load: Callable[[], RenderFeatures], *, logits: bool) -> None:
        self._name = name
        self._load = load
        self._logits = logits

    @property
    def fingerprint(self) -> str:
        """The encoder's weights and preprocessing, and the scale."""
        return f"clip:{self._features.encoder.fingerprint}:{self._scale:g}"

    def score_pictures(self, images: Sequence[Image], prompts: Sequence[str]) -> Floats:
        """Score picture i for prompt i; array (n,), higher is better."""
        image = self._project(self._features.of_images(images)).astype(np.float64)
        prompt = self._features.of_prompts(prompts).astype(np.float64)
        scores: Floats = self._scale * np.einsum("nd,nd->n", image, prompt)
        return scores

    def close(self) -> None:
        """Nothing is started."""

    @cached_property
    def _features(self) -> RenderFeatures:
        return self._load()

    @property
    def _scale(self) -> float:
        encoder: Any = self._features.encoder
        return float(encoder.logit_scale) if self._logits else PERCENT

    def _project(self, features: Floats32) -> Floats32:
        """Return image features in the joint space: the embedded encoder's are not there yet."""
        encoder: Any = self._features.encoder
        project = getattr(encoder, "project", None)
        joint: Floats32 = features if project is None else project(features)
        if joint.shape[1] != encoder.prompt_dim:
            raise PamelaError(
                f"steer.rewards: {self._name!r}: the encoder {encoder.name!r} has no joint space "
                "of pictures and prompts; name a CLIP-like one"
            )
        return joint
