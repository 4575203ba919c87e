"""What is said of progress where there is no terminal."""

from __future__ import annotations

from types import SimpleNamespace

from pamela.core import progress


def test_a_rate_is_of_what_this_run_did(monkeypatch, capsys):
    now = iter([0.0, 10.0, 20.0, 30.0])
    clock = SimpleNamespace(monotonic=lambda: next(now))
    monkeypatch.setattr("pamela.core.progress.time", clock)
    with progress.progress("score", total=10_000, unit="rows", done=4_000) as advance:
        for _ in range(3):
            advance(1_000)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "score: 6000/10000, 100 rows/s, 0:00:40 left"
