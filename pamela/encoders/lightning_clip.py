"""Training of the embedded encoder: CLIP loss and auxiliary heads on the renderer's labels.

Contrast alone learns global colour, which is enough to tell the pictures of a batch apart; the
heads ask for what was drawn. They are linear, so that the features hold the labels linearly, and
are thrown away after training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from open_clip import ClipLoss
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from pamela.encoders.embedded import normalise_pixels
from pamela.encoders.tokenizer import WordTokenizer
from pamela.encoders.training_pool import Pool

SHIFT = 4  # pixels
LARGEST_LOGIT_SCALE = math.log(100)
WARM_UP = 0.05  # share of the steps


@dataclass(frozen=True)
class Recipe:
    """How the encoder is trained; written into the card."""

    seed: int
    pool: int  # pictures
    pairs: int  # pictures seen in all
    batch_size: int
    learning_rate: float
    weight_decay: float
    attribute_weight: float  # of the auxiliary losses, next to 1 for the CLIP loss
    class_weight: float


@dataclass(frozen=True)
class Batch:
    """One batch on the CPU: uint8 pictures, ids of one caption each, labels."""

    pictures: Tensor
    ids: Tensor
    attributes: Tensor
    classes: Tensor


class PoolBatches(IterableDataset[Batch]):
    """Endless shuffled batches of a pool, gathered from memory."""

    def __init__(self, pool: Pool, tokenizer: WordTokenizer, recipe: Recipe) -> None:
        self.pictures = torch.from_numpy(pool.pictures)
        n, captions = pool.captions.shape
        self.ids = tokenizer(pool.captions.ravel().tolist()).reshape(n, captions, -1)
        self.attributes = torch.from_numpy(pool.attributes)
        labels = [pool.type_group, pool.style, pool.subject, pool.lighting]
        coded = [np.unique(values, return_inverse=True) for values in labels]
        self.class_sizes = [len(names) for names, _ in coded]
        self.classes = torch.from_numpy(np.stack([codes for _, codes in coded], 1))
        self.recipe = recipe

    def __iter__(self) -> Iterator[Batch]:
        rng = torch.Generator().manual_seed(self.recipe.seed)
        size = self.recipe.batch_size
        while True:
            order = torch.randperm(len(self.pictures), generator=rng)
            for rows in order.split(size):
                if len(rows) < size:
                    continue
                caption = torch.randint(self.ids.shape[1], (size,), generator=rng)
                yield Batch(
                    _augmented(self.pictures[rows], rng),
                    self.ids[rows, caption],
                    self.attributes[rows],
                    self.classes[rows],
                )


def _augmented(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Mirror half of a batch, and shift it by up to SHIFT pixels, edges repeated.

    No label knows left from right, and a few pixels move no composition.
    """
    side = pictures.shape[1]
    mirrored = torch.rand(len(pictures), generator=rng) < 0.5
    pictures = torch.where(mirrored[:, None, None, None], pictures.flip(2), pictures)
    dy, dx = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=rng).tolist()
    rows = (torch.arange(side) + dy).clamp(0, side - 1)
    columns = (torch.arange(side) + dx).clamp(0, side - 1)
    return pictures[:, rows][:, :, columns]


class ClipTraining(L.LightningModule):
    """An open_clip model and its auxiliary heads.

    Parameters
    ----------
    model : as `pamela.encoders.embedded` loads it.
    class_sizes : number of classes of every classification head.
    mean, std : of pixels in 0..1, per channel.
    """

    def __init__(
        self,
        model: Any,
        recipe: Recipe,
        n_attributes: int,
        class_sizes: list[int],
        mean: list[float],
        std: list[float],
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.model = model
        self.recipe = recipe
        self.loss = ClipLoss()
        image_dim = model.visual.trunk.num_features
        text_dim = model.text.output_dim
        self.image_attributes = nn.Linear(image_dim, n_attributes)
        self.image_classes = nn.ModuleList(nn.Linear(image_dim, n) for n in class_sizes)
        self.text_classes = nn.ModuleList(nn.Linear(text_dim, n) for n in class_sizes)
        self.register_buffer("mean", torch.tensor(mean) * 255)
        self.register_buffer("std", torch.tensor(std) * 255)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch (Lightning does not know the class)."""
        moved = [
            getattr(batch, name).to(device) for name in ("pictures", "ids", "attributes", "classes")
        ]
        return Batch(*moved)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted sum of the CLIP loss and the auxiliary losses."""
        pixels = normalise_pixels(batch.pictures, self.mean, self.std)
        features = self.model.visual.trunk(pixels)
        text = self.model.encode_text(batch.ids)
        clip = self.loss(
            nn.functional.normalize(self.model.visual.head(features), dim=-1),
            nn.functional.normalize(text, dim=-1),
            self.model.logit_scale.clamp(max=LARGEST_LOGIT_SCALE).exp(),
        )
        attributes = masked_mse(self.image_attributes(features), batch.attributes)
        classes = (
            _cross_entropies(self.image_classes, features, batch.classes)
            + _cross_entropies(self.text_classes, text, batch.classes)
        ) / (2 * len(self.image_classes))
        self.log_dict({"clip": clip, "attributes": attributes, "classes": classes}, prog_bar=True)
        weights = self.recipe
        total: Tensor = (
            clip + weights.attribute_weight * attributes + weights.class_weight * classes
        )
        return total

    def configure_optimizers(self) -> Any:
        """AdamW, weight decay on matrices only, warm-up then cosine to zero."""
        matrices = [p for p in self.parameters() if p.requires_grad and p.ndim >= 2]
        others = [p for p in self.parameters() if p.requires_grad and p.ndim < 2]
        optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": self.recipe.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.recipe.learning_rate,
            betas=(0.9, 0.98),
        )
        steps = self.recipe.pairs // self.recipe.batch_size
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.recipe.learning_rate,
            total_steps=steps + 1,
            pct_start=WARM_UP,
            cycle_momentum=False,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def masked_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean over columns of the squared error of the entries that are not NaN."""
    known = ~target.isnan()
    error = (predicted - target.nan_to_num()).square() * known
    per_column = error.sum(0) / known.sum(0).clamp_min(1)
    return per_column.mean()


def _cross_entropies(heads: nn.ModuleList, features: Tensor, classes: Tensor) -> Tensor:
    losses = [
        nn.functional.cross_entropy(head(features), classes[:, column])
        for column, head in enumerate(heads)
    ]
    return torch.stack(losses).sum()
