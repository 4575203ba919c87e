"""Parts: joined files hold exactly the rows of each, and the cache changes nothing but time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data import partitions, row_groups
from pamela.data.partitions import ChunkWriter, PartCache, PartFile, read_parts, write_parts
from pamela.data.row_groups import join_parquet

SCHEMA = {
    "id": pl.String(),
    "value": pl.Float64(),
    "at": pl.Datetime("us"),
    "side": pl.Enum(["a", "b"]),
    "rules": pl.List(pl.String()),
}
ROWS = st.lists(
    st.tuples(
        st.none() | st.text(max_size=3),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.datetimes(),
        st.sampled_from(["a", "b", None]),
        st.none() | st.lists(st.sampled_from(["x", "y"]), max_size=2),
    ),
    max_size=6,
)


def frame_of(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@settings(max_examples=40, deadline=None)
@given(
    tables=st.lists(ROWS, min_size=1, max_size=4),
    statistics=st.booleans(),
    compression=st.sampled_from(["zstd", "uncompressed", "snappy"]),
)
def test_joined_files_hold_the_rows_of_each(
    tables: list[list[tuple[object, ...]]], statistics: bool, compression: str
) -> None:
    """For Polars and for another reader alike."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n}.parquet" for n in range(len(tables))]
        frames = [frame_of(rows) for rows in tables]
        for path, frame in zip(paths, frames, strict=True):
            frame.write_parquet(
                path,
                row_group_size=2,
                statistics=statistics,
                compression=compression,  # type: ignore[arg-type]
            )
        joined = Path(folder) / "joined.parquet"
        join_parquet(paths, joined)
        expected = pl.concat(frames)
        assert pl.read_parquet(joined).equals(expected)
        metadata = pq.ParquetFile(joined).metadata
        assert metadata.num_rows == expected.height
        other = pl.from_arrow(pq.read_table(joined))
        assert isinstance(other, pl.DataFrame)
        assert other.select("id", "value", "rules").equals(expected.select("id", "value", "rules"))
        for start in range(0, expected.height, 3):
            piece = pl.scan_parquet(joined).slice(start, 3).collect()
            assert piece.equals(expected.slice(start, 3))


def test_a_footer_is_written_as_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame_of([("x", 1.0, None, "a", ["y"])] * 40).write_parquet(path, row_group_size=2)
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    assert row_groups.write_struct(row_groups.read_struct(footer)) == footer


def test_files_that_cannot_be_joined_are_named(tmp_path: Path) -> None:
    one, other, broken = (tmp_path / f"{n}.parquet" for n in ("one", "other", "broken"))
    pl.DataFrame({"a": [1]}).write_parquet(one)
    pl.DataFrame({"b": [1]}).write_parquet(other)
    broken.write_bytes(one.read_bytes()[:-9])
    with pytest.raises(PamelaError, match=r"other\.parquet: its columns are not those"):
        join_parquet([one, other], tmp_path / "x.parquet")
    with pytest.raises(PamelaError, match=r"broken\.parquet: not a whole Parquet file"):
        join_parquet([one, broken], tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


# --- tables of parts ------------------------------------------------------------------------------
def ratings(dataset: str, file: str, n: int) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            s.DATASET: [dataset] * n,
            s.USER: [f"u{k}" for k in range(n)],
            s.SOURCE_FILE: [file] * n,
            s.SOURCE_ROW: list(range(1, n + 1)),
        }
    )
    empty = pl.DataFrame(schema=s.RATINGS_SCHEMA)
    return pl.concat([empty, frame], how="diagonal")


def write_table(folder: Path) -> list[pl.DataFrame]:
    """Write a table of a dataset with a batch, and another dataset."""
    sources = [
        ("d", "data/raw/d", ratings("d", "data/raw/d/ratings.csv", 9)),
        ("d", "data/batches/d/b", ratings("d", "data/batches/d/b/ratings.csv", 2)),
        ("e", "data/raw/e", ratings("e", "data/raw/e/ratings.csv", 3)),
    ]
    files = []
    for n, (dataset, source, frame) in enumerate(sources):
        path = folder / f"{n}.parquet"
        writer = ChunkWriter(path, s.RATINGS_SCHEMA)
        writer.write(frame.head(1))
        writer.write(frame[1:])
        writer.close()
        files.append(PartFile.of(dataset, source, path))
    write_parts(folder / "ratings.parquet", files)
    return [frame for _, _, frame in sources]


def test_parts_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = write_table(tmp_path)
    found = read_parts(tmp_path / "ratings.parquet")
    assert [(p.dataset, p.source, p.start, p.rows) for p in found] == [
        ("d", "data/raw/d", 0, 9),
        ("d", "data/batches/d/b", 9, 2),
        ("e", "data/raw/e", 11, 3),
    ]
    monkeypatch.setattr(partitions, "CHUNK", 4)
    for part, frame in zip(found, frames, strict=True):
        assert part.scan().collect().equals(frame)
        chunks = list(part.chunks())
        assert max(chunk.height for chunk in chunks) <= 4
        assert pl.concat(chunks).equals(frame)


def test_a_table_that_was_changed_by_hand_is_not_taken_for_the_recorded_one(tmp_path: Path) -> None:
    write_table(tmp_path)
    table = tmp_path / "ratings.parquet"
    before = read_parts(table)
    pl.read_parquet(table).filter(pl.col(s.SOURCE_ROW) != 2).write_parquet(table)
    after = read_parts(table)
    assert [(p.dataset, p.rows) for p in after] == [("d", 8), ("d", 1), ("e", 2)]
    assert not {p.sha256 for p in after} & {p.sha256 for p in before}


# --- the cache ------------------------------------------------------------------------------------
def test_an_entry_is_built_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    cache, built = PartCache(tmp_path / "cache"), []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "x").write_text("result")

    entry = cache.obtain("key", build)
    assert cache.obtain("key", build) == entry
    assert len(built) == 1
    (entry / "x").write_text("resul")  # cut short
    assert (cache.obtain("key", build) / "x").read_text() == "result"
    (entry / "x").unlink()
    assert (cache.obtain("key", build) / "x").read_text() == "result"
    assert len(built) == 3


def test_a_failed_build_leaves_no_entry(tmp_path: Path) -> None:
    cache = PartCache(tmp_path / "cache")

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise PamelaError("no")

    with pytest.raises(PamelaError):
        cache.obtain("key", fail)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_no_run_asks_for_goes(tmp_path: Path) -> None:
    cache = PartCache(tmp_path / "cache")
    kept = cache.obtain("kept", lambda folder: None)
    (tmp_path / "cache" / "of an earlier run").mkdir()
    cache.prune()
    assert list((tmp_path / "cache").iterdir()) == [kept]
