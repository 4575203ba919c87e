"""Learning columns of taste by gradient, for how they will be used: `learn_taste`.

A training step is an episode: some people, a few ratings of each to go by, others to predict. With
the columns of the moment a person's weights given the few ratings are a Gaussian posterior in
closed form, and the error on the other ratings goes back through it into the network (Harrison et
al. 2018, ALPaCA; Bertinetto et al. 2019). So the columns are good for people with few ratings.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from pamela.core.arrays import Floats, Ints
from pamela.models.hierarchical.features.learned_features import INPUT_SCALE, LearnedTaste
from pamela.models.lightning_callbacks import QUIET, quiet_lightning

HIDDEN = 256
STEPS = 1000
WEIGHT_DECAY = 0.3
WARM_UP_SHARE = 0.1
GRADIENT_NORM = 1.0
PEOPLE = 24  # in an episode
SHOTS: tuple[int, ...] = (5, 10, 20, 40, 80)
ASKED = 20
FEWEST_RATINGS = 8  # a person with fewer teaches nothing here
NOISE = 0.65  # of one rating, residuals having variance one; columns' own scale makes up for it
LEVEL = 0.5  # the column of how high a person rates on the whole; prior variance of weights is one


class MetaLearningConfig(NamedTuple):
    """How freely a network may learn: dropout on its input and within, and how fast."""

    input_dropout: float
    hidden_dropout: float
    learning_rate: float


REGIMES = {
    "firm": MetaLearningConfig(0.7, 0.7, 5e-4),  # which directions tell people apart
    "free": MetaLearningConfig(0.0, 0.5, 1e-3),  # tastes for what no direction holds
}
Episode = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class TasteNetwork(nn.Module):
    """A linear map beside one hidden layer; columns in (n, d), columns out (n, k)."""

    def __init__(self, size: int, columns: int, regime: MetaLearningConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(size, columns, bias=False)
        self.first = nn.Linear(size, HIDDEN)
        self.second = nn.Linear(HIDDEN, columns, bias=False)
        self.before, self.within = (
            nn.Dropout(regime.input_dropout),
            nn.Dropout(regime.hidden_dropout),
        )

    def forward(self, columns: Tensor) -> Tensor:
        """Return the learned columns."""
        hidden = nn.functional.gelu(self.first(self.before(columns)))
        out: Tensor = self.linear(columns) + self.second(self.within(hidden))
        return out


class Episodes:
    """Iterable of `STEPS` episodes, drawn anew from `seed` at every iteration.

    Parameters
    ----------
    user, item : int64 arrays (rows,); users sorted.
    residual : float32 array (rows,), of variance about one.
    """

    def __init__(self, user: Ints, item: Ints, residual: Floats, seed: int) -> None:
        self.item, self.residual, self.seed = item, residual.astype(np.float32), seed
        bounds = np.flatnonzero(np.diff(user, prepend=-1, append=-1))
        spans = [np.arange(a, b) for a, b in pairwise(bounds)]
        self.rows = [span for span in spans if len(span) >= FEWEST_RATINGS]

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[Episode]:
        rng = np.random.default_rng([self.seed, 41])
        for _ in range(STEPS):
            shots = int(rng.choice(SHOTS))
            people = rng.choice(len(self.rows), min(PEOPLE, len(self.rows)), replace=False)
            shown, asked = [], []
            for person in people:
                rows = rng.permutation(self.rows[person])
                few = min(shots, max(len(rows) - ASKED, len(rows) // 2))
                shown.append(rows[:few])
                asked.append(rows[few : few + ASKED])
            yield self._laid_out(shown, asked)

    def _laid_out(self, shown: list[Ints], asked: list[Ints]) -> Episode:
        used = np.unique(self.item[np.concatenate(shown + asked)])
        return (torch.from_numpy(used), *self._padded(shown, used), *self._padded(asked, used))

    def _padded(self, rows: list[Ints], used: Ints) -> tuple[Tensor, Tensor, Tensor]:
        """Return, each (people, most rows): places in `used`, residuals, and 1 for real rows."""
        count = np.array([len(one) for one in rows])
        real = np.arange(count.max())[None, :] < count[:, None]
        flat = np.concatenate(rows)
        place, residual = np.zeros(real.shape, np.int64), np.zeros(real.shape, np.float32)
        place[real], residual[real] = np.searchsorted(used, self.item[flat]), self.residual[flat]
        return (
            torch.from_numpy(place),
            torch.from_numpy(residual),
            torch.from_numpy(real.astype(np.float32)),
        )


class EpisodeModule(L.LightningModule):
    """Squared error of the posterior's expectation on the ratings that it was not given.

    Parameters
    ----------
    columns : float32 tensor (pictures, d), the network's input.
    """

    columns: Tensor

    def __init__(self, network: TasteNetwork, columns: Tensor, learning_rate: float) -> None:
        super().__init__()
        self.network, self.learning_rate = network, learning_rate
        self.register_buffer("columns", columns, persistent=False)

    def training_step(self, batch: Episode, _: int) -> Tensor:
        """Return the mean squared error over the asked ratings of an episode."""
        used, shown, given, is_given, asked, target, is_asked = batch
        found = self.network(self.columns[used])
        found = torch.cat([found, found.new_full((len(found), 1), LEVEL)], dim=1)
        known = found[shown] * is_given[..., None]
        among = known @ known.mT + NOISE * torch.eye(known.shape[1], device=known.device)
        weights = torch.linalg.solve(among, (given * is_given)[..., None])
        expected = (found[asked] @ (known.mT @ weights))[..., 0]
        loss: Tensor = ((target - expected) ** 2 * is_asked).sum() / is_asked.sum()
        return loss

    def configure_optimizers(self) -> Any:
        """Return AdamW and one cycle of its learning rate."""
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=self.learning_rate, weight_decay=WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=STEPS, pct_start=WARM_UP_SHARE
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def learn_taste(
    columns: Floats,
    user: Ints,
    item: Ints,
    residual: Floats,
    *,
    count: int,
    regime: MetaLearningConfig,
    seed: int,
    device: str,
) -> LearnedTaste | None:
    """Learn `count` columns of taste.

    Parameters
    ----------
    columns : array (pictures, d), what is known of each.
    user, item : int64 arrays (rows,), users sorted.
    residual : array (rows,), ratings less what all raters think of the picture.
    device : ``auto``, ``cpu`` or ``gpu``; one, as the network is small.

    Returns
    -------
    None where nobody has ratings enough.
    """
    spread = max(float(np.std(residual)), 1e-6)
    episodes = Episodes(user, item, residual / spread, seed)
    if not episodes.rows:
        return None
    torch.manual_seed(seed)
    network = TasteNetwork(columns.shape[1], count, regime)
    table = torch.from_numpy((INPUT_SCALE * columns).astype(np.float32))
    with quiet_lightning():
        trainer = L.Trainer(
            accelerator=device,
            devices=1,
            max_steps=STEPS,
            enable_checkpointing=False,
            gradient_clip_val=GRADIENT_NORM,
            **QUIET,
        )
        trainer.fit(EpisodeModule(network, table, regime.learning_rate), episodes)
    return _in_numpy(network.cpu().eval()).scaled(columns)


def _in_numpy(network: TasteNetwork) -> LearnedTaste:
    linear, first, second = (
        np.ascontiguousarray(layer.weight.detach().numpy().T, np.float32)
        for layer in (network.linear, network.first, network.second)
    )
    bias = network.first.bias.detach().numpy().astype(np.float32)
    k = linear.shape[1]
    return LearnedTaste(
        linear, first, bias, second, np.zeros(k, np.float32), np.ones(1, np.float32)
    )
