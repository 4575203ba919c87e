"""A tracking server that does not answer is told within seconds, wherever its address was set."""

from __future__ import annotations

import time

import pytest

from flows.server import free_port
from pamela.core.errors import PamelaError
from pamela.registry import reachable
from pamela.registry.reachable import require_server, shown
from tests.helpers.small_servers import answering, silent


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////tmp/there-is-none.db", "mlruns", "file:///tmp/mlruns", "databricks",
        "databricks://profile", "", "postgresql:///database",
    ],
)  # fmt: skip
def test_what_is_no_server_is_left_to_mlflow(uri):
    require_server(uri)


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_any_answer_is_one(status):
    with answering(status, b"OK", "text/plain") as url:
        require_server(url)
        require_server(f"{url}/below/")


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql+pymysql"])
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


def test_a_password_is_not_shown():
    assert shown("http://ann:secret@host:5000/path?token=x") == "http://host:5000/path"
    assert shown("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
