"""What Lightning calls after every epoch, and quiet around it."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from pamela.core import timeline
from pamela.models.base import LEAST_GAIN

# of every Trainer here: nothing is drawn, logged or kept but by our own callbacks
QUIET: Final[dict[str, Any]] = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "deterministic": "warn",
}
Listener = Callable[[int, float], None]  # epoch, validation correlation


def copied(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's weights, on the CPU."""
    return {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}


class KeepBest(Callback):
    """Remember the weights of the epoch with the best validation correlation.

    Lightning's `ModelCheckpoint` knows no least gain, and would write every better epoch of every
    short run of a search to disk, the optimiser's state with it.
    """

    def __init__(self) -> None:
        self.best = -math.inf
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Copy the weights if this epoch is better."""
        value = float(trainer.callback_metrics["val_correlation"])
        if value > self.best + LEAST_GAIN or not self.weights:
            self.best = value
            network: nn.Module = module.network  # type: ignore[assignment]
            self.weights = copied(network)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self.best, self.weights = state_dict["best"], state_dict["weights"]


class Report(Callback):
    """Tell a listener after every epoch, and record the epoch's curve as it comes."""

    def __init__(self, on_epoch_end: Listener) -> None:
        self.on_epoch_end = on_epoch_end

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Report the epoch that just ended and its validation correlation."""
        value = float(trainer.callback_metrics["val_correlation"])
        curve: list[dict[str, float]] = getattr(module, "curve", [])
        if curve and trainer.is_global_zero:
            point = dict(curve[-1])
            timeline.record_metrics(int(point.pop("step")), point)
        self.on_epoch_end(trainer.current_epoch + 1, value)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's banners and the few warnings that do not concern us."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    deterministic = torch.are_deterministic_algorithms_enabled()
    # where algorithms are deterministic torch also writes NaN into all memory that it allocates
    switches: Any = torch.utils.deterministic
    filled = switches.fill_uninitialized_memory
    switches.fill_uninitialized_memory = False
    with warnings.catch_warnings():
        for harmless in (
            ".*does not have many workers.*",  # batches are slices: workers would only cost
            ".*Checkpoint directory .* exists and is not empty.*",
            ".*no `val_dataloader`.*",
            ".*GPU available but not used.*",
            ".*Detected call of `lr_scheduler.step\\(\\)` before `optimizer.step\\(\\)`.*",
            ".*loaded checkpoint was produced.*mid-epoch.*",
            ".*number of training batches .* is smaller than the logging interval.*",
            ".*isinstance\\(treespec, LeafSpec\\).*",
        ):
            warnings.filterwarnings("ignore", message=harmless)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            torch.use_deterministic_algorithms(deterministic)
            switches.fill_uninitialized_memory = filled
