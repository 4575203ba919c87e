"""The embed stage on real local clusters of two workers, Dask and Ray, one of them killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from flows.server import free_port
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.features.cache import FeatureCache
from pamela.params import ComputeParams, Params
from tests.conftest import command_env
from tests.helpers.encoder_kit import make_project, params_with, write_open_clip
from tests.helpers.extras import needs
from tests.helpers.stages import run_stage
from tests.paths import ROOT

ENGINES = [pytest.param(name, marks=needs(name)) for name in ("dask", "ray")]
SEEDS = range(40)
SOON = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}  # a minute else, until Ray's agents end
BATCH = 2  # and so many pictures are a chunk

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_open_clip(tmp_path_factory.mktemp("encoder"))


def params_on(engine: str, encoder: str) -> Params:
    compute = ComputeParams(runner=engine, workers=2, address=None)
    return params_with(encoder, batch_size=BATCH, workers=0).model_copy(update={"compute": compute})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, encoder: str) -> Project:
    project, _ = make_project(tmp_path_factory.mktemp("local"), SEEDS, encoder)
    run_stage("embed", project, params_with(encoder, batch_size=BATCH))
    return project


def workers_of(pid: int) -> list[psutil.Process]:
    """Return the processes below `pid` that work on items, or may."""
    return [one for one in psutil.Process(pid).children(recursive=True) if works(one)]


def works(process: psutil.Process) -> bool:
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:
        return False
    if words.startswith("ray::"):  # its agents are called so too, and a node dies with one
        return "Agent" not in words
    return "multiprocessing.spawn" in words


def parts_of(project: Project) -> list[Path]:
    """Return what is written; a hidden file is half of a part, left by a kill."""
    return list((project.features / "cache").glob("*/image/[!.]*.parquet"))


def keys_of(project: Project) -> list[str]:
    return pl.concat([read_parquet(part) for part in parts_of(project)])["key"].to_list()


def assert_equal(project: Project, other: Project) -> None:
    for name in ("image.npy", "prompt.npy"):
        np.testing.assert_allclose(
            np.load(project.features / name), np.load(other.features / name), atol=1e-6
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_killed_worker_is_survived_and_nothing_is_recorded_twice(
    engine: str, encoder: str, local: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project, _ = make_project(tmp_path, SEEDS, encoder)
    added: list[str] = []
    killed: list[int] = []
    add = FeatureCache.add

    def add_and_kill(cache: FeatureCache, keys, values) -> None:
        add(cache, keys, values)
        if cache.folder.name != "image":
            return
        added.extend(keys)
        if len(added) == 3 * BATCH:  # in the middle
            busy = max(workers_of(os.getpid()), key=lambda one: one.cpu_times().user)
            busy.kill()
            killed.append(busy.pid)

    monkeypatch.setattr(FeatureCache, "add", add_and_kill)
    run_stage("embed", project, params_on(engine, encoder))
    assert killed
    assert len(added) == len(set(added)) == len(SEEDS)
    assert sorted(keys_of(project)) == sorted(keys_of(local))
    assert_equal(project, local)
    assert workers_of(os.getpid()) == []


EMBED = """
from pathlib import Path
from pamela.core.paths import Project
from pamela.params import Params
from tests.helpers.stages import run_stage
if __name__ == "__main__":
    params = Params.model_validate_json(Path({params!r}).read_text())
    run_stage("embed", Project(Path({root!r})), params)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_after_a_killed_command_no_worker_lives_and_the_next_goes_on(
    engine: str, encoder: str, local: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project, _ = make_project(tmp_path, SEEDS, encoder)
    params = params_on(engine, encoder)
    (tmp_path / "params.json").write_text(params.model_dump_json(by_alias=True))
    script = tmp_path / "embed_it.py"
    script.write_text(
        textwrap.dedent(EMBED).format(params=str(tmp_path / "params.json"), root=str(tmp_path))
    )
    command = subprocess.Popen(
        [sys.executable, str(script)], cwd=ROOT, env=command_env(PYTHONPATH=str(ROOT), **SOON)
    )
    deadline = time.monotonic() + 200
    while not parts_of(project):
        assert command.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    below = psutil.Process(command.pid).children(recursive=True)
    command.send_signal(signal.SIGKILL)
    command.wait()
    _, alive = psutil.wait_procs(below, timeout=120)  # Ray's agents take a while
    assert alive == []
    done = set(keys_of(project))
    assert len(done) > 0
    run_stage("embed", project, params_with(encoder, batch_size=BATCH))  # any runner goes on
    assert len(keys_of(project)) == len(set(keys_of(project))) == len(SEEDS)
    assert_equal(project, local)


def certificates(folder: Path) -> dict[str, str | bool]:
    """Write a certificate of one's own; return what of Dask's configuration names it."""
    from distributed import Security

    made = Security.temporary()
    (folder / "dask.crt").write_text(made.tls_ca_file)
    (folder / "dask.key").write_text(made.tls_client_key)
    names = {"ca-file": "dask.crt"}
    for role in ("scheduler", "worker", "client"):
        names |= {f"{role}.cert": "dask.crt", f"{role}.key": "dask.key"}
    tls = {f"distributed.comm.tls.{name}": str(folder / file) for name, file in names.items()}
    return {"distributed.comm.require-encryption": True, **tls}


@needs("dask")
@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_a_cluster_that_runs_is_used_and_left_running(
    protocol: str, encoder: str, local: Project, tmp_path: Path
):
    import dask.config
    from distributed import Client, LocalCluster

    project, _ = make_project(tmp_path, SEEDS, encoder)
    params = params_on("dask", encoder)
    with (
        dask.config.set(certificates(tmp_path) if protocol == "tls" else {}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol=f"{protocol}://",
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
    ):
        address = cluster.scheduler.address
        assert address.startswith(f"{protocol}://")
        given = ComputeParams(runner="dask", workers=9, address=address)
        run_stage("embed", project, params.model_copy(update={"compute": given}))
        with Client(cluster) as client:
            assert len(client.scheduler_info()["workers"]) == 1
    assert_equal(project, local)


@contextmanager
def ray_head() -> Iterator[tuple[str, dict[str, str], subprocess.Popen[bytes]]]:
    """Start a Ray cluster as its users do, with a token; yield address, environment and process."""
    port, client = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # short, as sockets lie there
        env = command_env(
            PYTHONPATH=str(ROOT), RAY_USAGE_STATS_ENABLED="0",
            RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32),
        )  # fmt: skip
        words = f"start --head --block --port {port} --ray-client-server-port {client} --num-cpus 2"
        words += f" --include-dashboard false --object-store-memory 100000000 --temp-dir {folder}/t"
        with (Path(folder) / "log").open("wb") as log:
            head = subprocess.Popen(
                ["ray", *words.split()], env=env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            until = time.monotonic() + 200
            while b"Ray runtime started" not in (said := Path(log.name).read_bytes()):
                assert head.poll() is None, said.decode()
                assert time.monotonic() < until, said.decode()
                time.sleep(0.5)
            yield f"127.0.0.1:{port}", env, head
        finally:
            with suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)  # all that it started is of its group
            head.wait()


def frozen(pid: int, name: str) -> None:
    """Freeze the process `name` below `pid`."""
    below = psutil.Process(pid).children(recursive=True)
    next(one for one in below if name in one.name()).suspend()


WAITING = """
from pamela.compute import ray_engine
from pamela.compute.opening import open_runner
from pamela.core.errors import PamelaError
from pamela.params import ComputeParams
from tests.helpers.cluster_work import slow_square
if __name__ == "__main__":
    ray_engine.ASK_S, ray_engine.AWAY_S = 0.0, 1.0
    try:
        with open_runner(ComputeParams(runner="ray", workers=9, address={address!r})) as runner:
            for item, _ in runner.map(slow_square, range(1_000_000)):
                print(item, flush=True)
    except PamelaError as error:
        print(error)
"""


@needs("ray")
def test_a_ray_cluster_that_runs_is_used_left_running_and_missed(
    encoder: str, local: Project, tmp_path: Path
):
    project, _ = make_project(tmp_path, SEEDS, encoder)
    with ray_head() as (address, env, head):
        given = ComputeParams(runner="ray", workers=9, address=address)
        params = params_on("ray", encoder).model_copy(update={"compute": given})
        (tmp_path / "params.json").write_text(params.model_dump_json(by_alias=True))
        script = EMBED.format(params=str(tmp_path / "params.json"), root=str(tmp_path))
        (tmp_path / "embed_it.py").write_text(script)
        subprocess.run(
            [sys.executable, tmp_path / "embed_it.py"], cwd=ROOT, env=env, check=True, timeout=200
        )
        assert_equal(project, local)
        (tmp_path / "wait.py").write_text(WAITING.format(address=address))
        command = subprocess.Popen(
            [sys.executable, tmp_path / "wait.py"], cwd=ROOT, env=env, text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert command.stdout is not None
            assert command.stdout.readline()  # the cluster outlived the command before
            frozen(head.pid, "gcs_server")  # so that a call is under way when it dies
            time.sleep(1)
            os.killpg(head.pid, signal.SIGKILL)
            rest, _ = command.communicate(timeout=100)
        finally:
            command.kill()
    said = rest.splitlines()[-1]
    assert said.startswith(f"compute.address '{address}': the cluster is gone; start it and run")


@needs("dask")
def test_an_item_that_kills_every_worker_is_named(tmp_path: Path):
    from pamela.compute.opening import open_runner

    params = ComputeParams(runner="dask", workers=2, address=None)
    with (
        pytest.raises(PamelaError, match=r"^compute\.runner dask: 7: 4 workers died of it"),
        open_runner(params) as runner,
    ):
        list(runner.map(os._exit, [7]))


QUIET = """
import logging
from tests.helpers.cluster_work import slow_square
if __name__ == "__main__":
    logging.warning("a library that sets up the root logger")
    from pamela.compute.opening import open_runner
    from pamela.params import ComputeParams
    with open_runner(ComputeParams(runner="dask", workers=1, address=None)) as runner:
        print([square for _, (square, _) in runner.map(slow_square, [3])])
"""


@needs("dask")
def test_dask_says_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "quiet.py").write_text(QUIET)
    done = subprocess.run(
        [sys.executable, tmp_path / "quiet.py"], cwd=ROOT, text=True, capture_output=True,
        env=command_env(PYTHONPATH=str(ROOT)), timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout == "[9]\n"
    assert done.stderr == "WARNING:root:a library that sets up the root logger\n"
