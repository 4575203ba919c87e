"""Repeated ratings: which one counts, against a slow and plain reading of the same rules."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.data.repeats import FAULTS, Repeats
from pamela.validation import checks, duplicates, validate
from tests.helpers.bad_data import run
from tests.helpers.folders import make_project, ratings_of, write_tables

Given = tuple[str, str, float, int | None, int | None]  # user, image, rating, time, position
ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("xy"),
        st.sampled_from([1.0, 2.0]),
        st.none() | st.integers(0, 3),
        st.none() | st.integers(0, 3),
    ),
    max_size=12,
)


def frame_of(rows: list[Given]) -> pl.DataFrame:
    schema = {c: s.RATINGS_SCHEMA[c] for c in duplicates.COLUMNS}
    return pl.DataFrame(rows, schema=schema, orient="row")


def plainly(rows: list[Given]) -> list[str | None]:
    """Return the rule that each row breaks, pair by pair, as data/README.md has it."""
    said: list[str | None] = [None] * len(rows)
    numbered = sorted(enumerate(rows), key=lambda n: (n[1][:2], n[0]))
    for _, group in itertools.groupby(numbered, key=lambda n: n[1][:2]):
        same = list(group)
        if len({row[2] for _, row in same}) == 1:
            for n, _ in same[1:]:
                said[n] = duplicates.REPEATED
            continue
        for column in (3, 4):
            order = [row[column] for _, row in same]
            if None not in order and len(set(order)) == len(order):
                last = max(order)  # type: ignore[type-var]
                for n, row in same:
                    said[n] = None if row[column] == last else duplicates.SUPERSEDED
                break
        else:
            for n, _ in same:
                said[n] = duplicates.CONTRADICTED
    return said


def marks_of(*sources: list[Given], repeats: Repeats = FAULTS) -> list[list[str | None]]:
    """Return what is said of each row, source by source."""
    rows = pl.concat(
        frame_of(rows).with_columns(pl.lit(n).alias(duplicates.SOURCE))
        for n, rows in enumerate(sources)
    )
    marks = duplicates.mark_repeats(rows, repeats)
    assert all(sum(row) <= 1 for row in marks.iter_rows())
    said = iter(
        next((rule for rule, marked in row.items() if marked), None)
        for row in marks.iter_rows(named=True)
    )
    return [[next(said) for _ in rows] for rows in sources]


@settings(max_examples=200, deadline=None)
@given(rows=ROWS)
def test_within_a_source(rows: list[Given]) -> None:
    assert marks_of(rows) == [plainly(rows)]


@settings(max_examples=200, deadline=None)
@given(sources=st.lists(ROWS, min_size=2, max_size=3))
def test_across_sources_only_equal_rows_are_repeats(sources: list[list[Given]]) -> None:
    """Each source is taken by itself first; what it leaves is held against what was kept before."""
    kept: set[tuple[str, str, float]] = set()
    expected = []
    for rows in sources:
        within = plainly(rows)
        expected.append(
            [
                duplicates.REPEATED if rule is None and row[:3] in kept else rule
                for row, rule in zip(rows, within, strict=True)
            ]
        )
        kept |= {row[:3] for row, rule in zip(rows, within, strict=True) if rule is None}
    assert marks_of(*sources) == expected


def measures_plainly(rows: list[Given]) -> list[str | None]:
    """Return the same where ratings with a time or position of their own are measures."""
    said = plainly(rows)
    for pair in {row[:2] for row in rows}:
        mine = [n for n, row in enumerate(rows) if row[:2] == pair]
        copies = [n for n in mine if rows[n] in rows[:n] and rows[n][3:] != (None, None)]
        left = [n for n in mine if n not in copies]
        for column in (3, 4):
            order = [rows[n][column] for n in left]
            if None not in order and len(set(order)) == len(order):
                for n in mine:
                    said[n] = duplicates.REPEATED if n in copies else None
                break
    return said


@settings(max_examples=200, deadline=None)
@given(rows=ROWS, batch=ROWS)
def test_ratings_with_an_order_are_measures_in_the_dataset_alone(
    rows: list[Given], batch: list[Given]
) -> None:
    found, later = marks_of(rows, batch, repeats=Repeats("all", declared=False))
    assert found == measures_plainly(rows)
    kept = {row[:3] for row, rule in zip(rows, found, strict=True) if rule is None}
    assert later == [
        duplicates.REPEATED if rule is None and row[:3] in kept else rule
        for row, rule in zip(batch, plainly(batch), strict=True)
    ]


@settings(max_examples=100, deadline=None)
@given(rows=ROWS)
def test_a_declared_measure_counts_unless_the_same_row_came_before(rows: list[Given]) -> None:
    (found,) = marks_of(rows, repeats=Repeats("mean", declared=True))
    again = [row in rows[:n] and row[3:] != (None, None) for n, row in enumerate(rows)]
    assert found == [duplicates.REPEATED if one else None for one in again]


def test_declared_measures_are_measures_in_batches_as_well() -> None:
    """The same row delivered again is none."""
    first: list[Given] = [("a", "x", 1.0, None, 1), ("a", "x", 1.0, None, None)]
    batch: list[Given] = [("a", "x", 1.0, None, 1), ("a", "x", 1.0, None, 2), ("a", "x", 2.0, 0, 0)]
    found = marks_of(first, batch, repeats=Repeats("all", declared=True))
    assert found == [[None, None], [duplicates.REPEATED, None, None]]


@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_candidates_are_all_that_share_user_and_image(rows: list[Given]) -> None:
    frame = frame_of(rows).with_row_index()
    pairs = [row[:2] for row in rows]
    expected = [n for n, pair in enumerate(pairs) if pairs.count(pair) > 1]
    assert duplicates.find_candidates(frame.lazy())["index"].to_list() == expected


def test_a_candidate_by_chance_is_told_apart(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were every row a candidate, the results would be the same: only rows are compared."""
    add_batch(project, "b1", "u0,i0,1\nu0,i0,1\nlate,i0,2\n")
    expected = quarantine_of(project)
    assert expected
    monkeypatch.setattr(duplicates, "find_candidates", lambda rows, *_: rows.collect())
    assert quarantine_of(project) == expected


