"""A small file system, to be filled: what a full disk does to each folder that is written."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Mount = Callable[[Path, int], None]


@contextlib.contextmanager
def small_disks() -> Iterator[Mount]:
    """Yield ``mount(folder, kilobytes)``, again for another size; skip where it is not allowed."""
    mounted: list[Path] = []

    def mount(folder: Path, kilobytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        size = f"size={kilobytes}k" + (",remount" if folder in mounted else "")
        command = ["mount", "-t", "tmpfs", "-o", size, "none", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        if done.returncode:
            pytest.skip("mounting is not allowed here")
        mounted.append(folder)

    try:
        yield mount
    finally:
        for folder in dict.fromkeys(reversed(mounted)):
            # lazily: a library may keep a file open there
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave no room in a small file system."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(4096))
