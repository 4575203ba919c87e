from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from pamela.compute.addresses import require_listener
from pamela.compute.opening import open_runner
from pamela.compute.runner import LocalRunner
from pamela.core.errors import PamelaError
from pamela.params import ComputeParams
from tests.helpers.extras import needs


def use(runner: str, address: str | None) -> None:
    params = ComputeParams(runner=runner, workers=1, address=address)
    with open_runner(params) as found:
        list(found.map(abs, [1]))


@pytest.fixture(scope="module")
def nobody() -> str:
    """An address that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


class Silent(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def other_server() -> Iterator[str]:
    """The address of something that is no scheduler."""
    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_local_is_this_process():
    with open_runner(ComputeParams(runner="local", workers=1, address=None)) as runner:
        assert isinstance(runner, LocalRunner)


@pytest.mark.parametrize(("runner", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_is_named(runner, package, monkeypatch):
    monkeypatch.setattr("pamela.core.errors.find_spec", lambda name: None)
    with pytest.raises(PamelaError, match=rf"^compute\.runner: {runner} needs .*{package}.*pip"):
        use(runner, None)


@pytest.mark.parametrize(
    "runner", [pytest.param("dask", marks=needs("dask")), pytest.param("ray", marks=needs("ray"))]
)
def test_a_wrong_address_is_one_line(runner: str, nobody: str):
    with pytest.raises(PamelaError, match=rf"^compute\.address '{nobody}': nobody answers there"):
        use(runner, nobody)


@needs("dask")
def test_another_server_is_no_scheduler(other_server: str, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(PamelaError, match="no Dask scheduler answers there"):
        use("dask", other_server)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "address",
    ["", "host", "host:", "host:x", "host:70000", ":8786", "http://host:1", "tcp://host:1/a"],
)
def test_what_is_no_address_is_told(address: str):
    with pytest.raises(PamelaError, match=r"is no address; write one such as tcp://h:1"):
        require_listener(address, ("tcp", "tls"), "tcp://h:1")
