"""The hub: its own client against a small server on loopback, then its cache alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pamela.core.errors import PamelaError
from pamela.data.importing import hub
from tests.conftest import command_env
from tests.helpers.folders import ROOT, make_project
from tests.helpers.miniatures import Planted, pamela_release
from tests.unit.data.importing.test_archive import zip_folder


def git_id(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """A hub with dataset repositories of one commit each, on branch ``main`` and tag ``v1``."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""


def handler_for(world: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            world.asked.append(f"{self.command} {path}")
            words = path.strip("/").split("/")
            if words[:2] == ["api", "datasets"]:
                self._api("/".join(words[2:4]), words[4:])
            elif words[0] == "datasets" and words[3:4] == ["resolve"]:
                files = world.repositories.get("/".join(words[1:3]), {})
                self._file(files.get("/".join(words[5:])), body=body)
            else:
                self._send(404, b"{}", {})

        def _api(self, repo: str, rest: list[str]) -> None:
            files = world.repositories.get(repo)
            if files is None:
                self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif repo.endswith("gated"):
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
            elif rest and rest[1] not in ("main", "v1", COMMIT):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            elif rest and rest[0] == "tree":
                tree = [
                    {"type": "file", "path": p, "size": len(c), "oid": git_id(c)}
                    for p, c in files.items()
                ]
                self._send(200, json.dumps(tree).encode(), {})
            else:
                siblings = [{"rfilename": path} for path in files]
                about = {"id": repo, "sha": COMMIT, "private": False, "siblings": siblings}
                self._send(200, json.dumps(about).encode(), {})

        def _file(self, content: bytes | None, *, body: bool) -> None:
            if content is None:
                self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
                return
            tag = {"ETag": f'"{git_id(content)}"', "X-Repo-Commit": COMMIT}
            self._send(200, content, tag, body=body)

        def _send(
            self, status: int, content: bytes, more: dict[str, str], *, body: bool = True
        ) -> None:
            self.send_response(status)
            for key, value in {**more, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body and self.command != "HEAD":
                self.wfile.write(content)

    return Handler


@pytest.fixture(scope="module")
def world() -> Iterator[Hub]:
    world = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(world))
    world.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield world
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def released(world: Hub, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """The release as three repositories: a zip, a folder, loose notes beside zipped pictures."""
    top = tmp_path_factory.mktemp("hub")
    planted = pamela_release(top / "rel")
    packed = zip_folder(top / "rel", top / "PAMELA.zip").read_bytes()
    release = top / "rel" / "PAMELA"
    loose = {
        path.relative_to(top / "rel").as_posix(): path.read_bytes()
        for path in sorted(release.rglob("*"))
        if path.is_file()
    }
    notes = {path: content for path, content in loose.items() if path.endswith(".json")}
    for path in release.rglob("*.json"):
        path.unlink()
    pictures = zip_folder(release, top / "pictures.zip").read_bytes()
    card = {"README.md": b"# a card", "parquet/train.parquet": b"not wanted"}
    world.repositories |= {
        "someone/zip": {**card, "PAMELA.zip": packed},
        "someone/folder": {**card, **loose},
        "someone/both": {**card, **notes, "pictures.zip": pictures},
        "someone/gated": {},
    }
    return planted


SCRIPT = """
import json, sys
from pathlib import Path
from pamela.core.errors import PamelaError
from pamela.data.importing.dataset import import_dataset
from pamela.core.paths import Project
for name, address in json.loads(sys.argv[1]).items():
    try:
        got = import_dataset(Project(Path.cwd()), "pamela", address, name)
        print(json.dumps([got.ratings, got.splits, got.pictures, got.unnamed]))
    except PamelaError as error:
        print(json.dumps(str(error)))
"""


def imports(project: Path, cache: Path, url: str, wanted: dict[str, str], **more: str) -> list:
    """Import each {name: address} in a process: the client reads its settings once."""
    env = command_env(
        HF_ENDPOINT=url, HF_HOME=str(cache), HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1", PYTHONPATH=str(ROOT), POLARS_MAX_THREADS="2",
        **more,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(wanted)],
        cwd=project, env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_release_comes_from_the_hub_and_then_from_its_cache(
    world: Hub, released: Planted, tmp_path: Path
) -> None:
    project, cache = make_project(tmp_path / "p"), tmp_path / "cache"
    found = [released.ratings, released.splits, released.images, 0]
    online = {
        "zip": "hf://someone/zip",
        "folder": "hf://datasets/someone/folder@v1",
        "both": "hf://someone/both",
        "none": "hf://someone/none",
        "gated": "hf://someone/gated",
        "old": "hf://someone/zip@v0",
    }
    *sound, none, gated, old = imports(project.root, cache, world.url, online)
    assert sound == [found, found, found]
    assert "hf://someone/none: no such dataset" in none
    assert "hf://someone/gated: its terms must be accepted" in gated
    assert "hf://someone/zip@v0: no such revision" in old
    assert not [a for a in world.asked if "README.md" in a or "parquet" in a]
    trees = {
        name: sorted(p.relative_to(project.raw / name) for p in (project.raw / name).rglob("*"))
        for name in ("zip", "folder", "both")
    }
    assert trees["zip"] == trees["folder"] == trees["both"]
    assert not any(p.is_symlink() for p in project.raw.rglob("*"))

    world.asked.clear()
    offline = {"again": "hf://someone/zip", "other": "hf://someone/zip@v1", "tag": online["folder"]}
    again, other, tag = imports(project.root, cache, world.url, offline, HF_HUB_OFFLINE="1")
    assert [again, tag] == [found, found]
    assert "the hub cannot be reached and the cache does not hold it" in other
    assert world.asked == []
    assert sorted(p.name for p in project.raw.iterdir()) == [
        "again", "both", "folder", "tag", "zip",
    ]  # fmt: skip


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p")
    wanted = {"x": "hf://someone/zip"}
    (said,) = imports(project.root, tmp_path / "cache", "http://127.0.0.1:9", wanted)
    assert said.startswith("hf://someone/zip: the hub cannot be reached")


def test_an_address_is_owner_name_and_revision() -> None:
    assert hub.parse("hf://a/b") == hub.Address("a/b", None)
    assert hub.parse("hf://datasets/a/b@refs/pr/1") == hub.Address("a/b", "refs/pr/1")
    assert str(hub.parse("hf://a/b@v1")) == "hf://a/b@v1"
    for text in ("hf://", "hf://a", "hf://a/b/c", "hf://a/b@", "hf://a b/c"):
        with pytest.raises(PamelaError, match="not an address on the hub"):
            hub.parse(text)


def test_a_link_out_of_the_cache_is_refused(tmp_path: Path) -> None:
    snapshot = tmp_path / "cache" / "datasets--a--b" / "snapshots" / COMMIT
    blob = snapshot.parents[1] / "blobs" / "1"
    for path in (blob, tmp_path / "secret"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    snapshot.mkdir(parents=True)
    (snapshot / "in.json").symlink_to("../../blobs/1")
    (snapshot / "out.json").symlink_to(tmp_path / "secret")
    opened = hub.Snapshot(snapshot)
    opened.extract("in.json", tmp_path / "to" / "in.json")
    assert (tmp_path / "to" / "in.json").read_text() == "x"
    with pytest.raises(PamelaError, match="leads out of the hub's cache"):
        opened.extract("out.json", tmp_path / "to" / "out.json")
