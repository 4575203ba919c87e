"""The rewriter `chat:` with the server of transformers, offline, and a model taught on the spot."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pamela.params import load_params
from pamela.steer.rewriters.factory import get_rewriter
from tests.conftest import command_env
from tests.helpers import tiny_models
from tests.helpers.extras import needs
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, needs("steer"), pytest.mark.timeout(300)]
START_S = 180.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_language_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    command = Path(sys.executable).with_name("transformers")
    words = [str(command), "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            words, stdout=stream, stderr=stream, env=command_env(HF_HUB_OFFLINE="1")
        )
        try:
            _wait(process, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"transformers serve did not start: {log.read_text()[-2000:]}")


def test_it_writes_the_variants(url: str, folder: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    asked = params.steer.language_model.model_copy(update={"max_tokens": 200})
    named = {
        "rewriter": f"chat:{url}#{folder}",
        "generator": "diffusers:x",
        "language_model": asked,
    }
    steer = params.steer.model_copy(update=named)
    with get_rewriter(params.model_copy(update={"steer": steer})) as rewriter:
        found = rewriter.rewrite([tiny_models.request(4, seed) for seed in (1, 2)])
    for variants in found:
        assert len(set(variants)) == 4
        assert all(one.startswith(tiny_models.SUBJECT) for one in variants)
