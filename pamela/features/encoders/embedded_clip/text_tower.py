"""The embedded encoder's text tower, weight for weight that of open_clip, for scoring alone.

To import open_clip takes seconds (torchvision, timm and torch's compiler come with it), to encode
a prompt milliseconds. Training and projections use open_clip's own model; a test compares the two.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

MLP_RATIO = 4  # open_clip's default


class Block(nn.Module):
    """One transformer block, normalised before attention and before the two linear layers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, MLP_RATIO * width),
                gelu=nn.GELU(),
                c_proj=nn.Linear(MLP_RATIO * width, width),
            )
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Keep the shape (n, length, width); `mask` (length, length) is added to attention."""
        inner = self.ln_1(x)
        x = x + self.attn(inner, inner, inner, need_weights=False, attn_mask=mask)[0]
        x = x + self.mlp(self.ln_2(x))
        return x


class Blocks(nn.Module):
    """Blocks one after the other, under the name that open_clip gives them."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Keep the shape (n, length, width)."""
        for block in self.resblocks:
            x = block(x, mask)
        return x


class TextTower(nn.Module):
    """Token ids (n, length) to text features (n, d).

    Parameters
    ----------
    text_cfg : open_clip's: ``context_length, vocab_size, width, heads, layers``.
    dim : of the joint space.
    """

    mask: Tensor

    def __init__(self, text_cfg: Mapping[str, Any], dim: int) -> None:
        super().__init__()
        length, width = int(text_cfg["context_length"]), int(text_cfg["width"])
        self.token_embedding = nn.Embedding(int(text_cfg["vocab_size"]), width)
        self.positional_embedding = nn.Parameter(torch.empty(length, width))
        blocks = [Block(width, int(text_cfg["heads"])) for _ in range(int(text_cfg["layers"]))]
        self.transformer = Blocks(blocks)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, dim))
        later = torch.full((length, length), float("-inf")).triu_(1)
        self.register_buffer("mask", later, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the features of each text at its last token, the highest id."""
        length = ids.shape[1]
        x = self.token_embedding(ids) + self.positional_embedding[:length]
        x = self.ln_final(self.transformer(x, self.mask[:length, :length]))
        last = x[torch.arange(len(x), device=x.device), ids.argmax(dim=-1)]
        features: Tensor = last @ self.text_projection
        return features
