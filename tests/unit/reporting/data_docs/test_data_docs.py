"""The data docs: what is counted, who is flagged, and the page."""

from __future__ import annotations

from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.params import ValidateParams, load_params
from pamela.reporting.data_docs.page import write_data_docs
from pamela.reporting.data_docs.plots import count_edges
from pamela.reporting.data_docs.raters import SPEEDER, STRAIGHT, flag_raters
from pamela.reporting.data_docs.statistics import GRID, collect, demographics, distribution
from tests.helpers.folders import ROOT, make_project, ratings_of, write_tables
from tests.helpers.stages import run_stages
from tests.unit.validation.test_validate import run

START = datetime(2026, 3, 1, 9, 30)
PARAMS = load_params(ROOT / "params.yaml").validate_.model_copy(
    update={"straight_line_share": 0.9, "flag_min_ratings": 10, "speeder_seconds": 1.0}
)


def table(rows: list[dict[str, Any]]) -> pl.LazyFrame:
    """Return rating rows; columns that are left out are null, the file is the dataset's own."""
    base: dict[str, Any] = dict.fromkeys(s.RATINGS_SCHEMA)
    base |= {s.DATASET: "d", s.SOURCE_FILE: "data/raw/d/ratings.csv"}
    made = [base | {s.IMAGE: f"i{n}"} | row for n, row in enumerate(rows)]
    return pl.DataFrame(made, schema=s.RATINGS_SCHEMA).lazy()


def of_user(user: str, ratings: list[float], seconds: list[float] | None = None) -> list[Any]:
    """Return a user's rows, in order, with times where `seconds` (since the start) are given."""
    times: list[datetime | None] = (
        [START + timedelta(seconds=t) for t in seconds] if seconds else [None] * len(ratings)
    )
    return [
        {s.USER: user, s.RATING: rating, s.RATED_AT: time}
        for rating, time in zip(ratings, times, strict=True)
    ]


# --- counting -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("low", "high", "step"), [(1, 5, 1), (1, 5, 0.5), (0, 10, 1), (1, 7, 1), (-2, 2, 0.25)]
)
def test_every_step_of_a_scale_has_its_bar(low: float, high: float, step: float) -> None:
    steps = np.arange(low, high + step / 2, step)
    wanted = np.arange(1, len(steps) + 1)
    wanted[1] = 0  # nobody chose this one
    ratings = [float(v) for v, n in zip(steps, wanted, strict=True) for _ in range(n)]
    found = collect(table(of_user("u", ratings)), [low, high]).values
    assert found.steps is not None
    assert found.steps.tolist() == pytest.approx(steps.tolist())
    assert found.counts.tolist() == wanted.tolist()
    assert found.edges.tolist() == pytest.approx([*(steps - step / 2), high + step / 2])
    assert found.mean == pytest.approx(np.mean(ratings), abs=1e-4)
    assert found.sd == pytest.approx(np.std(ratings), abs=1e-4)


def test_a_fine_scale_is_binned() -> None:
    ratings = [float(v) for v in range(101)] + [37.25, 99.999]
    found = collect(table(of_user("u", ratings)), [0, 100]).values
    assert found.steps is None
    assert found.edges.tolist() == pytest.approx(np.linspace(0, 100, 21).tolist())
    assert found.counts.tolist() == np.histogram(ratings, bins=np.linspace(0, 100, 21))[0].tolist()


def test_all_equal_or_no_ratings_can_be_drawn() -> None:
    for cells, n in (
        (np.array([GRID // 2]), np.array([7])),
        (np.array([], int), np.array([], int)),
    ):
        found = distribution(cells, n, 1.0, 5.0)
        assert found.counts.sum() == n.sum()
        assert len(found.edges) == len(found.counts) + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=60))
def test_no_count_falls_out_of_its_histogram(counts: list[int]) -> None:
    n = np.array(counts)
    edges = count_edges(n)
    assert np.all(np.diff(edges) > 0)
    assert np.histogram(n, bins=edges)[0].sum() == len(counts)
    assert np.all(edges % 1 == 0.5)


def test_demographics_have_shares_others_and_the_missing() -> None:
    ages = [f"a{i:02}" for i in range(12) for _ in range(12 - i)] + [None] * 22
    users = pl.DataFrame(
        {
            s.DATASET: "d",
            s.USER: [f"u{i}" for i in range(100)],
            "age": ages,
            "other_dataset's": pl.Series([None] * 100, dtype=pl.String),
        }
    )
    (found,) = demographics(users)
    assert (found.name, found.users, found.missing) == ("age", 100, 22)
    assert found.categories[:2] == [("a00", 12), ("a01", 11)]
    assert len(found.categories) == 10
    assert found.others == (2, 2 + 1)


# --- raters ---------------------------------------------------------------------------------------
cells = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.integers(1, 3),
    st.one_of(st.none(), st.integers(0, 40)),
    st.one_of(st.none(), st.integers(0, 5)),
    st.booleans(),
)


