"""The network of `paper`: tokens for picture, prompt, user, demographics and metadata.

After the description of the paper's predictor: frozen features, a user embedding with an unknown
user, embedded demographics and metadata, a shallow transformer encoder, one rating. Widths, depth
and regularisation are not published; they are chosen by cross-validation
(`pamela.models.transformer.model`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    """How many of everything the network embeds.

    Attributes
    ----------
    image, prompt : feature components (0: no token).
    users : training users.
    demographics, metadata : number of categories of each column; the first metadata column is the
        dataset.
    """

    image: int
    prompt: int
    users: int
    demographics: tuple[int, ...]
    metadata: tuple[int, ...]

    @property
    def datasets(self) -> int:
        """Number of datasets."""
        return self.metadata[0]

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from what JSON keeps of `asdict`."""
        return cls(
            saved["image"], saved["prompt"], saved["users"],
            tuple(saved["demographics"]), tuple(saved["metadata"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Width, depth and dropout of the network."""

    width: int
    layers: int
    heads: int
    dropout: float


class CategorySum(nn.Module):
    """The sum of one embedding per column; code 0 is the unknown category, below it nothing.

    Nothing (a column that the row's dataset does not have) adds zero.

    Parameters
    ----------
    categories : number of known categories of each column.
    """

    def __init__(self, categories: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(count + 1, width) for count in categories)
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.1)  # type: ignore[arg-type]

    def forward(self, codes: Tensor) -> Tensor:
        """Map codes (n, columns) to (n, width)."""
        there = (codes >= 0).unsqueeze(2)
        known = codes.clamp(min=0)
        parts = [
            table(known[:, number]) * there[:, number] for number, table in enumerate(self.tables)
        ]
        return torch.stack(parts).sum(dim=0)


class PreferenceTransformer(nn.Module):
    """Tokens -> transformer encoder -> rating, with a linear path beside it.

    The linear path (picture + metadata + the user's bias) carries what is additive, so that the
    encoder may stay small and strongly regularised. Where there are several datasets it has a part
    of each dataset's own beside the shared one, so that opposite tastes need not cancel.
    """

    def __init__(self, size: Size, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.image = nn.Linear(size.image, width) if size.image else None
        self.prompt = nn.Linear(size.prompt, width) if size.prompt else None
        self.user = nn.Embedding(size.users + 1, width)  # row 0: the unknown user
        self.demographics = CategorySum(size.demographics, width) if size.demographics else None
        self.metadata = CategorySum(size.metadata, width)
        self.readout = nn.Parameter(torch.zeros(width))
        layer = nn.TransformerEncoderLayer(
            width,
            shape.heads,
            dim_feedforward=2 * width,
            dropout=shape.dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        # dropout on the residual branches only: drawing it inside attention and the feed-forward
        # as well costs a third of the time on a CPU
        layer.self_attn.dropout = 0.0
        layer.dropout = nn.Dropout(0.0)
        self.encoder = nn.TransformerEncoder(
            layer, shape.layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, 1)
        self.linear = nn.Linear(size.image + size.prompt, 1)
        self.metadata_bias = CategorySum(size.metadata, 1)
        self.user_bias = nn.Embedding(size.users + 1, 1)
        self.dropout = nn.Dropout(shape.dropout)
        nn.init.normal_(self.user.weight, std=0.1)
        for zero in (self.linear.weight, self.linear.bias, self.user_bias.weight):
            nn.init.zeros_(zero)
        for table in self.metadata_bias.tables:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.own_linear: nn.Embedding | None = None
        if size.datasets > 1:
            self.own_linear = nn.Embedding(size.datasets + 1, size.image + size.prompt)
            nn.init.zeros_(self.own_linear.weight)

    def forward(
        self, image: Tensor, prompt: Tensor, metadata: Tensor, user: Tensor, demographics: Tensor
    ) -> Tensor:
        """Return standardised ratings (n,).

        Parameters
        ----------
        image, prompt : float (n, d), (n, p), components over the spread of the first.
        metadata, demographics : int (n, columns), 0 = unknown, -1 = the dataset has no such column.
        user : int (n,), 0 = unknown.
        """
        tokens = [self.readout.expand(len(user), -1), self.user(user), self.metadata(metadata)]
        if self.image is not None:
            tokens.append(self.image(self.dropout(image)))
        if self.prompt is not None:
            tokens.append(self.prompt(self.dropout(prompt)))
        if self.demographics is not None:
            tokens.append(self.demographics(demographics))
        encoded = self._read_out(torch.stack(tokens, dim=1))
        features = torch.cat([image, prompt], dim=1)
        additive = self.linear(features) + self.metadata_bias(metadata)
        if self.own_linear is not None:
            own = self.own_linear(metadata[:, 0])
            additive = additive + (own * features).sum(dim=1, keepdim=True)
        rating: Tensor = self.head(encoded) + additive + self.user_bias(user)
        return rating.squeeze(1)

    def _read_out(self, tokens: Tensor) -> Tensor:
        """Encode tokens (n, t, width) and return the first one (n, width), which is read."""
        *before, last = self.encoder.layers
        for layer in before:
            tokens = layer(tokens)
        encoded: Tensor = self.encoder.norm(first_token(last, tokens))  # type: ignore[misc]
        return encoded


def first_token(layer: nn.TransformerEncoderLayer, tokens: Tensor) -> Tensor:
    """Return the first token (n, width) of ``layer(tokens)``, without working out the others.

    Parameters
    ----------
    layer : with the norms first, and without dropout but on its residual branches.
    tokens : float (n, t, width).
    """
    n, _, width = tokens.shape
    attention = layer.self_attn
    heads, size = attention.num_heads, attention.head_dim
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    normed = layer.norm1(tokens)
    query = nn.functional.linear(normed[:, 0], weight[:width], bias[:width])
    both = nn.functional.linear(normed, weight[width:], bias[width:])
    key, value = both.view(n, -1, 2, heads, size).unbind(dim=2)
    # products and sums: for one query and a few tokens, attention's own kernels take longer
    score = (key * query.view(n, 1, heads, size)).sum(dim=3) / math.sqrt(size)
    seen = (score.softmax(dim=1).unsqueeze(3) * value).sum(dim=1).view(n, width)
    first = tokens[:, 0] + layer.dropout1(attention.out_proj(seen))
    inner = layer.linear2(layer.activation(layer.linear1(layer.norm2(first))))
    encoded: Tensor = first + layer.dropout2(inner)
    return encoded
