"""From ``steer.rewards`` in params.yaml to rewards that know no user."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Self

from pamela.core.errors import PamelaError
from pamela.params import PRECOMPUTED, Params
from pamela.steer.rewards.generic import GenericReward, PictureScorer
from pamela.steer.rewards.models import RenderFeatures
from pamela.steer.rewards.workers import PAGE, WorkerScorer, WorkerTimes, set_up

KEY: Final = "params.yaml: steer.rewards"
WORKERS: Final = ("image_reward", "hpsv3", "q_align", "script")
NO_WORD: Final = re.compile(r"[^A-Za-z0-9.-]+")
NAMES: Final = (
    "clip, clip:<encoder>, pickscore:<encoder>, aesthetic:<encoder>#<head file>, "
    "vqascore:<folder or id>, image_reward, hpsv3, q_align, script:<file.py>"
)


@dataclass
class RewardSettings:
    """What rewards are made with.

    Attributes
    ----------
    encoder : the run's own, which ``clip`` is: a name as in ``embed.encoder``.
    features : of pictures by that encoder, where they are made already; shared with our models.
    workers : name of a reward -> the Python of the environment of its own.
    root : what relative paths are meant from.
    worker_timeout_s : how long a worker may take for 16 pictures.
    """

    encoder: str = "embedded"
    device: str = "auto"
    batch_size: int = 64
    features: RenderFeatures | None = None
    workers: Mapping[str, str] = field(default_factory=dict)
    root: Path = Path()
    worker_timeout_s: float = 600.0


class GenericRewards(dict[str, GenericReward]):
    """Rewards by their short names; a context manager, which ends their workers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what the rewards started."""
        for reward in self.values():
            reward.close()


def get_rewards(
    params: Params, *, root: Path = Path(), features: RenderFeatures | None = None
) -> GenericRewards:
    """Return the rewards that ``steer.rewards`` names, by `short_names`.

    Models are loaded, and workers started, when they first score.

    Parameters
    ----------
    root : the project's folder.
    features : of pictures by the run's encoder, shared with the reward models.

    Raises
    ------
    PamelaError
        If a name is unknown or stands twice, or its environment is not set up.
    """
    settings = RewardSettings(
        encoder=params.embed.encoder,
        device=params.train.device,
        batch_size=params.embed.batch_size,
        features=features,
        workers=params.steer.workers,
        root=root,
        worker_timeout_s=params.steer.worker_timeout_s,
    )
    names = params.steer.rewards
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PamelaError(f"{KEY}: {twice[0]!r} stands twice")
    unused = sorted(set(settings.workers) - set(names))
    if unused:
        raise PamelaError(f"params.yaml: steer.workers: {unused[0]!r} is not in steer.rewards")
    return make_rewards(names, settings)


def make_rewards(names: Sequence[str], settings: RewardSettings) -> GenericRewards:
    """Return rewards by their short names; those that name one encoder share its features."""
    encoders = _Encoders(settings)
    short = short_names(names)
    return GenericRewards(
        {short[name]: GenericReward(name, _scorer(name, settings, encoders)) for name in names}
    )


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return what each reward is called in tables and metrics: its kind, if no other is of it.

    Examples
    --------
    >>> short_names(["clip", "hpsv3:weights/hpsv3", "script:a/tone.py", "script:b.py"])
    {'clip': 'clip', 'hpsv3:weights/hpsv3': 'hpsv3', 'script:a/tone.py': 'script_a_tone.py', \
'script:b.py': 'script_b.py'}
    """
    kinds = [name.partition(":")[0] for name in names]
    return {
        name: kind if kinds.count(kind) == 1 else NO_WORD.sub("_", name)
        for name, kind in zip(names, kinds, strict=True)
    }


def _scorer(name: str, settings: RewardSettings, encoders: _Encoders) -> PictureScorer:
    kind, _, argument = name.partition(":")
    if kind in WORKERS:
        return _worker(name, settings)
    if kind == "vqascore" and argument:
        from pamela.steer.rewards.vqascore import VqaScorer

        return VqaScorer(argument, settings.device)
    if kind == "aesthetic":
        from pamela.steer.rewards.aesthetic import AestheticScorer

        encoder, _, file = argument.rpartition("#")
        if not encoder or not file:
            raise PamelaError(f"{KEY}: {name!r}: write aesthetic:<encoder>#<head file> ({PAGE})")
        return AestheticScorer(name, encoders.features(encoder), settings.root / file)
    if name == "clip" or (kind in ("clip", "pickscore") and argument):
        from pamela.steer.rewards.clip import ClipScorer

        load = encoders.features(argument or settings.encoder)
        return ClipScorer(name, load, logits=kind == "pickscore")
    raise PamelaError(f"{KEY}: {name!r} is unknown; known are {NAMES} ({PAGE})")


def _worker(name: str, settings: RewardSettings) -> WorkerScorer:
    """Return a reward of an environment of its own, if there is that environment."""
    kind, _, argument = name.partition(":")
    if kind == "script" and not (settings.root / argument).is_file():
        raise PamelaError(f"{KEY}: {name!r}: {settings.root / argument}: no such file")
    if name not in settings.workers:
        raise PamelaError(
            f"{KEY}: {name!r} runs in an environment of its own, and steer.workers names none: "
            f"{set_up(name)}"
        )
    python = (settings.root / settings.workers[name]).absolute()
    if not python.is_file():
        raise PamelaError(
            f"params.yaml: steer.workers: {name!r}: {python}: no such file: {set_up(name)}"
        )
    return WorkerScorer(
        name, python, settings.device, settings.root, WorkerTimes(batch_s=settings.worker_timeout_s)
    )


class _Encoders:
    """Features by the name of their encoder; each encoder is loaded once, when first needed."""

    def __init__(self, settings: RewardSettings) -> None:
        self._settings = settings
        self._known: dict[str, RenderFeatures] = {}
        if settings.features is not None:
            self._known[settings.encoder] = settings.features

    def features(self, name: str) -> Callable[[], RenderFeatures]:
        """Return what loads the features of an encoder."""
        if name == PRECOMPUTED:
            raise PamelaError(
                f"{KEY}: 'clip': embed.encoder is {PRECOMPUTED!r}, which reads no pictures and no "
                "prompts; name an encoder as clip:<encoder>"
            )
        return partial(self._load, name)

    def _load(self, name: str) -> RenderFeatures:
        from pamela.features.factory import get_encoder

        if name not in self._known:
            settings = self._settings
            encoder = get_encoder(
                name, device=settings.device, batch_size=settings.batch_size, workers=0
            )
            self._known[name] = RenderFeatures(encoder)
        return self._known[name]