def slow_rater(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one user's figures from the definitions, row by row; `rows` as they came in."""
    ratings = [row[s.RATING] for row in rows]
    counts = {value: ratings.count(value) for value in sorted(set(ratings))}
    top = max(counts, key=lambda value: counts[value])
    timed = sorted((row for row in rows if row[s.RATED_AT]), key=lambda row: row[s.RATED_AT])
    times = [row[s.RATED_AT] for row in timed]
    tells = len(set(times)) > 1
    order = None
    if tells and len(timed) == len(rows):
        order = sorted(
            rows, key=lambda r: (r[s.RATED_AT], -1 if r[s.POSITION] is None else r[s.POSITION])
        )
    elif all(row[s.POSITION] is not None for row in rows):
        order = sorted(
            rows,
            key=lambda r: (
                r[s.SOURCE_FILE] if "batches" in r[s.SOURCE_FILE] else "",
                r[s.POSITION],
            ),
        )
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    return {
        "n": len(rows),
        "top_value": top,
        "top_n": counts[top],
        "longest_run": max(len(list(g)) for _, g in groupby(r[s.RATING] for r in order))
        if order
        else None,
        "timed": len(timed),
        "median_seconds": median(gaps) if tells else None,
    }


@settings(max_examples=80, deadline=None)
@given(st.lists(cells, min_size=1, max_size=40), st.integers(1, 50))
def test_raters_are_as_a_slow_reading_has_them(made: list[Any], rows_at_once: int) -> None:
    rows = [
        {
            s.USER: user,
            s.IMAGE: f"i{n}",
            s.RATING: float(rating),
            s.RATED_AT: None if second is None else START + timedelta(seconds=second),
            s.POSITION: position,
            s.SOURCE_FILE: "data/batches/d/b/ratings.csv" if batch else "data/raw/d/ratings.csv",
        }
        for n, (user, rating, second, position, batch) in enumerate(made)
    ]
    raters = collect(table(rows), [1, 3], rows_at_once=rows_at_once).raters
    assert raters[s.USER].to_list() == sorted({row[s.USER] for row in rows})
    for found in raters.iter_rows(named=True):
        mine = [row for row in rows if row[s.USER] == found[s.USER]]
        values = [row[s.RATING] for row in mine]
        wanted = slow_rater(mine)
        assert {key: found[key] for key in wanted} == pytest.approx(wanted)
        assert found["mean"] == pytest.approx(np.mean(values))
        assert found["sd"] == pytest.approx(np.std(values), abs=1e-6)


def test_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {s.USER: f"u{u}", s.IMAGE: f"i{i}", s.RATING: float(r), s.RATED_AT: START}
        for u, i, r in zip(
            rng.integers(0, 40, 900), rng.integers(0, 70, 900), rng.integers(1, 6, 900), strict=True
        )
    ]
    whole, parted = (collect(table(rows), [1, 5], rows_at_once=n) for n in (10_000, 100))
    assert whole.rows == parted.rows == whole.timed == parted.timed == 900
    assert_frame_equal(whole.raters, parted.raters)
    assert_frame_equal(whole.images, parted.images)
    assert whole.images["n"].sum() == 900
    assert whole.values.counts.tolist() == parted.values.counts.tolist()
    assert whole.values.counts.tolist() == [
        sum(row[s.RATING] == value for row in rows) for value in range(1, 6)
    ]


def flags_of(rows: list[Any], params: ValidateParams = PARAMS) -> tuple[set[str], set[str]]:
    """Return the straight-liners and the speeders."""
    raters = flag_raters(collect(table(rows), [1, 5]).raters, params)
    straight, quick = (raters.filter(flag)[s.USER] for flag in (STRAIGHT, SPEEDER))
    return set(straight), set(quick)


