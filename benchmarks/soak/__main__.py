"""The soak as a command; it ends with the figures, and with status 1 if anything was wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every-step", action="store_true", help="die at each step of one cycle")
    parser.add_argument("--folder", type=Path, help="keep the project there")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        faults = _run(asked, asked.folder or Path(folder))
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults in {time.monotonic() - began:.0f} s")
    sys.exit(bool(faults))


def _run(asked: argparse.Namespace, home: Path) -> list[str]:
    def say(line: str) -> None:
        print(line, flush=True)

    if asked.every_step:
        from benchmarks.soak.every_step import every_step

        return every_step(home, say=say)
    from benchmarks.soak.run import soak

    return soak(home, asked.cycles, asked.seed, say=say)


if __name__ == "__main__":
    main()
