"""Files that machines and people compare: the same figures give the same bytes."""

from __future__ import annotations

import json

import polars as pl

from pamela.core.files import write_csv, write_metrics


def test_figures_that_differ_beyond_the_third_digit_are_the_same_file(tmp_path):
    for name, noise in (("one", 0.0), ("two", 3e-9)):
        write_metrics(tmp_path / name, {"srocc": 0.59269393 + noise, "n": 864, "skipped": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert json.loads((tmp_path / "one").read_text()) == {"srocc": 0.593, "n": 864, "skipped": 1}


def test_csv_holds_numbers_as_people_write_them(tmp_path):
    write_csv(tmp_path / "curve.csv", pl.DataFrame({"shots": [0, 5], "srocc": [0.5, None]}))
    assert (tmp_path / "curve.csv").read_text() == "shots,srocc\n0,0.500000\n5,\n"