def test_only_who_never_says_the_other_of_two_values_is_a_straight_liner() -> None:
    rows = [
        *of_user("likes all", [1.0] * 40),
        *of_user("likes nearly all", [1.0] * 39 + [0.0]),
        *of_user("in a row", [0.0] * 20 + [1.0] * 20),
    ]
    found = collect(table(rows), [0, 1])
    assert found.values.two_values
    flagged = flag_raters(found.raters, PARAMS, two_values=True).filter(STRAIGHT)
    assert flagged[s.USER].to_list() == ["likes all"]


def test_planted_raters_are_flagged_and_honest_ones_are_not() -> None:
    mixed = [1.0, 2.0, 3.0, 4.0, 5.0] * 6
    slow, quick = ([t * n for n in range(30)] for t in (5.0, 0.4))
    rows = [
        *of_user("honest", mixed, slow),
        *of_user("constant", [3.0] * 30, slow),
        *of_user("nearly", [4.0] * 9 + [2.0]),
        *of_user("not enough of one", [4.0] * 8 + [2.0, 1.0]),
        *of_user("in a row", mixed[:20] + [5.0] * 10, slow),
        *of_user("not in a row", [1.0, 5.0] * 15, slow),
        *of_user("too few", [3.0] * 9, [0.1 * n for n in range(9)]),
        *of_user("quick", mixed, quick),
        *of_user("quick but for breaks", mixed, [t + 3600 * (t > 6) for t in quick]),
        *of_user("all at once", mixed, [0.0] * 30),
    ]
    assert flags_of(rows) == (
        {"constant", "nearly", "in a row"},
        {"quick", "quick but for breaks"},
    )


