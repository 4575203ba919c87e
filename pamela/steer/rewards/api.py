"""Scores of pictures by generic rewards, for whoever wants nothing else of steering."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pamela.core.errors import PamelaError
from pamela.core.images import Picture, open_rgb
from pamela.steer.rewards.factory import RewardSettings, make_rewards


def score_pictures(
    name: str,
    pictures: Sequence[Picture | str],
    prompts: Sequence[str],
    settings: RewardSettings | None = None,
) -> list[float]:
    """Score picture i for prompt i by one reward; higher is better.

    Parameters
    ----------
    name : as in ``steer.rewards``, such as ``clip``, ``clip:ViT-B-32/openai`` or ``hpsv3``.
    pictures : paths, PIL images or uint8 arrays (height, width, 3).
    settings : the device, the encoder of ``clip``, the environments of workers.

    Examples
    --------
    >>> score_pictures("clip", ["barn.png"], ["a red barn"])  # doctest: +SKIP
    [27.1]
    >>> hpsv3 = RewardSettings(workers={"hpsv3": "envs/hpsv3/bin/python"})
    >>> score_pictures("hpsv3", ["barn.png"], ["a red barn"], hpsv3)  # doctest: +SKIP
    [8.3]

    Raises
    ------
    PamelaError
        If there is no such reward, its environment is not set up, or a picture does not decode.
    """
    if len(pictures) != len(prompts):
        raise PamelaError(f"{len(pictures)} pictures and {len(prompts)} prompts: give one for each")
    images = [
        np.asarray(open_rgb(Path(p) if isinstance(p, str) else p, _name(p, i)))
        for i, p in enumerate(pictures)
    ]
    with make_rewards([name], settings or RewardSettings()) as rewards:
        (reward,) = rewards.values()
        return reward.score_pictures(images, prompts).tolist() if images else []


def _name(picture: Picture | str, place: int) -> str:
    return str(picture) if isinstance(picture, str | Path) else f"picture {place}"
