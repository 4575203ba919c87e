"""Encoding on one and on two Dask workers of this machine: ``python -m benchmarks.cluster``.

A ViT-B-32 with random weights encodes JPEG pictures of 512 px, drawn on the spot, by the workers of
the embed stage, one thread each. Both clusters stand all the while and take turns, so that other
work on the machine meets both; before that each encodes everything once, so that its workers have
opened the encoder. The figure is the median over turns of wall time on one worker over that on two.
CPU seconds, of the workers and of this process, stand beside: where both workers find a free core,
the wall is twice as fast as far as the CPU time of a picture stays the same.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from PIL import Image

from benchmarks.encoding import LARGE_SIDE, MODEL, make_model
from benchmarks.entries import Entry, entry
from benchmarks.timing import Taken, run_alone, timed
from pamela.compute.opening import open_runner
from pamela.core.files import file_sha256
from pamela.core.paths import Project
from pamela.features.embed import open_encoder
from pamela.features.encoders.base import Encoder
from pamela.features.workers import Workers
from pamela.params import ComputeParams, EmbedParams

WORKERS: Final = (1, 2)
PICTURES: Final = 256
BATCH: Final = 16
TURNS: Final = 3
GOAL: Final = 1.7


@dataclass(frozen=True)
class Pictures:
    """Files and their hashes."""

    files: Sequence[Path]
    keys: Sequence[str]


def draw(folder: Path, count: int) -> Pictures:
    """Write smooth random pictures."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        files.append(folder / f"{number}.jpg")
        coarse.resize((LARGE_SIDE, LARGE_SIDE), Image.Resampling.BICUBIC).save(files[-1])
    return Pictures(files, [file_sha256(file) for file in files])


def encode_all(workers: Workers, encoder: Encoder, pictures: Pictures) -> None:
    """Encode every picture, and keep nothing."""
    for _ in workers.encode_images(encoder, pictures.keys, pictures.files):
        pass


def take(workers: Workers, encoder: Encoder, pictures: Pictures) -> Taken:
    """Return the wall time, and the CPU time of this process and all below it."""
    before, began = _cpu(), time.perf_counter()
    encode_all(workers, encoder, pictures)
    return Taken(time.perf_counter() - began, _cpu() - before)


def _cpu() -> float:
    """Return the CPU seconds of this process and of those below it that live."""
    this = psutil.Process()
    times = [one.cpu_times() for one in (this, *this.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def bench_cluster(project: Project) -> list[Entry]:
    """Time encoding on one and on two workers."""
    rows: list[Entry] = []
    with tempfile.TemporaryDirectory() as aside, contextlib.ExitStack() as open_ones:
        folder = Path(aside)
        params = EmbedParams(encoder=make_model(folder), batch_size=BATCH, workers=0)
        pictures, encoder = draw(folder, PICTURES), open_encoder(params)
        several = {}
        for count in WORKERS:
            given = ComputeParams(runner="dask", workers=count, address=None)
            runner = open_ones.enter_context(open_runner(given))
            workers = several[count] = Workers(runner, params, encoder)
            first = timed(partial(encode_all, workers, encoder, pictures)).wall_s
            label = f"{PICTURES} pictures and the start, Dask, {count} workers"
            rows.append(entry(label, first, "s"))
        turns = [
            {count: take(workers, encoder, pictures) for count, workers in several.items()}
            for _ in range(TURNS)
        ]
    for count in WORKERS:
        speed = statistics.median(PICTURES / turn[count].wall_s for turn in turns)
        core = statistics.median(PICTURES / turn[count].cpu_s for turn in turns)
        rows.append(entry(f"{MODEL}, Dask, {count} workers", speed, "images/s"))
        rows.append(entry(f"{MODEL}, Dask, {count} workers, per CPU second", core, "images/s"))
    one, two = WORKERS
    wall = statistics.median(turn[one].wall_s / turn[two].wall_s for turn in turns)
    cpu = statistics.median(turn[one].cpu_s / turn[two].cpu_s for turn in turns)
    rows.append(entry("time on one worker over time on two", wall, "", GOAL))
    rows.append(entry("CPU time on one worker over that on two", cpu, ""))
    return rows


if __name__ == "__main__":
    run_alone("cluster", bench_cluster)
