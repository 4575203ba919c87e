"""The network of `paper`: tokens for picture, prompt, user, demographics and metadata.

After the description of the paper's predictor: frozen features, a user embedding with an unknown
user, embedded demographics and metadata, a shallow transformer encoder, one rating. Widths, depth
and regularisation are not published; they are chosen by cross-validation
(`pamela.models.transformer.model`).
"""

from __future__ import annotations

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
        encoded = self.encoder(torch.stack(tokens, dim=1))[:, 0]
        features = torch.cat([image, prompt], dim=1)
        additive = self.linear(features) + self.metadata_bias(metadata)
        if self.own_linear is not None:
            own = self.own_linear(metadata[:, 0])
            additive = additive + (own * features).sum(dim=1, keepdim=True)
        rating: Tensor = self.head(encoded) + additive + self.user_bias(user)
        return rating.squeeze(1)
