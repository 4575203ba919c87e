"""The transformer's numbers: gradients against finite differences, and a golden training curve.

``python -m tests.unit.models.transformer.test_golden_curve`` writes the golden curve anew: only
after a change that is meant to change it, with the reason in the commit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.models.preprocessing import canonical
from pamela.models.transformer import trainer
from pamela.models.transformer.batches import FeatureTables, OptimiserConfig
from pamela.models.transformer.ddp import train_network
from pamela.models.transformer.inputs import InputEncoding
from pamela.models.transformer.network import PreferenceTransformer, Shape, Size
from pamela.models.transformer.trainer import RatingModule, TrainingJob
from pamela.params import ALL_INPUTS
from tests.helpers.planted import make_world

GOLDEN = Path(__file__).with_name("golden") / "paper_curve.json"
STEPS = 50
FOLD = make_world(seed=8, own=0.6, seen=20, train_items=50, test_items=10).fold


# --- gradients ------------------------------------------------------------------------------------


def small_module(datasets: int) -> RatingModule:
    torch.manual_seed(1)
    size = Size(3, 2, 4, (2,), (datasets, 2))
    network = PreferenceTransformer(size, Shape(4, 1, 2, 0.0)).double()
    with torch.no_grad():  # the readout and several paths begin at zero: their slopes are to count
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    tables = FeatureTables(
        torch.randn(6, 3, dtype=torch.float64),
        torch.randn(6, 2, dtype=torch.float64),
        torch.tensor([[k % (datasets + 1), k % 3] for k in range(6)]),
        torch.arange(5),
        torch.tensor([[-1], [0], [1], [2], [1]]),
    )
    regime = OptimiserConfig(1, 8, 1e-3, 0.0, 0.0, 1)
    return RatingModule(network, tables, regime, Pairs.empty(), 1, 0)


@pytest.mark.parametrize(("datasets", "weighed"), [(1, False), (2, True)])
def test_the_loss_has_the_gradient_of_its_finite_differences(datasets: int, weighed: bool) -> None:
    module = small_module(datasets)
    parameters = dict(module.network.named_parameters())
    batch: list[torch.Tensor] = [
        torch.tensor([0, 1, 2, 3, 4]),
        torch.tensor([5, 0, 1, 2, 3]),
        torch.tensor([0.5, -1.0, 0.2, 1.5, -0.3], dtype=torch.float64),
    ]
    if weighed:
        batch.append(torch.tensor([0.5, 2.0, 0.0, 1.0, 1.5], dtype=torch.float64))
    names = list(parameters)

    def loss(*values: torch.Tensor) -> torch.Tensor:
        swapped = dict(zip(names, values, strict=True))
        network = module.network

        def call(*inputs: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(network, swapped, inputs)

        module._modules["network"] = None
        object.__setattr__(module, "network", call)
        try:
            return module.training_step(tuple(batch), 0)
        finally:
            object.__delattr__(module, "network")
            module._modules["network"] = network

    inputs = tuple(parameter.detach().clone().requires_grad_() for parameter in parameters.values())
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-6, rtol=1e-4)


def test_every_parameter_gets_a_gradient() -> None:
    """DDP waits for all of them; one without would also never learn."""
    module = small_module(2)
    batch = (torch.arange(5), torch.arange(5), torch.ones(5, dtype=torch.float64))
    module.training_step(batch, 0).backward()
    none = [name for name, p in module.network.named_parameters() if p.grad is None]
    assert none == []


# --- the golden curve -----------------------------------------------------------------------------


def curve(change: dict[str, Any] | None = None) -> list[float]:
    """Return the loss of each of the first steps, as `paper` trains: encoding, batches, masks.

    Without dropout: its random numbers are not the same on every CPU.
    """
    given = {"seed": 5, "batch_size": 64, "learning_rate": 5e-3, "unknown_user": 0.2, "row": 0}
    given |= change or {}
    train = canonical(FOLD[s.TRAIN])
    encoding = InputEncoding.fit(FOLD.items, FOLD.people, train, 6, ALL_INPUTS)
    torch.manual_seed(5)
    network = PreferenceTransformer(encoding.size, Shape(16, 1, 2, 0.0))
    rating = ((train.rating - train.rating.mean()) / train.rating.std()).astype(np.float32)
    rating[: int(given["row"])] += 0.5
    train = Pairs(train.user, train.item, rating)
    epochs = -(-STEPS // -(-len(train) // int(given["batch_size"])))
    losses: list[float] = []
    step = trainer.RatingModule.training_step

    def watched(self: RatingModule, batch: Any, number: int) -> torch.Tensor:
        loss = step(self, batch, number)
        losses.append(float(loss.detach()))
        return loss

    regime = OptimiserConfig(
        epochs, int(given["batch_size"]), given["learning_rate"], 0.01, given["unknown_user"], 99
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer.RatingModule, "training_step", watched)
        job = TrainingJob(
            network, encoding.tables(FOLD.items, FOLD.people), train, FOLD[s.VAL_SEEN], regime,
            seed=int(given["seed"]), device="cpu",
        )  # fmt: skip
        train_network(job)
    return losses[:STEPS]


def far(losses: list[float]) -> float:
    """Return the largest relative distance from the golden curve."""
    golden = np.array(json.loads(GOLDEN.read_text())["loss"])
    assert len(losses) == len(golden) == STEPS
    return float(np.max(np.abs(np.array(losses) - golden) / golden))


TOLERANCE = 5e-3  # float32 sums in another order stray by some 1e-5; a batch by some 1e-1


def test_the_training_curve_is_the_golden_one() -> None:
    assert far(curve()) < TOLERANCE


@pytest.mark.parametrize(
    "change",
    [{"seed": 6}, {"unknown_user": 0.0}, {"learning_rate": 6e-3}, {"row": 40}],
    ids=["batches", "masks", "steps", "ratings"],
)
def test_the_golden_curve_tells_changes(change: dict[str, Any]) -> None:
    assert far(curve(change)) > 4 * TOLERANCE


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps({"loss": [round(one, 6) for one in curve()]}, indent=1) + "\n")
