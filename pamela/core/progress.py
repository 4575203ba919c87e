"""Progress bars on stderr for what takes over two seconds; plain lines without a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

BAR_UNITS = 1000  # steps of a bar that takes shares
PLAIN_EVERY_S = 15.0  # without a terminal: a line this often


@contextmanager
def progress(
    label: str, total: int, *, quiet: bool = False, unit: str | None = None, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show a bar called `label` that counts to `total`; yield the function that advances it.

    Parameters
    ----------
    unit : what is counted, where its rate is to be shown.
    done : where the count begins, as an earlier run came so far.

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
        yield _plain_lines(label, total, unit, done)
        return
    bar = bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=24),
        bars.MofNCompleteColumn(),
        *([_rate_column(unit)] if unit else []),
        bars.TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda n: bar.advance(task, n)


def _rate_column(unit: str) -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """How much is done in a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "")

    return RateColumn()


def _plain_lines(label: str, total: int, unit: str | None, done: int) -> Callable[[int], None]:
    first, began = done, time.monotonic()
    spoke = began

    def advance(n: int) -> None:
        nonlocal done, spoke
        done += n
        now = time.monotonic()
        if now - spoke >= PLAIN_EVERY_S:
            spoke = now
            rate = _rate((done - first) / (now - began), total - done, unit) if unit else ""
            print(f"{label}: {done}/{total}{rate}", file=sys.stderr, flush=True)

    return advance


def _rate(speed: float, left: int, unit: str) -> str:
    """Return the rate and the time left, for a plain line."""
    seconds = timedelta(seconds=round(left / speed)) if speed else "?"
    return f", {speed:,.0f} {unit}/s, {seconds} left"


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


@contextmanager
def shown_now(label: str, *, quiet: bool = False) -> Iterator[Callable[[Sequence[str]], None]]:
    """Show what is being worked on side by side; yield the function that takes their names.

    Examples
    --------
    >>> with shown_now("train", quiet=True) as show:
    ...     show(["paper, fold 0", "hierarchical, fold 0"])
    """
    if quiet:
        yield lambda names: None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(label) as status:
            yield lambda names: status.update(_now(label, names))
        return
    spoke = time.monotonic()

    def show(names: Sequence[str]) -> None:
        nonlocal spoke
        if names and time.monotonic() - spoke >= PLAIN_EVERY_S:
            spoke = time.monotonic()
            print(_now(label, names), file=sys.stderr, flush=True)

    yield show


def _now(label: str, names: Sequence[str]) -> str:
    return f"{label}: {' | '.join(names)}"