def test_days_without_a_time_of_day_tell_neither_speed_nor_order() -> None:
    days = [START.replace(hour=0, minute=0) + timedelta(days=n // 10) for n in range(30)]
    rows = [row | {s.RATED_AT: day} for row, day in zip(of_user("u", [1.0] * 10 + [2.0, 3.0] * 10),
                                                        days, strict=True)]  # fmt: skip
    (found,) = collect(table(rows), [1, 5]).raters.iter_rows(named=True)
    assert (found["timed"], found["median_seconds"], found["longest_run"]) == (30, None, None)
    assert flags_of(rows) == (set(), set())


def test_the_thresholds_are_those_of_the_params() -> None:
    rows = of_user("u", [3.0] * 7 + [1.0, 2.0, 4.0], [2.0 * n for n in range(10)])
    assert flags_of(rows) == (set(), set())
    looser = PARAMS.model_copy(update={"straight_line_share": 0.7, "speeder_seconds": 2.5})
    assert flags_of(rows, looser) == ({"u"}, {"u"})
    assert flags_of(rows, looser.model_copy(update={"flag_min_ratings": 11})) == (set(), set())


# --- the page -------------------------------------------------------------------------------------
class Page(HTMLParser):
    """Collects the visible text, what the page would fetch, and its tags."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.urls: list[str | None] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.urls += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A dataset of 12 users and 8 images with three faulty rows and a straight-liner."""
    params = PARAMS.model_dump() | {"max_quarantined_share": 0.5, "flag_min_ratings": 8}
    made = make_project(tmp_path / "p", ingest={"datasets": ["d"]}, validate=params)
    ratings = ratings_of(12, 8).with_columns(
        rating=pl.when(pl.col(s.USER) == "u3").then(pl.lit("2")).otherwise(pl.col(s.RATING))
    )
    faulty = pl.DataFrame(
        [("u0", "i0", "9"), ("u1", "nowhere", "<b>"), ("u2", "i1", "11")],
        schema=ratings.schema,
        orient="row",
    )
    users = pl.DataFrame(
        {s.USER: [f"u{u}" for u in range(12)], "gender": ["<i>f</i>", "m", ""] * 4}
    )
    images = pl.DataFrame(
        {"image_id": [f"i{i}" for i in range(8)], "file": [f"images/i{i}.png" for i in range(8)],
         "prompt": "x"}
    )  # fmt: skip
    write_tables(made.raw / "d", pl.concat([ratings, faulty]), users, images)
    return made


def docs(project: Project) -> Page:
    write_data_docs(project, load_params(project.params_file).validate_)
    return Page(project.reports / "data.html")


def test_the_page_says_what_is_there(project: Project) -> None:
    run(project)
    page = docs(project)
    for said in (
        "Passed",
        "96 ratings on 1 to 5 by 12 users of 8 images",
        "99, 96, 3 (3.03%)",
        "2 rows",
        "data/raw/d/ratings.csv: 97, 99",
        "row 97 (u0, i0, 9)",
        "data/quarantine/d/",
        "1 of 12 users with at least 8 ratings are straight-liners",
        "the dataset has no times",
        "<i>f</i> 33.3%",
        "missing 33.3%",
    ):
        assert said in page.text, said
    assert "i" in page.tags  # the bars
    assert page.tags.count("img") == 5
    assert "script" not in page.tags
    urls = [url or "" for url in page.urls]
    assert all(url.startswith(("data:image/png;base64,", "#")) for url in urls)


def test_flags_and_agreement_are_added_to_the_report_and_nothing_else(project: Project) -> None:
    run(project)
    path = project.reports / "validation.json"
    before = read_json(path)
    docs(project)
    after = read_json(path)
    flags, icc = (after["datasets"]["d"].pop(key) for key in ("flags", "agreement"))
    assert after == before
    assert flags["straight_liners"] == {"n": 1, "user_ids": ["u3"]}
    assert flags["speeders"] == {"n": 0, "user_ids": []}
    assert (flags["raters"], flags["judged"], flags["judged_by_time"]) == (12, 12, 0)
    kept = pl.read_parquet(project.validated / "ratings.parquet")
    per_image = kept.group_by(s.IMAGE).agg(n=pl.len(), total=pl.col(s.RATING).sum(),
                                           squares=(pl.col(s.RATING) ** 2).sum())  # fmt: skip
    from pamela.reporting.data_docs.agreement import agreement

    wanted = agreement(per_image.sort(s.IMAGE))
    assert icc["icc_single"]["value"] == pytest.approx(wanted.single.value)
    assert icc["icc_single"]["ci_low"] == pytest.approx(wanted.single.ci_low)
    assert icc["ratings_per_image"] == 12


def test_the_same_data_give_the_same_bytes(project: Project) -> None:
    run(project)
    docs(project)
    outputs = [project.reports / name for name in ("data.html", "validation.json")]
    first = [path.read_bytes() for path in outputs]
    docs(project)
    assert [path.read_bytes() for path in outputs] == first


def test_quarantined_rows_are_not_described(project: Project) -> None:
    run(project)
    found = read_json(project.reports / "validation.json")["datasets"]["d"]
    assert found["rows_quarantined"] == 3
    assert "96 ratings" in docs(project).text
    pl.read_parquet(project.quarantine / "d/ratings.parquet").clear().write_parquet(
        project.quarantine / "d/ratings.parquet"
    )
    tables = project.tables / "ratings.parquet/d.parquet"
    rows = pl.read_parquet(tables).with_columns(pl.col(s.RATING).fill_null(3).clip(1, 5))
    rows.write_parquet(tables)
    assert "99 ratings" in docs(project).text


def test_a_dataset_of_which_nothing_is_left_still_has_its_page(project: Project) -> None:
    write_tables(project.raw / "d", ratings_of(2, 3).with_columns(rating=pl.lit("99")))
    with pytest.raises(PamelaError):
        run(project, max_share=0.5)
    page = docs(project)
    assert (
        "Stopped: more than 50.00% of the ratings, or choices, break a rule (d 100.00%)"
        in page.text
    )
    assert "No rating is left" in page.text
    assert "6 rows" in page.text
    assert read_json(project.reports / "validation.json")["datasets"]["d"]["agreement"][
        "icc_single"
    ] == {"value": None, "ci_low": None, "ci_high": None}


def test_the_stage_writes_its_docs_also_when_it_fails(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p", ingest={"datasets": ["d"]}).root
    bad = ratings_of(4, 6).with_columns(rating=pl.lit("8"))
    write_tables(folder / "data/raw/d", pl.concat([ratings_of(4, 6), bad.head(5)]))
    run_stages(folder, "ingest")
    with pytest.raises(PamelaError, match="5 of 29 ratings"):
        run_stages(folder, "validate")
    assert not (folder / "data/validated").exists()
    assert "Stopped" in Page(folder / "reports/data.html").text
