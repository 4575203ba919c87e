"""PREFECT_API_URL: a server that is not there is told within seconds, and before any work."""

from __future__ import annotations

import resource
import time

import pytest

from flows.environment import require_given_server
from flows.server import free_port
from pamela.core.errors import PamelaError
from tests.conftest import run_in
from tests.helpers.small_servers import answering
from tests.paths import ROOT

URL = "PREFECT_API_URL"


def test_none_is_asked_for_where_none_is_set(monkeypatch):
    monkeypatch.delenv(URL, raising=False)
    require_given_server()


def test_a_server_is_taken_at_its_word(monkeypatch):
    with answering(200, b"true", "application/json") as url:
        monkeypatch.setenv(URL, url)
        require_given_server()
    with answering(401, b"who are you", "text/plain") as url:  # a cloud, before the key is sent
        monkeypatch.setenv(URL, url)
        require_given_server()


def test_an_address_without_api_is_told(monkeypatch):
    for status in (200, 404):
        with answering(status, b"<html>", "text/html") as url:
            monkeypatch.setenv(URL, url)
            with pytest.raises(PamelaError, match=r"API.*: its address ends in /api"):
                require_given_server()


@pytest.mark.parametrize(
    "url", ["http://ann:secret@127.0.0.1:{port}/api", "127.0.0.1", "x://y", "file:///"]
)
def test_what_does_not_answer_is_told_without_a_password(monkeypatch, url):
    monkeypatch.setenv(URL, url.format(port=free_port()))
    with pytest.raises(PamelaError, match=f"{URL}: no Prefect server answers at .*unset") as caught:
        require_given_server()
    assert "secret" not in str(caught.value)


def test_nothing_to_retrain_is_said_before_anything_heavy_is_imported(tmp_path):
    """At most 3 s of CPU for `pamela retrain --once`; of these about one is imports."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    said = "nothing to do: no complete batch in data/inbox"
    code = (
        "import sys; sys.argv = ['retrain', '--once']; import flows.retrain_service as service\n"
        "service.command()\n"
        "print(*({'prefect', 'torch', 'mlflow', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_in(tmp_path, "python", "-c", code, PYTHONPATH=str(ROOT))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines() == [said, ""], done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


@pytest.mark.parametrize("module", ["flows.pipeline", "flows.retrain"])
def test_a_command_ends_with_one_line(tmp_path, module):
    """Before it does anything: the folder holds params.yaml and nothing else."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    words = [module, "--once"] if module == "flows.retrain" else [module]
    began = time.monotonic()
    env = {URL: f"http://127.0.0.1:{free_port()}/api", "PYTHONPATH": str(ROOT)}
    done = run_in(tmp_path, "python", "-m", *words, **env)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith(f"error: {URL}: no Prefect server answers at")
    assert time.monotonic() - began < 60