# --- through ingest and validate ------------------------------------------------------------------
def add_batch(project: Project, name: str, rows: str, header: str = "") -> None:
    folder = project.batches / "d" / name
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text("name: d\nscale: [1, 5]\n")
    (folder / "ratings.csv").write_text(f"user_id,image_id,rating{header}\n{rows}")


def quarantine_of(project: Project) -> list[tuple[str, str, int]]:
    """Run ingest and validate; return (rule, batch or base, row), and see that nothing is lost."""
    result = run(project)["d"]["ratings"]
    before = pl.read_parquet(project.tables / "ratings.parquet")
    kept = pl.read_parquet(project.validated / "ratings.parquet")
    bad = pl.read_parquet(project.quarantine / "d/ratings.parquet")
    keys = [s.SOURCE_FILE, s.SOURCE_ROW]
    both = pl.concat([kept.select(keys), bad.select(keys)]).sort(keys)
    assert both.equals(before.select(keys).sort(keys))
    assert (result.rows_in, result.rows_kept) == (before.height, kept.height)
    if "repeats" not in read_json(project.tables / "datasets.json")["d"]:
        assert kept.select(s.SOURCE_FILE, *duplicates.PAIR).is_unique().all()
        assert kept.select(*duplicates.PAIR, s.RATING).is_unique().all()
    rows = bad.select("rule", pl.col(s.SOURCE_FILE).str.extract(r"/([^/]+)/[^/]+$"), s.SOURCE_ROW)
    return sorted(rows.rows())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "p", ingest={"datasets": ["d"]})
    write_tables(project.raw / "d")
    return project


def test_batches_stand_by_name_after_the_base(project: Project) -> None:
    first = ratings_of(4, 6)["rating"][0]  # u0 on i0
    other = "1" if first != "1" else "2"
    add_batch(project, "b1", f"u0,i0,{first}\nnew,i0,3\nnew,i1,3\n")
    add_batch(project, "b2", f"u0,i0,{other}\nnew,i0,3\nnew,i1,4\nmore,i0,1\n")
    add_batch(project, "b3", "more,i0,1\nlast,i0,1\n")
    assert quarantine_of(project) == [
        ("rating_repeated", "b1", 1),
        ("rating_repeated", "b2", 2),
        ("rating_repeated", "b3", 1),
    ]


