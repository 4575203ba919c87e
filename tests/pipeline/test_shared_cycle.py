"""Two checkouts, one registry, one DVC remote: one retrains, the other serves what it promoted.

PostgreSQL, S3 and Prefect's server are real, and PostgreSQL is restarted in the middle of a cycle
and of a run. The tests run in the order written, each on what the one before left.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import pamela
from benchmarks.soak.run import OVERRIDES
from flows import retrain
from flows.server import free_port
from pamela.core.paths import Project
from pamela.registry import reachable
from pamela.serving.http.current_model import CurrentModel
from pamela.serving.pyfunc import picture_door
from pamela.serving.types import CatalogImage
from tests.conftest import command_env, must, override_params, run_in
from tests.helpers import extras
from tests.helpers.compose import command_of
from tests.helpers.shared_servers import BUCKET, PASSWORD, PostgreSQL, running
from tests.helpers.small_registry import aliases
from tests.helpers.stages import run_cycle
from tests.helpers.taste_project import TRAINED, Planted, first_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    extras.needs("scale"),
    extras.needs("scale-tests"),
]
CHAMPION = "models:/pamela@champion"
SHARED = {"tracking": {"artifacts": f"s3://{BUCKET}/mlflow"}}


@pytest.fixture(scope="module")
def env(database_server: PostgreSQL, s3: dict[str, str]) -> dict[str, str]:
    """What a person sets."""
    return {**s3, "MLFLOW_TRACKING_URI": database_server.create("mlflow")}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def one(planted: Planted, env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a finished run, which is pushed and published; a batch waits there."""
    found = first_run(tmp_path_factory.mktemp("shared"), planted, OVERRIDES)
    override_params(found, SHARED)
    dvc(found, "remote", "add", "-q", "-d", "store", f"s3://{BUCKET}/dvc")
    must(found, "git", "commit", "-q", "-a", "-m", "a store")
    dvc(found, "push", "-q", **env)
    said = must(found, "python", "-m", "flows.publish", **env)
    assert "registered pamela version 1 as champion" in said
    planted.batch(found / "data/inbox/planted/good", [f"u{k:02d}" for k in range(TRAINED)], 20, 1)
    return found


@pytest.fixture(scope="module")
def two(one: Path) -> Path:
    """A clone that has never trained."""
    found = one.parent / "two"
    subprocess.run(["git", "clone", "-q", str(one), str(found)], check=True)
    return found


