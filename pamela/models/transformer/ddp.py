"""Training on one device, or on several: a process each, gradients averaged (Lightning's DDP).

The processes are started here and told by Lightning's environment variables that they were. Its
own launchers would not do: one runs the whole command again in every process (a DVC stage with its
flow); the other blocks until all have ended, so that no epoch could be reported while training,
and keeps neither the curve nor a callback's state. Only a machine's process 0 reports and writes;
the weights come back through a temporary folder. GPUs talk by NCCL, CPUs by gloo. On several
machines (`pamela.models.transformer.nodes`) each starts its own processes.
"""

from __future__ import annotations

import itertools
import os
import pickle
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import multiprocessing
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.models.lightning_callbacks import Listener
from pamela.models.transformer import trainer
from pamela.models.transformer.batches import Shard
from pamela.models.transformer.nodes import Nodes
from pamela.models.transformer.trainer import Trained, TrainingJob

POLL_S = 0.1  # between two looks at the processes
WEIGHTS, CURVE = "best.safetensors", "curve.json"
ADDRESS = "127.0.0.1"
_FITS = itertools.count()  # of this process on several machines, which all count alike


def train_network(
    job: TrainingJob,
    *,
    devices: int = 1,
    nodes: Nodes | None = None,
    on_epoch_end: Listener | None = None,
) -> pl.DataFrame:
    """Train the network of `job` in place and leave it at its best epoch.

    Parameters
    ----------
    devices : with several, each gets a process and a part of every batch.
    nodes : this machine's place where several train together, each on as many devices. No
        checkpoints are kept then: one that a single machine found would part it from the others.
    on_epoch_end : called with (epoch, validation correlation) after every epoch.

    Returns
    -------
    DataFrame with ``step`` (epoch), ``train_loss``, ``val_loss``, ``val_correlation``.
    """
    if nodes is not None:
        here = nodes.after(next(_FITS))
        trained = _train_on_several(replace(job, workdir=None), devices, here, on_epoch_end)
    elif devices > 1:
        alone = Nodes(1, 0, ADDRESS, 0)
        trained = _train_on_several(job, devices, alone, on_epoch_end)
    else:
        trained = trainer.train_in_process(job, on_epoch_end)
    job.network.load_state_dict(trained.weights)
    job.network.cpu().eval()
    return pl.DataFrame(trained.curve)


def _train_on_several(
    job: TrainingJob, devices: int, nodes: Nodes, on_epoch_end: Listener | None
) -> Trained:
    """Train `job` in `devices` processes here and return what this machine's process 0 found best.

    Raises
    ------
    PamelaError
        If a process fails; the others are ended.
    """
    from lightning.fabric.plugins.environments.lightning import find_free_network_port
    from safetensors.torch import load_file

    # by value: sharing tensors would need as much /dev/shm
    payload = pickle.dumps(job)
    epochs: Any = multiprocessing.get_context("spawn").SimpleQueue()

    def listen() -> None:
        while not epochs.empty():
            epoch, correlation = epochs.get()
            if on_epoch_end is not None:
                on_epoch_end(epoch, correlation)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there = nodes if nodes.port else replace(nodes, port=find_free_network_port())
        arguments = (payload, devices, there, folder, epochs)
        started: Any = multiprocessing.start_processes(
            _work, arguments, nprocs=devices, join=False, start_method="spawn"
        )
        try:
            while not started.join(timeout=POLL_S):
                listen()
            listen()
        except (ProcessRaisedException, ProcessExitedException) as error:
            reason = str(error).strip().splitlines()[-1]
            raise PamelaError(
                f"train.devices: process {error.error_index} of {devices} failed: {reason}; "
                "set train.devices to 1 to train without the others"
            ) from error
        finally:
            for process in started.processes:
                if process.is_alive():
                    process.terminate()
                process.join()
        return Trained(load_file(folder / WEIGHTS), read_json(folder / CURVE))


def _work(rank: int, payload: bytes, devices: int, nodes: Nodes, folder: Path, epochs: Any) -> None:
    """Train as process `rank` of the `devices` of this machine."""
    os.environ.update(
        MASTER_ADDR=nodes.address,
        MASTER_PORT=str(nodes.port),
        NODE_RANK=str(nodes.rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(devices * nodes.count),
    )
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // devices))
    from lightning.pytorch.plugins.environments import LightningEnvironment
    from lightning.pytorch.strategies import DDPStrategy
    from safetensors.torch import save_file

    job: TrainingJob = pickle.loads(payload)  # noqa: S301, of the process that started this one
    gpu = job.device != "cpu" and torch.cuda.is_available()
    strategy = DDPStrategy(
        cluster_environment=LightningEnvironment(),
        process_group_backend="nccl" if gpu else "gloo",
    )
    first = rank == 0
    on_epoch_end = (lambda *news: epochs.put(news)) if first else None
    shard = Shard(nodes.rank * devices + rank, devices * nodes.count)
    trained = trainer.train_in_process(
        job, on_epoch_end, shard=shard, nodes=nodes.count, strategy=strategy
    )
    if first:
        save_file(trained.weights, folder / WEIGHTS)
        write_json(folder / CURVE, trained.curve)
