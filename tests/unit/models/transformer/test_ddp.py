"""Training in several processes: shards of every batch, and two CPU processes with gloo."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.models.transformer import ddp, trainer
from pamela.models.transformer.batches import (
    FeatureTables,
    OptimiserConfig,
    Shard,
    SlicedBatches,
    device_count,
)
from pamela.models.transformer.ddp import ADDRESS, train_network
from pamela.models.transformer.network import PreferenceTransformer, Shape, Size
from pamela.models.transformer.nodes import Nodes
from pamela.training import train
from tests.helpers.planted import make_world

FOLD = make_world(seed=6, own=0.6, seen=16, train_items=40, test_items=10).fold
BATCH = 50


def fresh() -> tuple[PreferenceTransformer, FeatureTables]:
    torch.manual_seed(0)
    network = PreferenceTransformer(Size(4, 2, len(FOLD.people), (), (1,)), Shape(8, 1, 2, 0.0))
    tables = FeatureTables(
        torch.from_numpy(FOLD.items.image[:, :4].copy()),
        torch.from_numpy(FOLD.items.prompt[:, :2].copy()),
        torch.ones(len(FOLD.items), 1, dtype=torch.int64),
        torch.arange(1, len(FOLD.people) + 1),
        torch.zeros(len(FOLD.people), 0, dtype=torch.int64),
    )
    return network, tables


def job_of(**options: Any) -> trainer.TrainingJob:
    network, tables = fresh()
    regime = OptimiserConfig(3, BATCH, 5e-3, 0.01, 0.0, 3)
    train_rows, workdir = options.pop("train", FOLD[s.TRAIN]), options.pop("workdir", None)
    return trainer.TrainingJob(
        network, tables, train_rows, FOLD[s.VAL_SEEN], regime, 4, "cpu", workdir
    )


def fit(devices: int, **options: Any) -> tuple[PreferenceTransformer, Any]:
    ours = {name: options.pop(name) for name in ("train", "workdir") if name in options}
    job = job_of(**ours)
    return job.network, train_network(job, devices=devices, **options)


# --- shards ---------------------------------------------------------------------------------------


@given(count=st.integers(1, 60), world=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_shards_hold_every_row_once_and_average_to_the_batch_mean(count: int, world: int) -> None:
    rows = torch.arange(count)
    value = torch.sin(rows.double())
    parts = [Shard(rank, world).of(rows) for rank in range(world)]
    assert len({len(own) for own, _ in parts}) == 1
    seen = torch.cat([own[weight > 0] for own, weight in parts])
    assert sorted(seen.tolist()) == rows.tolist()
    mean = np.mean([float((weight * value[own]).mean()) for own, weight in parts])
    assert mean == pytest.approx(float(value.mean()), abs=1e-6)


def test_all_processes_cut_the_same_batches() -> None:
    train_rows = torch.arange(23)
    one = list(SlicedBatches((train_rows,), 10, seed=3, epoch=lambda: 2))
    columns = (train_rows, torch.ones(23))
    parts = [
        list(SlicedBatches(columns, 10, seed=3, epoch=lambda: 2, shard=Shard(rank, 2)))
        for rank in range(2)
    ]
    for number, (whole,) in enumerate(one):
        halves = [part[number][0][part[number][1] > 0] for part in parts]
        assert sorted(torch.cat(halves).tolist()) == sorted(whole.tolist())


def test_row_weights_are_kept_in_shards() -> None:
    rows, weight = torch.arange(5), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    total = 0.0
    for rank in range(2):
        ((own, factor),) = list(SlicedBatches((rows, weight), 5, shard=Shard(rank, 2)))
        assert len(own) == 3
        total += float(factor.mean()) / 2
    assert total == pytest.approx(float(weight.mean()))


# --- options --------------------------------------------------------------------------------------


def test_auto_is_one_process_on_a_cpu_and_every_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_count("cpu", "auto") == 1
    assert device_count("cpu", 2) == 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert device_count("gpu", "auto") == 4
    assert device_count("auto", "auto") == 4
    assert device_count("auto", 1) == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert device_count("auto", "auto") == 1


def test_more_gpus_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.helpers.train_params import params

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(PamelaError, match=r"train\.devices is 3 but there are 2 GPUs"):
        train.plan_fits(Project(Path()), params(device="auto", devices=3))


# --- two processes --------------------------------------------------------------------------------


def _watched(
    rank: int, payload: bytes, devices: int, nodes: Nodes, folder: Path, epochs: Any
) -> None:
    """Work as usual, and leave in ``folder/..`` what this process saw and ended with."""
    seen: list[np.ndarray] = []
    step, run = trainer.RatingModule.training_step, trainer.train_in_process

    def watched_step(self: trainer.RatingModule, batch: Any, number: int) -> Any:
        user, item, _, weight = batch
        seen.append(torch.stack([user, item])[:, weight > 0].numpy())
        return step(self, batch, number)

    def watched_run(job: trainer.TrainingJob, *arguments: Any, **options: Any) -> trainer.Trained:
        trained = run(job, *arguments, **options)
        last = {f"last.{key}": value.numpy() for key, value in job.network.state_dict().items()}
        best = {f"best.{key}": value.numpy() for key, value in trained.weights.items()}
        rows = np.concatenate(seen, axis=1)
        np.savez(folder.parent / f"rank{rank}.npz", rows=rows, **last, **best)
        return trained

    trainer.RatingModule.training_step = watched_step  # type: ignore[method-assign]
    trainer.train_in_process = watched_run
    ddp._work(rank, payload, devices, nodes, folder, epochs)


def _without_key_bias(name: str, value: torch.Tensor) -> torch.Tensor:
    """Leave out the keys' bias: softmax does not feel it, so its gradient is rounding alone, which
    Adam scales up.
    """
    if not name.endswith("in_proj_bias"):
        return value
    query, _, content = value.chunk(3)
    return torch.cat([query, content])


@pytest.mark.slow  # two processes that import torch and Lightning: 15 to 60 s
def test_two_processes_train_like_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ddp, "_work", _watched, raising=True)
    monkeypatch.setattr(ddp.tempfile, "tempdir", str(tmp_path))
    odd = FOLD[s.TRAIN].take(np.arange(len(FOLD[s.TRAIN]) // BATCH * BATCH + 7))  # a last one of 7
    alone, expected = fit(1, train=odd)
    news: list[tuple[int, float]] = []
    together, history = fit(
        2, train=odd, on_epoch_end=lambda *one: news.append(one), workdir=tmp_path / "work"
    )
    for key, value in alone.state_dict().items():
        torch.testing.assert_close(
            _without_key_bias(key, together.state_dict()[key]), _without_key_bias(key, value),
            rtol=1e-3, atol=1e-4,
        )  # fmt: skip
    assert history.columns == expected.columns
    for column in history.columns:
        np.testing.assert_allclose(history[column], expected[column], rtol=1e-3, atol=1e-4)
    assert [epoch for epoch, _ in news] == history["step"].to_list()
    assert [correlation for _, correlation in news] == history["val_correlation"].to_list()
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["last.ckpt"]
    left, right = (np.load(tmp_path / f"rank{rank}.npz") for rank in range(2))
    for key in set(left.files) - {"rows"}:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)
    epochs = history.height
    cells = [Pairs(*one["rows"], np.zeros(one["rows"].shape[1])) for one in (left, right)]
    assert abs(len(cells[0]) - len(cells[1])) <= epochs  # each its half
    both = Pairs.concat(*cells)
    code = both.user * len(FOLD.items) + both.item
    assert (np.unique(code, return_counts=True)[1] == epochs).all()  # every row once an epoch
    assert len(both) == epochs * len(odd)


@pytest.mark.slow  # as many processes as above: nodes of one each, which meet on loopback
def test_two_machines_train_like_one() -> None:
    _, expected = fit(1)
    port = find_free_network_port()
    with ThreadPoolExecutor() as machines:
        found = [
            machines.submit(ddp._train_on_several, job_of(), 1, Nodes(2, rank, ADDRESS, port), None)
            for rank in range(2)
        ]
        one, other = (machine.result(timeout=240) for machine in found)
    assert one.curve == other.curve
    for key, value in one.weights.items():
        torch.testing.assert_close(other.weights[key], value, rtol=0, atol=0)
    for epoch, row in zip(one.curve, expected.iter_rows(named=True), strict=True):
        np.testing.assert_allclose([*epoch.values()], [*row.values()], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"NNODES": "two"}, "NNODES is 'two'; it must be a whole number"),
        ({"NNODES": "2"}, "NNODES is 2 but NODE_RANK is not set; set NODE_RANK, MASTER_ADDR"),
        ({"NODE_RANK": "2"}, "NODE_RANK is 2 but NNODES is 2; count from 0"),
        ({"MASTER_PORT": ""}, "MASTER_PORT is not set"),
    ],
)
def test_machines_that_are_named_by_halves_are_an_error(
    environment: dict[str, str], message: str
) -> None:
    whole = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}
    assert Nodes.from_environment(whole) == Nodes(2, 1, "a", 29500)
    assert Nodes.from_environment(whole | {"NNODES": "1"}) is None
    assert Nodes.from_environment({"NODE_RANK": "0"}) is None
    given_ = environment if "NNODES" in environment else whole | environment
    with pytest.raises(PamelaError, match=re.escape(message)):
        Nodes.from_environment(given_)


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others_and_is_named(tmp_path: Path) -> None:
    beyond = FOLD[s.TRAIN].take(np.arange(60))
    broken = Pairs(beyond.user, beyond.item + 10**6, beyond.rating)
    with pytest.raises(
        PamelaError, match=r"train\.devices: process \d of 2 failed: .*out of bounds"
    ):
        fit(2, train=broken)
