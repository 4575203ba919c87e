"""Training of the embedded encoder: CLIP loss and auxiliary heads on the renderer's labels.

Contrast alone learns global colour, which is enough to tell the pictures of a batch apart; the
answers ask for what was drawn. The trunk's own answers are kept in its features; linear heads on
the features (subject) and on the text (what it says) are thrown away after training.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from open_clip import ClipLoss
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from pamela.features.encoders.embedded_clip import labels
from pamela.features.encoders.embedded_clip.encoder import normalise_pixels
from pamela.features.encoders.embedded_clip.tokenizer import WordTokenizer
from pamela.features.encoders.embedded_clip.training_data import Pool
from pamela.synthetic.vocabulary import ATTRIBUTES

SHIFT = 4  # pixels
LARGEST_LOGIT_SCALE = math.log(100)
WARM_UP = 0.05  # share of the steps
TEXT_SHARE = 0.4  # of the auxiliary losses of the text, next to 1 for those of the picture


@dataclass(frozen=True)
class Recipe:
    """How the encoder is trained; written into the card."""

    seed: int
    pool: int  # pictures
    pairs: int  # pictures seen in all, at most
    minutes: float  # of training, at most: the learning rate falls as either limit comes near
    batch_size: int
    learning_rate: float
    weight_decay: float
    attribute_weight: float  # of the auxiliary losses, next to 1 for the CLIP loss
    class_weight: float


@dataclass(frozen=True)
class CaptionBatch:
    """One batch on the CPU: uint8 pictures, ids of one caption each, labels."""

    pictures: Tensor
    ids: Tensor
    attributes: Tensor
    classes: Tensor


class PoolBatches(IterableDataset[CaptionBatch]):
    """Endless shuffled batches of a pool, gathered from memory."""

    def __init__(self, pool: Pool, tokenizer: WordTokenizer, recipe: Recipe) -> None:
        self.pictures = torch.from_numpy(pool.pictures)
        n, captions = pool.captions.shape
        self.ids = tokenizer(pool.captions.ravel().tolist()).reshape(n, captions, -1)
        self.attributes = torch.from_numpy(pool.attributes)
        coded = [labels.codes(kind, getattr(pool, kind)) for kind in labels.KINDS]
        self.classes = torch.from_numpy(np.stack(coded, 1))
        self.recipe = recipe

    def __iter__(self) -> Iterator[CaptionBatch]:
        rng = torch.Generator().manual_seed(self.recipe.seed)
        size = self.recipe.batch_size
        while True:
            order = torch.randperm(len(self.pictures), generator=rng)
            for rows in order.split(size):
                if len(rows) < size:
                    continue
                caption = torch.randint(self.ids.shape[1], (size,), generator=rng)
                yield CaptionBatch(
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
    model : as `pamela.features.encoders.embedded_clip.encoder` loads it.
    mean, std : of pixels in 0..1, per channel.
    """

    def __init__(
        self,
        model: Any,
        recipe: Recipe,
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
        self.image_subject = nn.Linear(image_dim, len(labels.KINDS["subject"]))
        self.text_attributes = nn.Linear(text_dim, len(ATTRIBUTES))
        self.text_classes = nn.ModuleList(
            nn.Linear(text_dim, len(names)) for names in labels.KINDS.values()
        )
        self.register_buffer("mean", torch.tensor(mean) * 255)
        self.register_buffer("std", torch.tensor(std) * 255)
        self._start = time.monotonic()

    def transfer_batch_to_device(
        self, batch: CaptionBatch, device: torch.device, dataloader_idx: int
    ) -> CaptionBatch:
        """Move a batch (Lightning does not know the class)."""
        moved = [
            getattr(batch, name).to(device) for name in ("pictures", "ids", "attributes", "classes")
        ]
        return CaptionBatch(*moved)

    def training_step(self, batch: CaptionBatch, batch_idx: int) -> Tensor:
        """Return the weighted sum of the CLIP loss and the auxiliary losses."""
        pixels = normalise_pixels(batch.pictures, self.mean, self.std)
        # Convolutions gain from bfloat16 where the processor has it; attention loses.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=halves()):
            features, answers = self.model.visual.trunk.read(pixels)
        text = self.model.encode_text(batch.ids)
        clip = self.loss(
            nn.functional.normalize(self.model.visual.head(features), dim=-1),
            nn.functional.normalize(text, dim=-1),
            self.model.logit_scale.clamp(max=LARGEST_LOGIT_SCALE).exp(),
        )
        attributes = masked_mse(answers[:, : len(ATTRIBUTES)], batch.attributes)
        image_logits = {kind: answers[:, part] for kind, part in labels.answer_slices().items()}
        image_logits["subject"] = self.image_subject(features)
        classes = _cross_entropy([image_logits[kind] for kind in labels.KINDS], batch.classes)
        said = masked_mse(self.text_attributes(text), batch.attributes)
        text_loss = _cross_entropy([head(text) for head in self.text_classes], batch.classes)
        self.log_dict({"clip": clip, "attributes": attributes, "classes": classes}, prog_bar=True)
        weights = self.recipe
        total: Tensor = (
            clip
            + weights.attribute_weight * (attributes + TEXT_SHARE * said)
            + weights.class_weight * (classes + TEXT_SHARE * text_loss)
        )
        return total

    def configure_optimizers(self) -> Any:
        """AdamW, weight decay on matrices only, warm-up then cosine to zero."""
        self._start = time.monotonic()
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
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_at(self.progress(step))
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def progress(self, step: int) -> float:
        """Return how much of the pairs or of the time has gone by `step`, whichever is more."""
        by_pairs = step * self.recipe.batch_size / self.recipe.pairs
        return max(by_pairs, (time.monotonic() - self._start) / (60 * self.recipe.minutes))


def rate_at(progress: float) -> float:
    """Return the factor on the learning rate at a share (0 to 1) of the training."""
    if progress < WARM_UP:
        return 0.04 + 0.96 * progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP))))


def halves() -> bool:
    """Tell whether bfloat16 makes convolutions faster here."""
    return torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()


def masked_mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean over columns of the squared error of the entries that are not NaN."""
    known = ~target.isnan()
    error = (predicted - target.nan_to_num()).square() * known
    per_column = error.sum(0) / known.sum(0).clamp_min(1)
    return per_column.mean()


def _cross_entropy(logits: list[Tensor], classes: Tensor) -> Tensor:
    """Return the mean cross entropy of several kinds of classes, a column of `classes` each."""
    losses = [
        nn.functional.cross_entropy(values, classes[:, column])
        for column, values in enumerate(logits)
    ]
    return torch.stack(losses).mean()
