"""Progress bars on stderr for what takes over two seconds; plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BAR_UNITS = 1000  # steps of a bar that takes shares
PLAIN_EVERY_S = 15.0  # without a terminal: a line this often


@contextmanager
def progress(label: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show a bar called `label` that counts to `total`; yield the function that advances it.

    Examples
    --------
    >>> with progress("encode", total=3, quiet=True) as advance:
    ...     for _ in range(3):
    ...         advance(1)
    """
    if quiet:
        yield lambda n: None
        return
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_lines(label, total)
        return
    bar = bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=24),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=total)
        yield lambda n: bar.advance(task, n)


def _plain_lines(label: str, total: int) -> Callable[[int], None]:
    done, spoke = 0, time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, spoke
        done += n
        now = time.monotonic()
        if now - spoke >= PLAIN_EVERY_S:
            spoke = now
            print(f"{label}: {done}/{total}", file=sys.stderr, flush=True)

    return advance


@contextmanager
def share_bar(label: str, *, quiet: bool = False) -> Iterator[Callable[[float, str], None]]:
    """Show a bar for work that tells how far it is; yield what takes (share in [0, 1], what).

    Examples
    --------
    >>> with share_bar("fit", quiet=True) as report:
    ...     report(0.5, "half way")
    """
    with progress(label, BAR_UNITS, quiet=quiet) as advance:
        done = 0

        def report(share: float, _what: str) -> None:
            nonlocal done
            now = int(BAR_UNITS * min(share, 1.0))
            if now > done:
                advance(now - done)
                done = now

        yield report
