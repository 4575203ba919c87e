"""The load generator, on a small model: what it tells, not how fast."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import serve
from pamela.core.errors import PamelaError


def test_every_client_is_answered_and_the_figures_are_told(small_project):
    rows = serve.bench_serve(small_project, requests=60, clients=4)
    figures = {row["name"]: row["value"] for row in rows}
    assert len(figures) == len(rows) == 6
    assert all(value > 0 for value in figures.values())


def test_anything_but_an_answer_is_an_error(small_project):
    with serve.serving(small_project, "models/bundle") as (url, process):
        with pytest.raises(PamelaError, match="422"):
            asyncio.run(serve._clients(url, [b"{}"], 1))
        assert serve.memory_mb(process) > 0