@pytest.fixture
def shared(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def dvc(folder: Path, *words: str, **env: str) -> str:
    return must(folder, "python", "-m", "dvc", *words, **env)


def score(folder: Path, patch: pytest.MonkeyPatch) -> tuple[str, float]:
    """Return what serves in a checkout, and its answer for a known picture."""
    patch.chdir(folder)
    reward = pamela.load(CHAMPION)
    return reward.version, reward.score(
        user="planted/u00", images=[CatalogImage("planted", "i000")]
    )[0].rating


def test_a_clone_that_never_trained_serves_the_champion(one: Path, two: Path, shared) -> None:
    assert score(two, shared) == score(one, shared)
    assert not (two / "models/bundle").exists()
    assert list((two / "mlartifacts/registry").glob("*/model.safetensors"))


def test_it_pulls_the_data_from_the_same_store(two: Path, env: dict[str, str]) -> None:
    dvc(two, "pull", "-q", "train", **env)
    assert (two / "models/bundle/bundle.json").is_file()


@pytest.fixture(scope="module")
def prefect(database_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a Prefect server on the same PostgreSQL, started as compose.yaml starts it."""
    port, folder = free_port(), tmp_path_factory.mktemp("prefect")
    database_server.create("prefect")
    words = command_of("prefect", {"4200": str(port), "0.0.0.0": "127.0.0.1"})  # noqa: S104
    address = database_server.address("prefect", driver="+asyncpg")
    env = command_env(PREFECT_HOME=str(folder), PREFECT_SERVER_DATABASE_CONNECTION_URL=address)
    with running(["-m", *words], port, env, folder / "server.log"):
        yield f"http://127.0.0.1:{port}/api"


def test_a_run_goes_on_through_a_restart_or_ends_in_a_line_and_the_next_one_completes_it(
    one: Path, env: dict[str, str], prefect: str, database_server: PostgreSQL
) -> None:
    override_params(one, {"evaluate": {"bootstrap": 120}})
    log = one.parent / "run.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.pipeline"], cwd=one, stdout=stream, stderr=stream,
            env=command_env(**env, PREFECT_API_URL=prefect),
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 600
        while "Running stage 'evaluate'" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(3)
        database_server.restart()
        status = process.wait(timeout=900)
    finally:
        process.kill()
    said = log.read_text()
    assert PASSWORD not in said
    if status:
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        assert errors, said
        assert "Traceback" not in said
        must(one, "python", "-m", "flows.pipeline", PREFECT_API_URL=prefect, **env)
    rows = database_server.ask(
        "select count(*) from runs where name = 'pipeline' and status = 'FINISHED' "
        "and lifecycle_stage = 'active'", "mlflow"
    )  # fmt: skip
    assert rows == [(2,)]
    half = database_server.ask(
        "select name from runs where status = 'RUNNING' and lifecycle_stage = 'active'", "mlflow"
    )
    assert half == []
    done = database_server.ask("select distinct state_type from flow_run", "prefect")
    assert ("COMPLETED",) in done
    assert "0 stages" in must(one, "python", "-m", "flows.pipeline", PREFECT_API_URL=prefect, **env)


def test_one_retrains_through_a_restart_of_the_database_and_the_other_serves_it(
    one: Path, two: Path, env: dict[str, str], database_server: PostgreSQL, shared, capfd
) -> None:
    shared.chdir(two)
    project = Project(two)
    serving = CurrentModel(CHAMPION, project, picture_door(project), 8)
    first, fit = serving.now.reward.version, retrain.challenger.fit_challenger

    def fit_and_restart(*arguments: object) -> str:
        found = fit(*arguments)  # type: ignore[arg-type]
        database_server.restart()
        return found

    shared.setattr(retrain, "fit_challenger", fit_and_restart)
    run_cycle(one, **env)
    assert aliases(Project(one)) == {"best": "2", "champion": "2", "previous": "1"}
    loop_once(serving)
    assert serving.error is None
    assert serving.now.reward.version != first
    assert score(two, shared) == score(one, shared)
    assert score(one, shared)[0] == serving.now.reward.version
    loaded = serving.now
    loop_once(serving)
    assert serving.now is loaded, "it is loaded once"

    shared.setattr(reachable, "PATIENCE_S", 0.0)
    database_server.stop()
    try:
        loop_once(serving)
    finally:
        database_server.start()
    assert "no MLflow server answers" in str(serving.error)
    assert serving.now is loaded, "the old model goes on"
    assert PASSWORD not in "".join([str(serving.error), *capfd.readouterr()])


def loop_once(serving: CurrentModel) -> None:
    asyncio.run(serving.refresh())


def test_no_password_is_written_anywhere(
    one: Path, two: Path, env: dict[str, str], prefect: str, database_server: PostgreSQL
) -> None:
    """Not in files, logs and records; not in MLflow's and Prefect's tables; not in the store."""
    folders = [one.parent, *one.parent.parent.glob("prefect*")]
    files = [path for top in folders for path in top.rglob("*") if path.is_file()]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    for name in ("mlflow", "prefect"):
        dump = subprocess.run(
            [str(database_server.programs / "pg_dump"), "--inserts", database_server.address(name)],
            check=True, capture_output=True,
        )  # fmt: skip
        assert PASSWORD.encode() not in dump.stdout
    kept = run_in(one, "python", "-c", WRITTEN, **env)
    assert json.loads(kept.stdout) == {"objects": True, "with the password": []}, kept.stderr


WRITTEN = f"""
import boto3, json
s3 = boto3.client("s3")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket={BUCKET!r})
names = [one["Key"] for page in pages for one in page["Contents"]]
told = [name for name in names
        if {PASSWORD!r}.encode() in s3.get_object(Bucket={BUCKET!r}, Key=name)["Body"].read()]
print(json.dumps({{"objects": bool(names), "with the password": told}}))
"""
