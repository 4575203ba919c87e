"""A tracking server that does not answer is told within seconds, wherever its address was set."""

from __future__ import annotations

import time

import pytest

from flows.server import free_port
from pamela.core.errors import PamelaError
from pamela.registry import reachable
from pamela.registry.reachable import is_database, require_server, shown
from tests.helpers import extras
from tests.helpers.small_servers import answering, silent


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////tmp/there-is-none.db", "mlruns", "file:///tmp/mlruns", "databricks",
        "databricks://profile", "",
    ],
)  # fmt: skip
def test_what_is_no_server_is_left_to_mlflow(uri):
    require_server(uri)


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_any_answer_is_one(status):
    with answering(status, b"OK", "text/plain") as url:
        require_server(url)
        require_server(f"{url}/below/")


@pytest.mark.parametrize(
    "scheme",
    ["http", "https", pytest.param("postgresql", marks=extras.needs("scale")), "mysql+pymysql"],
)
def test_an_address_where_nothing_listens_is_told_at_once(scheme, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "set")
    began = time.monotonic()
    with pytest.raises(PamelaError) as caught:
        require_server(f"{scheme}://ann:secret@127.0.0.1:{free_port()}/name?key=secret")
    said = str(caught.value)
    assert said.startswith(f"MLFLOW_TRACKING_URI: no MLflow server answers at {scheme}://127.0.0.1")
    assert "unset the variable" in said
    assert "secret" not in said
    assert time.monotonic() - began < 5


def test_params_are_named_where_they_hold_the_address(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(PamelaError, match=r"params.yaml: tracking.uri: .*correct the address"):
        require_server(f"http://127.0.0.1:{free_port()}")


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(reachable, "TIMEOUT_S", 0.3)
    with silent() as port, pytest.raises(PamelaError, match="no MLflow server answers"):
        require_server(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("uri", ["http://", "http://:5000", "http://[::1", "http://h:port"])
def test_an_address_that_is_none_is_one_line(uri):
    with pytest.raises(PamelaError, match="no MLflow server answers"):
        require_server(uri)


def test_only_a_server_that_has_answered_is_waited_for(monkeypatch):
    faults = iter(["down", "", "down", "down", "", "down"])
    monkeypatch.setattr(reachable, "_fault_at", lambda uri: next(faults))
    monkeypatch.setattr(reachable, "_answered", set())
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(PamelaError, match=r"answers at http://host \(down\)"):
        require_server("http://host")
    require_server("http://host")
    require_server("http://host")  # it comes back
    monkeypatch.setattr(reachable, "PATIENCE_S", 0.0)
    with pytest.raises(PamelaError, match="down"):
        require_server("http://host")


@pytest.mark.parametrize("secret", ["pa@ss", "pa/ss", "pa:ss@"])
@pytest.mark.parametrize("scheme", ["http", "postgresql", "postgresql+psycopg2"])
def test_a_password_that_is_cut_apart_is_told_without_it(scheme, secret):
    with pytest.raises(PamelaError, match="write / as %2F") as told:
        require_server(f"{scheme}://ann:{secret}@127.0.0.1:1/name")
    assert "pa" not in str(told.value).replace("params", "").replace("password", "")


def test_a_database_is_told_from_a_tracking_server():
    assert is_database("postgresql+psycopg2://ann@host/name")
    assert not is_database("https://host")
    assert not is_database("sqlite:///mlflow.db")


def test_a_password_is_not_shown():
    assert shown("http://ann:secret@host:5000/path?token=x") == "http://host:5000/path"
    assert shown("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
