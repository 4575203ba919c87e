"""The embedded encoder's picture trunk; `register_trunk` lets open_clip build it by name.

A small residual network that keeps what global average pooling of a usual trunk throws away:
means and standard deviations of every stage (colour, contrast, texture), a coarse spatial grid
(where things stand in the picture) and how far each half differs from its mirror image (symmetry).
BatchNorm, not LayerNorm over channels, so that amplitudes, and with them contrast, survive.

The features are a learned code and, beside it, the network's answers: its estimate of every
attribute and its logits of group, style and lighting
(`pamela.features.encoders.embedded_clip.labels`).
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

WIDTHS = (24, 64, 128, 192)  # channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side
BLOCKS = (1, 1, 2, 1)
MIRRORED = (3, 4)  # maps (0: the picture, 1: the stem's) compared with their mirror image
GRID_MAP = 4
STEM = 16
GRID_CHANNELS = 24
HIDDEN = 512
ANSWER_HIDDEN = 256
CODE = 192
ANSWERS = 66  # `labels.ANSWERS`, as a number: encoding needs no word of the embedded world
FEATURES = CODE + ANSWERS


def _conv(inner: int, outer: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outer)
    )


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = _conv(width, width)
        last = cast(nn.BatchNorm2d, self.second[-1])
        nn.init.zeros_(last.weight)  # starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (n, width, h, w)."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def _statistics(x: Tensor) -> Tensor:
    """Return channel means and standard deviations, (n, c, h, w) -> (n, 2c).

    Written as products over the channels-last layout, whose gradient is several times cheaper than
    that of reductions.
    """
    rows = x.float().permute(0, 2, 3, 1).flatten(1, 2)  # (n, h * w, c), a view
    weights = rows.new_full((1, 1, rows.shape[1]), 1 / rows.shape[1]).expand(len(rows), -1, -1)
    mean = torch.bmm(weights, rows).squeeze(1)
    variance = (torch.bmm(weights, rows * rows).squeeze(1) - mean * mean).clamp_min(0)
    return torch.cat([mean, (variance + 1e-4).sqrt()], 1)


class StatisticsTrunk(nn.Module):
    """Pictures (n, 3, s, s) to standardised features (n, FEATURES)."""

    def __init__(self, image_size: int) -> None:
        super().__init__()
        self.num_features = FEATURES
        self.default_cfg: dict[str, Any] = {"input_size": (3, image_size, image_size)}
        self.stem = nn.Sequential(_conv(3, STEM, 2), nn.ReLU())
        stages, inner = [], STEM
        for width, blocks in zip(WIDTHS, BLOCKS, strict=True):
            residuals = [Residual(width) for _ in range(blocks)]
            stages.append(nn.Sequential(_conv(inner, width, 2), nn.ReLU(), *residuals))
            inner = width
        self.stages = nn.ModuleList(stages)
        self.grid = _conv(WIDTHS[2], GRID_CHANNELS, kernel=1)
        grid_side = -(-image_size // 16)
        pooled = 2 * (3 + STEM + sum(WIDTHS)) + GRID_CHANNELS * grid_side**2
        pooled += sum(WIDTHS[number - 2] for number in MIRRORED)
        self.neck = nn.Sequential(
            nn.BatchNorm1d(pooled),
            nn.Linear(pooled, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN),
            nn.GELU(),
        )
        self.code = nn.Linear(HIDDEN, CODE, bias=False)
        self.answers = nn.Sequential(
            nn.Linear(HIDDEN, ANSWER_HIDDEN, bias=False),
            nn.BatchNorm1d(ANSWER_HIDDEN),
            nn.GELU(),
            nn.Linear(ANSWER_HIDDEN, ANSWERS),
        )
        self.scale = nn.BatchNorm1d(FEATURES, affine=False)  # unit variance over pictures

    def reset_classifier(self, num_classes: int, global_pool: str = "") -> None:
        """Accept timm's call; there is no classifier to reset."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, (n, 3, s, s) -> (n, FEATURES): the code, then the answers."""
        return self.read(x)[0]

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (n, FEATURES) and the answers before scaling (n, ANSWERS)."""
        maps = [x.contiguous(memory_format=torch.channels_last)]
        for layer in (self.stem, *self.stages):
            maps.append(layer(maps[-1]))
        pooled = [self.grid(maps[GRID_MAP]).float().flatten(1)]
        with torch.autocast(x.device.type, enabled=False):  # variances need full precision
            pooled += [_statistics(found) for found in maps]
            mirrored = [maps[number].float() for number in MIRRORED]
            pooled += [(found - found.flip(3)).abs().mean((2, 3)) for found in mirrored]
            hidden = self.neck(torch.cat(pooled, 1))
            answers: Tensor = self.answers(hidden)
            features: Tensor = self.scale(torch.cat([self.code(hidden), answers], 1))
        return features, answers


def pamela_statistics_96(pretrained: bool = False, **_: Any) -> StatisticsTrunk:
    """Return the trunk for 96-pixel pictures (timm's entry point; weights come from open_clip)."""
    return StatisticsTrunk(96)


@cache
def register_trunk() -> None:
    """Register the trunk with timm, once; not on import, as encoding a picture needs no timm."""
    from timm.models import register_model

    register_model(pamela_statistics_96)
