"""The embedded encoder's picture trunk, registered with timm so that open_clip builds it by name.

A small residual network that keeps what global average pooling of a usual trunk throws away:
means and standard deviations of every stage (colour, contrast, texture) and a coarse spatial grid
(where things stand in the picture). BatchNorm, not LayerNorm over channels, so that amplitudes,
and with them contrast, survive.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.models import register_model
from torch import Tensor, nn

WIDTHS = (24, 48, 96, 192)  # channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side
STEM = 16
GRID_CHANNELS = 24
HIDDEN = 512
FEATURES = 256


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
        last = self.second[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)  # starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (n, width, h, w)."""
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def _statistics(x: Tensor) -> Tensor:
    """Return channel means and standard deviations, (n, c, h, w) -> (n, 2c).

    Written as products over the channels-last layout, whose gradient is several times cheaper than
    that of reductions.
    """
    rows = x.permute(0, 2, 3, 1).flatten(1, 2)  # (n, h * w, c), a view
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
        for width in WIDTHS:
            stages.append(nn.Sequential(_conv(inner, width, 2), nn.ReLU(), Residual(width)))
            inner = width
        self.stages = nn.ModuleList(stages)
        self.grid = _conv(WIDTHS[2], GRID_CHANNELS, kernel=1)
        grid_side = -(-image_size // 16)
        pooled = 2 * (3 + STEM + sum(WIDTHS)) + GRID_CHANNELS * grid_side**2
        self.neck = nn.Sequential(
            nn.BatchNorm1d(pooled),
            nn.Linear(pooled, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES, affine=False),  # features of unit variance over pictures
        )

    def reset_classifier(self, num_classes: int, global_pool: str = "") -> None:
        """Accept timm's call; there is no classifier to reset."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features, (n, 3, s, s) -> (n, FEATURES)."""
        x = x.contiguous(memory_format=torch.channels_last)
        pooled = [_statistics(x)]
        x = self.stem(x)
        pooled.append(_statistics(x))
        for number, stage in enumerate(self.stages):
            x = stage(x)
            pooled.append(_statistics(x))
            if number == 2:
                pooled.append(self.grid(x).flatten(1))
        features: Tensor = self.neck(torch.cat(pooled, 1))
        return features


@register_model
def pamela_statistics_96(pretrained: bool = False, **_: Any) -> StatisticsTrunk:
    """Return the trunk for 96-pixel pictures (timm's entry point; weights come from open_clip)."""
    return StatisticsTrunk(96)
