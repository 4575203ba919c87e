"""The runner that ``compute`` of ``params.yaml`` names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from pamela.compute.runner import ClusterRunner, Engine, LocalRunner, Runner
from pamela.core.errors import require
from pamela.params import ComputeParams


@contextlib.contextmanager
def open_runner(params: ComputeParams, *, gpu: bool = False) -> Iterator[Runner]:
    """Yield the runner of `params`; what it started ends with the block.

    Parameters
    ----------
    gpu : whether the work profits from a GPU: where a Ray cluster has any, an item takes one. On a
        Dask cluster a worker sees the GPUs that it was started with.

    Raises
    ------
    PamelaError
        If the engine's package is not installed; when it is first used, if it cannot be reached.
    """
    if params.runner == "local":
        yield LocalRunner()
        return
    runner = ClusterRunner(_engine_of(params, gpu))
    try:
        yield runner
    finally:
        runner.close()


def _engine_of(params: ComputeParams, gpu: bool) -> Callable[[], Engine]:
    what = f"compute.runner: {params.runner}"
    if params.runner == "dask":
        require("distributed", what)
        from pamela.compute.dask_engine import DaskEngine

        return partial(DaskEngine, params.workers, params.address)
    require("ray", what)
    from pamela.compute.ray_engine import RayEngine

    return partial(RayEngine, params.workers, params.address, gpu)
