"""A whole server: in a moved folder, while the champion moves under load, and how it stops."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

import pamela
from pamela.core.paths import Project
from pamela.serving.http import server
from tests.conftest import command_env, override_params
from tests.helpers.http_kit import serve_the_other, served
from tests.paths import ROOT
from tests.unit.test_params import RAW

USER = "synthetic/p001"
KNOWN = {"user": USER, "images": [{"image_id": "i03"}]}
CLIENTS = 8


def move_champion(project: Project) -> None:
    """Register the other model of the champion's bundle, and move the alias to it."""
    with sqlite3.connect(project.root / "mlflow.db") as database:
        (path,) = database.execute(
            "SELECT value FROM model_version_tags WHERE key = 'path'"
        ).fetchone()
        folder = shutil.copytree(project.root / path, (project.root / path).with_name("other"))
        serve_the_other(folder)
        row = database.execute("SELECT * FROM model_versions").fetchone()
        marks = ", ".join("?" * len(row))
        names = [one[1] for one in database.execute("PRAGMA table_info(model_versions)")]
        other = [2 if name == "version" else value for name, value in zip(names, row, strict=True)]
        database.execute(f"INSERT INTO model_versions VALUES ({marks})", other)
        tag = ("pamela", 2, "path", project.relative(folder))
        into = "INSERT INTO model_version_tags (name, version, key, value)"
        database.execute(f"{into} VALUES (?, ?, ?, ?)", tag)
        database.execute("UPDATE registered_model_aliases SET version = 2 WHERE alias = 'champion'")


async def ask_until(client: httpx2.AsyncClient, enough) -> list[str]:
    """Ask until `enough` (of the model versions answered) is true; every answer is to be sound."""
    found: list[str] = []
    while not enough(found):
        answer = await client.post("/score", json=KNOWN)
        assert answer.status_code == 200, answer.text
        found += [one["model_version"] for one in answer.json()["scores"]]
    return found


def test_the_champion_moves_under_load_in_a_moved_folder(small_project, tmp_path):
    """One process for several questions: each start costs seconds."""
    moved = Project(small_project.root.rename(tmp_path / "a b é #1 100%"))
    override_params(moved.root, {"serve": {"reload_s": 0.2, "image_folder": "."}})
    expected = pamela.load(moved.models / "bundle")
    with served(moved.root) as here:
        with httpx2.Client(base_url=here.url, timeout=60) as client:
            assert client.get("/model").json()["version"] == "1"
            body = {"user": USER, "prompt": "a barn", "images": [{"image": "barn.png"}]}
            (score,) = client.post("/score", json=body).json()["scores"]
            (want,) = expected.score(user=USER, prompt="a barn", images=[moved.root / "barn.png"])
            assert score["rating"] == pytest.approx(want.rating, abs=1e-4)

        async def load() -> list[list[str]]:
            limits = httpx2.Limits(max_connections=CLIENTS)
            async with httpx2.AsyncClient(base_url=here.url, timeout=60, limits=limits) as client:
                asked = [
                    asyncio.create_task(
                        ask_until(
                            client, lambda seen: seen[-3:] == [expected.evaluated_version] * 3
                        )
                    )
                    for _ in range(CLIENTS)
                ]
                await asyncio.sleep(0.3)
                move_champion(moved)
                async with asyncio.timeout(60):
                    return await asyncio.gather(*asked)

        for versions in asyncio.run(load()):
            assert list(dict.fromkeys(versions)) == [expected.version, expected.evaluated_version]
        assert httpx2.get(f"{here.url}/model").json()["version"] == "2"
        assert here.stop() == 0


def test_a_stop_answers_what_was_asked(small_project):
    """Explaining takes long enough to be amidst it."""
    pictures = [
        {"image": base64.b64encode(path.read_bytes()).decode()}
        for path in sorted(small_project.root.glob("*.png"))
    ] * 10
    body = json.dumps({"user": USER, "images": pictures}).encode()
    with served(small_project.root, "--model", "models/bundle") as here:
        host, port = here.url.removeprefix("http://").split(":")
        head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            httpx2.get(f"{here.url}/health")  # by now the request before is read
            assert here.stop() == 0
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["scores"]) == len(pictures)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pamela.cli", "serve", *words]
    env = command_env(PYTHONPATH=str(ROOT))
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def test_an_address_that_is_taken_is_one_line(small_project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(small_project.root, "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: 127.0.0.1:{port}: cannot listen there (Address already")
    assert len(done.stderr.splitlines()) == 1


def test_a_picture_folder_that_is_not_there_is_one_line(small_project):
    override_params(small_project.root, {"serve": {"image_folder": "none"}})
    done = run(small_project.root)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "serve.image_folder" in done.stderr


def test_outside_of_a_project_the_same_defaults_hold():
    assert server.ELSEWHERE.model_dump() == RAW["serve"]
