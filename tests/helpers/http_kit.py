"""A served model in this process, and a whole server in a process of its own."""

from __future__ import annotations

import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from pamela.core.files import read_json, write_json
from pamela.core.paths import Project
from pamela.models.base import CONFIG, WEIGHTS
from pamela.params import load_params
from pamela.serving.http.app import make_app
from pamela.serving.http.current_model import CurrentModel
from pamela.serving.http.service import Service
from pamela.serving.requests.pictures import PictureDoor
from pamela.training.bundle_files import write_sums
from tests.conftest import command_env
from tests.paths import ROOT

START_S = 60.0
HERE = "http://127.0.0.1"


def serve_the_other(bundle: Path) -> str:
    """Let `bundle` serve the model that it was evaluated with, and return its version."""
    meta = read_json(bundle / "bundle.json")
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(bundle / "fold_0" / name, bundle / name)
    digest = meta["evaluated"]["model_hash"]
    assert digest != meta["model_hash"]
    write_json(bundle / "bundle.json", meta | {"model_hash": digest})
    write_sums(bundle)
    return f"{meta['model']}-{digest[:8]}"


@contextmanager
def client_of(project: Project, uri: str, folder: Path | None = None) -> Iterator[TestClient]:
    """Yield a client of the application around `uri`, without a socket; it answers faults, too."""
    params = load_params(project.params_file).serve
    model = CurrentModel(uri, project, PictureDoor(folder), params.max_batch)
    app = make_app(Service(model, params))
    with TestClient(app, HERE, raise_server_exceptions=False) as client:
        yield client


class Served:
    """A running ``pamela serve``."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process, self.url, self._log = process, url, log

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._log.read_text()

    def stop(self) -> int:
        """Ask it to stop, and return its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def served(folder: Path, *words: str) -> Iterator[Served]:
    """Run ``pamela serve`` in `folder` on a free port until the block ends."""
    command = [sys.executable, "-m", "pamela.cli", "serve", "--port", "0", *words]
    log = folder / "serve.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=command_env(PYTHONPATH=str(ROOT)), text=True,
            stdout=subprocess.PIPE, stderr=stream,
        )  # fmt: skip
    try:
        yield Served(process, _url(process, log), log)
    finally:
        process.kill()
        process.wait(30)


def _url(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if select.select([process.stdout], [], [], 0.2)[0]:
            found = re.search(r"http://\S+:\d+", process.stdout.readline())
            if found:
                return found.group()
    raise AssertionError(f"it does not serve: {log.read_text()[-2000:]}")
