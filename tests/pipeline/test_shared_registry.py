"""Several projects on one registry: PostgreSQL and S3 for real, directly or by MLflow's server.

The bundles are made up. What a shared server refuses is one line without a password, leaves nothing
half-written, and the next try goes on.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.server import free_port
from pamela.core import errors
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.registry import copies, healing, reachable, registration, versions
from pamela.registry.registration import Promotion
from pamela.registry.tracking.publish import client_of
from tests.conftest import override_params
from tests.helpers import extras
from tests.helpers.compose import command_of
from tests.helpers.made_up import make_project, params_of, write_bundle
from tests.helpers.shared_servers import BUCKET, PASSWORD, PostgreSQL, failing_store, running
from tests.helpers.small_registry import aliases, damage

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    extras.needs("scale"),
    extras.needs("scale-tests"),
]
CHAMPION = "models:/pamela@champion"
PLACE = f"s3://{BUCKET}/mlflow"


@pytest.fixture(scope="module")
def direct(database_server: PostgreSQL) -> str:
    """The address of MLflow's database."""
    return database_server.create("direct")


@pytest.fixture(scope="module")
def served(
    database_server: PostgreSQL, s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of MLflow's server, started as compose.yaml starts it."""
    port, folder = free_port(), tmp_path_factory.mktemp("served")
    uri = database_server.create("served")
    words = command_of("mlflow", {"5000": str(port), "0.0.0.0": "127.0.0.1"})  # noqa: S104
    env = {**os.environ, **s3, "MLFLOW_BACKEND_STORE_URI": uri, "BUCKET": BUCKET}
    with running(["-m", *words], port, env, folder / "mlflow.log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, s3: dict[str, str]) -> pytest.MonkeyPatch:
    """S3 in the environment, and no waiting for a server that may come back."""
    monkeypatch.setattr(reachable, "PATIENCE_S", 0.0)
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def project(root: Path, place: str | None = PLACE) -> Project:
    """A made-up project on a shared registry."""
    made = make_project(root)
    override_params(root, {"tracking": {"artifacts": place}})
    return made


def newcomer(root: Path, like: Project) -> Project:
    """A project that has never trained: its params and nothing else."""
    root.mkdir()
    shutil.copyfile(like.params_file, root / "params.yaml")
    return Project(root)


def fault(call: Callable[[], object]) -> str:
    """Return the one line in which a call fails."""
    with pytest.raises(PamelaError) as told:
        call()
    said = str(told.value)
    assert "\n" not in said
    assert PASSWORD not in said
    return said


@pytest.mark.parametrize("way", ["direct", "served"])
def test_one_registers_and_another_serves(way, request, at_once, tmp_path, capfd):
    at_once.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue(way))
    one = project(tmp_path / "one", PLACE if way == "direct" else None)
    other, params = newcomer(tmp_path / "other", one), params_of(one)
    assert registration.register_if_empty(one, params) == "1"
    assert registration.register_if_empty(other, params) is None
    first = versions.resolve(CHAMPION, other)
    assert first.is_relative_to(other.root)
    assert copies.fault_of(first, copies.content_hash(one.models / "bundle")) is None
    assert healing.heal(other, params)  # it notes the champion
    assert healing.heal(other, params) == []

    write_bundle(one, "population")
    second = registration.register_challenger(one, params)
    registration.set_champion(one, params, second, Promotion("better"))
    assert aliases(other) == {"champion": "2", "previous": "1"}
    folder = versions.resolve(CHAMPION, other)
    assert folder.name == copies.content_hash(one.models / "bundle")
    late = Promotion("late", over="1")
    said = fault(lambda: registration.set_champion(other, params, "1", late))
    assert "version 2 is champion now: nothing was moved" in said

    def gone(*_: object) -> None:
        raise PamelaError("the store is down")

    with at_once.context() as down:
        down.setattr(copies, "fetch", gone)
        assert versions.resolve(CHAMPION, other) == folder, "it was fetched once"
        damage(folder / "model.safetensors")
        told = healing.heal(other, params)
        assert any("not to be rebuilt: the store is down" in line for line in told)
        assert aliases(one)["champion"] == "2", "what a copy here lacks unseats nobody"
    told = healing.heal(other, params)
    assert any(line.endswith("rebuilt from the shared registry") for line in told)
    assert copies.fault_of(folder, folder.name) is None
    assert PASSWORD not in "".join(capfd.readouterr())


REFUSED = [(507, "InsufficientStorage"), (403, "SignatureDoesNotMatch")]


@pytest.mark.parametrize(("status", "code"), REFUSED)
def test_a_full_or_a_closed_bucket_leaves_nothing_registered(
    status, code, direct, s3, at_once, tmp_path
):
    at_once.setenv("MLFLOW_TRACKING_URI", direct)
    one = project(tmp_path / "one")
    params = params_of(one)
    write_bundle(one, "global_mean" if status == 507 else "user_mean")
    before = versions.list_versions(one, params)
    with failing_store(s3["AWS_ENDPOINT_URL"], status, code) as url, at_once.context() as full:
        full.setenv("MLFLOW_S3_ENDPOINT_URL", url)
        said = fault(lambda: registration.register_challenger(one, params))
    assert code in said
    assert versions.list_versions(one, params) == before
    assert unfinished(one) == []
    assert registration.register_challenger(one, params) == str(len(before) + 1)


def unfinished(project: Project) -> list[str]:
    """Return the names of runs that are half there."""
    client = client_of(project, params_of(project))
    found = client.get_experiment_by_name(params_of(project).report.experiment)
    runs = client.search_runs([found.experiment_id]) if found else []
    return [run.info.run_name for run in runs if run.info.status != "FINISHED"]


def test_a_database_that_goes_between_two_writes_is_one_line_and_the_next_try_goes_on(
    direct, database_server, at_once, tmp_path, capfd
):
    """The files are there when it goes, and the version is not."""
    at_once.setenv("MLFLOW_TRACKING_URI", direct)
    one = project(tmp_path / "one")
    params = params_of(one)
    write_bundle(one, "group_mean")
    before = len(versions.list_versions(one, params))

    def facts_and_lose_it(meta: object) -> dict[str, str]:
        database_server.stop()
        return {}

    try:
        with at_once.context() as patch:
            patch.setattr(registration, "is_measured", lambda *_: False)
            patch.setattr(registration, "model_tags", facts_and_lose_it)
            said = fault(lambda: registration.register_challenger(one, params))
        assert "goes on from there" in said or "no MLflow server answers" in said
        said = fault(lambda: registration.register_challenger(one, params))
        assert said.startswith("MLFLOW_TRACKING_URI: no MLflow server answers at postgresql://127")
    finally:
        database_server.start()
    assert registration.register_challenger(one, params) == str(before + 1)
    assert registration.register_challenger(one, params) == str(before + 1)
    assert unfinished(one) == []
    out = "".join(capfd.readouterr())
    assert "Traceback" not in out
    assert PASSWORD not in out


def test_what_cannot_work_is_told_at_once(direct, database_server, s3, at_once, tmp_path):
    one = project(tmp_path / "one")
    params = params_of(one)
    wrong = {
        database_server.address("direct", "made-up-guess"): "password authentication failed",
        database_server.address("nowhere"): 'database "nowhere" does not exist',
        direct.replace(str(database_server.port), str(free_port())): "Connection refused",
        direct.replace(PASSWORD, f"{PASSWORD}@2"): "write / as %2F, @ as %40",
        direct.replace(PASSWORD, f"{PASSWORD}/2"): "write / as %2F, @ as %40",
    }
    for uri, reason in wrong.items():
        at_once.setenv("MLFLOW_TRACKING_URI", uri)
        said = fault(lambda: versions.resolve(CHAMPION, one))
        assert said.startswith("MLFLOW_TRACKING_URI: no MLflow server answers at postgresql")
        assert reason in said
        assert "made-up" not in said
    at_once.setenv("MLFLOW_TRACKING_URI", direct)
    with at_once.context() as absent:
        absent.setattr(errors, "find_spec", lambda name: None if name == "psycopg2" else name)
        said = fault(lambda: versions.resolve(CHAMPION, one))
    assert "psycopg2, which is not installed: pip install 'pamela[scale]'" in said
    at_once.setenv("MLFLOW_TRACKING_URI", database_server.create("empty"))
    homeless = project(tmp_path / "homeless", None)
    said = fault(lambda: registration.register_if_empty(homeless, params_of(homeless)))
    assert said.startswith("params.yaml: tracking.artifacts is null")
    assert versions.list_versions(homeless, params_of(homeless)) == []
    assert unfinished(homeless) == []
    with at_once.context() as absent:
        absent.setitem(sys.modules, "boto3", None)
        absent.setenv("MLFLOW_S3_ENDPOINT_URL", f"{s3['AWS_ENDPOINT_URL']}/")  # no client yet
        said = fault(lambda: registration.register_challenger(one, params))
    assert "boto3, which is not installed: pip install 'pamela[scale]'" in said
    assert versions.list_versions(one, params) == []
    assert unfinished(one) == []
