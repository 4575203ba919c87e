"""``pamela serve`` under load: ``python -m benchmarks.serve``, part of `make bench`.

A server of a finished run's champion, and clients in this process who each ask again once they are
answered: half of them name a known picture by its id, half send its file in base64. Told are scores
a second, how long an answer takes, what the server's memory does, and what its start costs. Server
and clients share the machine.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast
from urllib.parse import urlsplit

import numpy as np
import psutil

from benchmarks.entries import Entry, entry
from benchmarks.timing import run_alone
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.training.bundle import load_bundle

CODE: Final = Path(__file__).parents[1]
CLIENTS: Final = 50
REQUESTS: Final = 20_000
WARM: Final = 2_000  # requests after which memory is looked at for the first time
SAMPLES: Final = 500  # different requests
SCORES_A_SECOND: Final = 500.0
P99_MS: Final = 250.0
START_CPU_S: Final = 4.0
MEGABYTE: Final = 2**20


@dataclass(frozen=True)
class Load:
    """What clients saw.

    Attributes
    ----------
    seconds : from the first request to the last answer.
    latencies : of each answer, in seconds.
    memory : of the server, in MB, after `WARM` requests and at the end.
    """

    seconds: float
    latencies: np.ndarray[tuple[int], np.dtype[np.float64]]
    memory: tuple[float, float]


# --- the server -----------------------------------------------------------------------------------
@contextmanager
def serving(project: Project, model: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run ``pamela serve`` on a free port; yield its address and process."""
    command = [sys.executable, "-m", "pamela.cli", "serve", "--port", "0", "--model", model]
    paths = os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        command, cwd=project.root, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    try:
        found = re.search(r"http://\S+:\d+", cast(IO[str], process.stdout).readline())
        if found is None:
            raise PamelaError(f"pamela serve did not start: {model}")
        yield found.group(), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds that a process has used."""
    used = process.cpu_times()
    return float(used.user + used.system)


def memory_mb(process: psutil.Process) -> float:
    """Return what a process holds in memory."""
    return float(process.memory_info().rss / MEGABYTE)


# --- the clients ----------------------------------------------------------------------------------
def requests_of(project: Project, bundle: Path, count: int = SAMPLES) -> list[bytes]:
    """Return `count` bodies of /score: a known picture by id, or by content where it has a file."""
    known = load_bundle(bundle)
    rng = np.random.default_rng(0)
    users, frame = known.people.keys, known.items.frame
    bodies: list[bytes] = []
    for row in rng.integers(0, frame.height, count).tolist():
        user = users[int(rng.integers(len(users)))]
        file = frame[s.FILE][row] if s.FILE in frame.columns else None
        picture = {"image_id": frame[s.IMAGE][row]}
        if file is not None and len(bodies) % 2:
            content = (project.root / file).read_bytes()
            picture = {"image": base64.b64encode(content).decode()}
        bodies.append(json.dumps({"user": user, "images": [picture]}).encode())
    return bodies


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, body: bytes
) -> None:
    """Ask for one score over an open connection; anything but an answer is an error."""
    head = (
        f"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = re.search(r"content-length: (\d+)", answer)
    content = await reader.readexactly(int(length.group(1)) if length else 0)
    if not answer.startswith("http/1.1 200"):
        raise PamelaError(f"the server answered {answer.splitlines()[0]}: {content[:200]!r}")


async def _client(url: str, bodies: Iterator[bytes], latencies: list[float]) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for body in bodies:
        start = time.perf_counter()
        await _ask(reader, writer, address.netloc, body)
        latencies.append(time.perf_counter() - start)
    writer.close()
    await writer.wait_closed()


async def _clients(url: str, bodies: Sequence[bytes], clients: int) -> list[float]:
    latencies: list[float] = []
    left = iter(bodies)
    await asyncio.gather(*(_client(url, left, latencies) for _ in range(clients)))
    return latencies


def put_under_load(
    url: str, process: psutil.Process, samples: Sequence[bytes], requests: int, clients: int
) -> Load:
    """Ask for `requests` scores, `clients` at a time."""
    bodies = [samples[i % len(samples)] for i in range(requests)]
    warm = min(WARM, requests // 2)
    asyncio.run(_clients(url, bodies[:warm], clients))
    before = memory_mb(process)
    start = time.perf_counter()
    latencies = asyncio.run(_clients(url, bodies[warm:], clients))
    seconds = time.perf_counter() - start
    return Load(seconds, np.array(latencies), (before, memory_mb(process)))


def bench_serve(
    project: Project,
    model: str = "models/bundle",
    requests: int = REQUESTS,
    clients: int = CLIENTS,
) -> list[Entry]:
    """Start a server, put it under load and return what was seen."""
    samples = requests_of(project, project.root / model)
    with serving(project, model) as (url, process):
        asyncio.run(_clients(url, samples[:1], 1))
        start = cpu_seconds(process)
        load = put_under_load(url, process, samples, requests, clients)
        each = (cpu_seconds(process) - start) / requests
    p50, p99 = np.percentile(load.latencies, [50, 99]) * 1000.0
    before, after = load.memory
    what = f"serve, {clients} clients"
    return [
        entry(
            f"{what}, known pictures",
            len(load.latencies) / load.seconds,
            "scores/s",
            SCORES_A_SECOND,
        ),
        entry(f"{what}, answer, median", p50, "ms"),
        entry(f"{what}, answer, 99 %", p99, "ms", P99_MS),
        entry("serve, CPU of a known picture", each * 1000.0, "ms"),
        entry(f"serve, memory after {requests} requests", after, "MB", before),
        entry("serve, start to the first score, CPU", start, "s", START_CPU_S),
    ]


if __name__ == "__main__":
    run_alone("serve", bench_serve)
