"""Pictures to files: drawing many prompts in processes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2

from pamela.compute.processes import process_pool
from pamela.core.errors import PamelaError
from pamela.core.progress import progress
from pamela.synthetic.rendering.canvas import Picture
from pamela.synthetic.rendering.render import render

JPEG_QUALITY: Final = 92
WORKERS: Final = 2
CHUNK: Final = 32
WORTH_PROCESSES: Final = 300  # fewer pictures are drawn before a process has started

Task = tuple[Path, str, int]  # file, prompt, seed


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture (size, size, 3) as JPEG."""
    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise PamelaError(f"{path}: OpenCV cannot write JPEG; install opencv-python-headless again")
    path.write_bytes(data.tobytes())


def draw_files(tasks: Sequence[Task], size: int) -> None:
    """Draw every prompt of `tasks` to its file, with a progress bar."""
    chunks = [(tasks[i : i + CHUNK], size) for i in range(0, len(tasks), CHUNK)]
    with progress("draw pictures", len(tasks)) as advance:
        if len(tasks) < WORTH_PROCESSES:
            for chunk in chunks:
                advance(_draw_chunk(chunk))
            return
        with process_pool(WORKERS) as pool:
            for count in pool.map(_draw_chunk, chunks):
                advance(count)


def _draw_chunk(chunk: tuple[Sequence[Task], int]) -> int:
    tasks, size = chunk
    for path, prompt, seed in tasks:
        write_picture(path, render(prompt, seed, size))
    return len(tasks)
