"""The figures of `make bench` over time."""

from __future__ import annotations

import polars as pl
import pytest

from benchmarks import history
from pamela.core.errors import PamelaError
from pamela.core.paths import Project


def rows(**values: tuple[float, str]) -> list[dict[str, object]]:
    return [{"name": n, "value": v, "unit": u, "ratio": None} for n, (v, u) in values.items()]


def test_what_costs_a_tenth_more_is_told_and_what_is_no_speed_is_not(tmp_path, monkeypatch):
    project = Project(tmp_path)
    history.append(project, rows(train=(10.0, "s"), rate=(100.0, "images/s"), rho=(0.9, "SROCC")))
    with pytest.raises(PamelaError, match="1 sets of figures"):
        history.worse(history.read(project))
    first = history.read(project).with_columns(date=pl.lit("2026-01-01T00:00:00+00:00"))
    first.write_csv(tmp_path / history.FILE)
    history.append(
        project,
        rows(train=(11.5, "s"), rate=(80.0, "images/s"), rho=(0.5, "SROCC"), new=(9.0, "s")),
    )
    found = history.worse(history.read(project))
    assert found["name"].to_list() == ["rate", "train"]
    assert found["times"].to_list() == pytest.approx([1.25, 1.15])
    better = history.read(project).with_columns(
        value=pl.when(pl.col("date") == pl.col("date").max()).then(10.9).otherwise("value")
    )
    assert history.worse(better.filter(pl.col("name") == "train")).is_empty()


def test_a_figure_is_compared_with_the_last_set_that_has_it():
    sets = [("a", "train", 10.0), ("b", "serve", 1.0), ("c", "train", 12.0)]
    figures = pl.DataFrame(
        [{"date": d, "commit": "", "name": n, "value": v, "unit": "s"} for d, n, v in sets],
        schema=history.SCHEMA,
    )
    assert history.worse(figures).select("name", "before", "now").rows() == [("train", 10.0, 12.0)]