def test_within_a_batch_comes_before_across(project: Project) -> None:
    """The last word of a batch is what it says; that is held against what was said before."""
    first = ratings_of(4, 6)["rating"][0]
    other = "1" if first != "1" else "2"
    rows = f"u0,i0,{other},1\nu0,i0,{first},2\nnew,i0,2,1\nnew,i0,3,2\n"
    add_batch(project, "b1", rows, header=",position")
    add_batch(project, "b2", "new,i0,3\n")
    assert quarantine_of(project) == [
        ("rating_repeated", "b1", 2),
        ("rating_repeated", "b2", 1),
        ("rating_superseded", "b1", 1),
        ("rating_superseded", "b1", 3),
    ]


def test_a_pair_that_nothing_is_known_of_may_be_settled_later(project: Project) -> None:
    """Faulty and contradicted rows do not stand."""
    with (project.raw / "d/ratings.csv").open("a") as stream:
        stream.write("x,i0,1\nx,i0,2\ny,i0,9\n")
    add_batch(project, "b1", "x,i0,2\ny,i0,3\n")
    assert quarantine_of(project) == [
        ("rating_contradicted", "d", 25),
        ("rating_contradicted", "d", 26),
        ("rating_off_scale", "d", 27),
    ]


def test_a_time_after_the_last_day_is_faulty(project: Project) -> None:
    times = ["2026-01-31T23:59:59", "2026-02-01T00:00:00", "2026-02-01T12:00:00"]
    rated_at = pl.Series("rated_at", [*times, *[None] * 21])
    ratings_of(4, 6).with_columns(rated_at).write_csv(project.raw / "d/ratings.csv")
    run(project)
    suites, decoded = validate.load_suites(project), validate.decode_pictures(project)
    for last, expected in ((31, [2, 3]), (32, []), (31, [2, 3]), (30, [1, 2, 3])):
        day = dt.date(2026, 1, 1) + dt.timedelta(days=last - 1)
        result = validate.check_dataset(project, "d", decoded, suites, day)["ratings"]
        assert result.quarantined.filter(rule="rated_in_future")["source_row"].to_list() == expected
        assert result.rows_kept == 24 - len(expected)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    assert dt.timedelta(hours=13) < checks.time_limit(None) - now < dt.timedelta(hours=15)


PASSES = "u0,i0,1,1\nu0,i0,5,2\nu0,i0,5,3\nu0,i0,5,3\n"


def test_ratings_with_positions_are_measures_but_not_those_of_a_batch(project: Project) -> None:
    write_text(project, f"user_id,image_id,rating,position\n{PASSES}")
    add_batch(project, "b1", "u0,i1,1,1\nu0,i1,2,2\n", header=",position")
    assert quarantine_of(project) == [("rating_repeated", "d", 4), ("rating_superseded", "b1", 1)]
    meta = read_json(project.tables / "datasets.json")["d"]
    assert (meta["repeats"], meta["repeats_declared"]) == ("all", False)


@pytest.mark.parametrize("mode", ["mean", "first", "last", "all"])
def test_a_dataset_that_says_so_has_measures_everywhere(project: Project, mode: str) -> None:
    write_text(project, "user_id,image_id,rating\nu0,i0,1\nu0,i0,1\nu0,i0,2\n", mode)
    add_batch(project, "b1", "u0,i1,1\nu0,i1,2\n")
    assert quarantine_of(project) == []
    meta = read_json(project.tables / "datasets.json")["d"]
    assert (meta["repeats"], meta["repeats_declared"]) == (mode, True)


def write_text(project: Project, ratings: str, mode: str | None = None) -> None:
    header = f"repeats: {mode}\n" if mode else ""
    (project.raw / "d/ratings.csv").write_text(ratings)
    (project.raw / "d/dataset.yaml").write_text(f"name: d\nscale: [1, 5]\n{header}")
