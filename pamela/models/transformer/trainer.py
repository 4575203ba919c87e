"""Lightning training of a rating network on tensors held in memory.

Batches are slices of a permuted index, so that nothing is collated row by row. Every epoch draws
its permutation and its dropout from (seed, epoch), so that a run interrupted between two epochs
and resumed from its checkpoint ends with the same weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn

from pamela.core.arrays import Floats32
from pamela.core.dataset import Pairs
from pamela.models.base import LEAST_GAIN
from pamela.models.dataset_weights import mean_correlation
from pamela.models.lightning_callbacks import (
    QUIET,
    KeepBest,
    Listener,
    Report,
    copied,
    quiet_lightning,
)
from pamela.models.preprocessing import Datasets
from pamela.models.transformer.batches import (
    EVAL_BATCH,
    FeatureTables,
    OptimiserConfig,
    Shard,
    SlicedBatches,
)
from pamela.models.transformer.network import PreferenceTransformer

CHECKPOINT = "last"
WARM_UP_SHARE = 0.1
GRADIENT_NORM = 1.0


class RatingModule(L.LightningModule):
    """Squared error on standardised ratings; validation by error and within-user correlation.

    Parameters
    ----------
    datasets : where the rows are of several: validation is then the mean over them.
    """

    def __init__(
        self,
        network: PreferenceTransformer,
        tables: FeatureTables,
        regime: OptimiserConfig,
        validation: Pairs,
        steps: int,
        seed: int,
        datasets: Datasets | None = None,
    ) -> None:
        super().__init__()
        self.network, self.regime, self.steps, self.seed = network, regime, steps, seed
        self.tables, self.validation, self.datasets = tables, validation, datasets
        self._losses: list[Tensor] = []
        self._scores: list[Tensor] = []
        self.curve: list[dict[str, float]] = []

    def forward(self, user: Tensor, item: Tensor, known: Tensor | None = None) -> Tensor:
        """Return the standardised rating of each (user row, item row)."""
        tables = self.tables
        who = tables.user[user] if known is None else tables.user[user] * known
        rating: Tensor = self.network(
            tables.image[item],
            tables.prompt[item],
            tables.metadata[item],
            who,
            tables.demographics[user],
        )
        return rating

    def on_fit_start(self) -> None:
        """Move the tables to where the network is."""
        self.tables = self.tables.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Draw this epoch's dropout and masks from (seed, epoch), other ones in each process."""
        torch.manual_seed(
            self.seed + 104729 * (self.current_epoch + 1) + 15485863 * self.global_rank
        )
        self._losses.clear()

    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        """Return the mean squared error of a batch, some users masked, rows weighed if they are."""
        user, item, target, *weight = batch
        known = (torch.rand(user.shape, device=user.device) >= self.regime.unknown_user).long()
        rating = self(user, item, known)
        if weight:
            loss = torch.mean(weight[0] * (rating - target) ** 2)
        else:
            loss = nn.functional.mse_loss(rating, target)
        self._losses.append(loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's scores."""
        self._scores.clear()

    def validation_step(self, batch: tuple[Tensor, ...], _: int) -> None:
        """Collect scores."""
        self._scores.append(self(batch[0], batch[1]).detach())

    def on_validation_epoch_end(self) -> None:
        """Log error and within-user correlation over the whole validation set."""
        score = torch.cat(self._scores).double().cpu().numpy()
        correlation = mean_correlation(self.validation, score, self.datasets)
        loss = float(np.mean((score - self.validation.rating) ** 2))
        # every process scores the whole validation set; equal values keep their decisions equal
        value = torch.tensor(correlation, dtype=torch.float64)
        self.log("val_correlation", value, sync_dist=True)
        train = float("nan")
        if self._losses:
            mean = torch.stack(self._losses).mean()
            train = float(self.trainer.strategy.reduce(mean, reduce_op="mean"))
        self.curve.append(
            {
                "step": self.current_epoch + 1,
                "train_loss": train,
                "val_loss": loss,
                "val_correlation": correlation,
            }
        )

    def on_train_epoch_end(self) -> None:
        """Keep the loss of an epoch that no validation follows."""
        if self.regime.stop_after is not None:
            mean = torch.stack(self._losses).mean()
            train = float(self.trainer.strategy.reduce(mean, reduce_op="mean"))
            self.curve.append({"step": self.current_epoch + 1, "train_loss": train})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curve with the weights."""
        checkpoint["curve"] = list(self.curve)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the curve up again."""
        self.curve = list(checkpoint["curve"])

    def configure_optimizers(self) -> Any:
        """Return AdamW (no decay on one-dimensional parameters and biases) and its schedule."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.regime.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=self.regime.learning_rate,
            fused=True,  # one kernel for all parameters, not several for each
        )
        warm = max(1, int(WARM_UP_SHARE * self.steps))

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            done = min((step - warm) / max(self.steps - warm, 1), 1.0)
            return 0.5 * (1 + math.cos(math.pi * done))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@dataclass(frozen=True)
class TrainingJob:
    """One training run.

    Attributes
    ----------
    train, validation : pairs whose ratings are already standardised; validation is not read where
        the regime says after how many epochs to stop.
    device : ``auto``, ``cpu`` or ``gpu``.
    workdir : keeps a checkpoint per epoch; a run that finds one there goes on from it.
    datasets : where the rows are of several.
    row_weight : float32 array (training rows,), factors of the loss; None: all alike.
    """

    network: PreferenceTransformer
    tables: FeatureTables
    train: Pairs
    validation: Pairs
    regime: OptimiserConfig
    seed: int
    device: str
    workdir: Path | None = None
    datasets: Datasets | None = None
    row_weight: Floats32 | None = None


@dataclass(frozen=True)
class Trained:
    """The weights of the best epoch (of the last one without validation), and the curve."""

    weights: dict[str, Tensor]
    curve: list[dict[str, float]]


def train_in_process(
    job: TrainingJob,
    on_epoch_end: Listener | None = None,
    *,
    shard: Shard | None = None,
    nodes: int = 1,
    strategy: Strategy | None = None,
) -> Trained:
    """Train in this process, alone or as one of several.

    Parameters
    ----------
    shard, strategy : this process's part, and how the processes exchange gradients.
    nodes : machines that the processes are on, equally many on each.
    """
    regime, seed = job.regime, job.seed
    columns = _columns(job.train)
    if job.row_weight is not None:
        columns = (*columns, torch.from_numpy(job.row_weight))
    elif shard is not None:
        columns = (*columns, torch.ones(len(job.train)))
    batches = SlicedBatches(columns, regime.batch_size, seed=seed, epoch=lambda: 0, shard=shard)
    steps = len(batches) * regime.epochs
    module = RatingModule(
        job.network, job.tables, regime, job.validation, steps, seed, datasets=job.datasets
    )
    validates = regime.stop_after is None
    keep = KeepBest()
    callbacks: list[Callback] = []
    if validates:
        callbacks = [
            keep,
            EarlyStopping(
                "val_correlation", mode="max", patience=regime.patience, min_delta=LEAST_GAIN
            ),
        ]
        if on_epoch_end is not None:
            callbacks.append(Report(on_epoch_end))
    workdir = job.workdir
    if workdir is not None:
        latest = ModelCheckpoint(workdir, CHECKPOINT, save_top_k=1, enable_version_counter=False)
        callbacks.append(latest)
    checkpoint = workdir / f"{CHECKPOINT}.ckpt" if workdir is not None else None
    with quiet_lightning():
        trainer = L.Trainer(
            accelerator=job.device,
            devices=shard.world // nodes if shard is not None else 1,
            num_nodes=nodes,
            strategy=strategy if strategy is not None else "auto",
            use_distributed_sampler=False,  # batches are cut by `Shard`
            max_epochs=regime.epochs if validates else regime.stop_after,
            callbacks=callbacks,
            enable_checkpointing=workdir is not None,
            num_sanity_val_steps=0,
            gradient_clip_val=GRADIENT_NORM,
            **QUIET,
        )
        batches.epoch = lambda: trainer.current_epoch
        trainer.fit(
            module,
            batches,
            SlicedBatches(_columns(job.validation), EVAL_BATCH) if validates else None,
            ckpt_path=checkpoint if checkpoint is not None and checkpoint.is_file() else None,
            weights_only=True,  # a checkpoint is a pickle: nothing in it but tensors and numbers
        )
    return Trained(keep.weights if validates else copied(job.network), module.curve)


def _columns(pairs: Pairs) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(column) for column in (pairs.user, pairs.item, pairs.rating))
