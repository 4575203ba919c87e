"""Prompt fidelity: is what the prompt is about still in the picture?

Zero-shot, by the encoder: the prompt is written once with each subject of its group, and the
picture is faithful if it is nearest to the one with its own subject. In the embedded world prompts
can be read; elsewhere nothing is said (`VQAScore` as a reward does).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pamela.core.arrays import Bools, Floats32
from pamela.steer.generators.base import Candidate

if TYPE_CHECKING:
    from pamela.features.encoders.base import Encoder


def subject_kept(
    candidates: Sequence[Candidate], image_features: Floats32, encoder: Encoder
) -> Bools | None:
    """Return whether each picture (n,) shows its prompt's subject rather than another.

    None where the encoder has no space that pictures and prompts share.

    Parameters
    ----------
    image_features : array (n, image_dim), of the pictures, by `encoder`.
    """
    joint = _joint(image_features, encoder)
    if joint is None:
        return None
    texts = [_retold(candidate.prompt) for candidate in candidates]
    flat = list(dict.fromkeys(text for told in texts for text in told))
    place = {text: i for i, text in enumerate(flat)}
    prompt = encoder.encode_prompts(flat)
    nearest = [
        np.argmax(prompt[[place[text] for text in told]] @ row)
        for told, row in zip(texts, joint, strict=True)
    ]
    return np.asarray(nearest, np.int64) == 0


def _retold(prompt: str) -> list[str]:
    """Return the prompt with each subject of its group in place of its own, its own first."""
    from pamela.synthetic.prompts import parse_prompt
    from pamela.synthetic.vocabulary import GROUPS

    spec = parse_prompt(prompt)
    low = prompt.lower()
    begin = low.index(spec.subject)
    end = begin + len(spec.subject)
    others = [name for name in GROUPS[spec.type][spec.group] if name != spec.subject]
    return [prompt[:begin] + name + prompt[end:] for name in (spec.subject, *others)]


def _joint(image_features: Floats32, encoder: Encoder) -> Floats32 | None:
    project = getattr(encoder, "project", None)
    if project is not None:
        found: Floats32 = project(image_features)
        return found
    return image_features if encoder.image_dim == encoder.prompt_dim else None
