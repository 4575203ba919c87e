"""A table is scored whole or not at all, whenever the run is stopped, with the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import pamela
from pamela.core import schema as s
from pamela.core.errors import DiskFullError, PamelaError
from pamela.serving import api
from pamela.serving.api import Reward, score_part
from pamela.serving.bulk import parts_folder
from pamela.serving.bulk.job import ScoredTable, score_table
from tests.helpers.disks import fill, small_disks
from tests.helpers.kills import every_kill
from tests.helpers.people_commands import adapt
from tests.helpers.pool_engine import threads

ROWS = 100
OUT, APART = Path("out.parquet"), Path("out.rejected.parquet")
NOTE = Path("out.parquet.parts/job.json")


@pytest.fixture
def reward(small_project) -> Reward:
    return pamela.load("models/bundle")


def write_table(path: str = "in.parquet", rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Write a table in which every 40th user is unknown."""
    rng = np.random.default_rng(seed)
    users = np.where(np.arange(rows) % 40 == 39, 99, rng.integers(0, 24, rows))
    table = pl.DataFrame(
        {
            s.USER: [f"p{number:03d}" for number in users],
            s.IMAGE: [f"i{number:02d}" for number in rng.integers(0, 60, rows)],
            "more": rng.random(rows),
        }
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)
    return table


def scored(reward: Reward, source: str = "in.parquet", **more) -> ScoredTable:
    """Score a table in parts of 30 rows, one after the other in this thread."""
    return score_table(reward, source, OUT, rows_at_once=30, run=one_by_one, **more)


def one_by_one(parts):
    return ((part, score_part(part)) for part in parts)


def digest() -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in (OUT, APART)]


def test_parts_are_one_table_in_the_order_of_the_rows(reward):
    table = write_table()
    done = scored(reward)
    known = table[s.USER] != "p099"
    assert pl.read_parquet(OUT).select(table.columns).equals(table.filter(known))
    apart = pl.read_parquet(APART)
    assert apart["row"].to_list() == [40, 80]
    assert (done.rows, done.scored, done.rejected, done.resumed) == (100, 98, 2, 0)
    assert done.reasons == {"unknown user": 2}
    assert pl.read_parquet_metadata(OUT)["model_version"] == reward.version
    assert sorted(path.name for path in Path().glob("*out*")) == ["out.parquet", APART.name]


def test_threads_write_the_same_bytes(reward):
    write_table()
    scored(reward)
    first = digest()
    reward.score_table("in.parquet", OUT, overwrite=True)  # one part
    assert pl.read_parquet(OUT).height == 98
    score_table(reward, "in.parquet", OUT, rows_at_once=30, workers=3, overwrite=True)
    assert digest() == first


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(reward):
    write_table()
    scored(reward)
    expected = digest()

    def start():
        OUT.unlink(missing_ok=True)
        APART.unlink(missing_ok=True)
        return lambda: scored(reward)

    resumed = []
    for _ in every_kill(start):
        if OUT.exists():  # it appears whole
            assert digest() == expected
        if OUT.exists() and not NOTE.exists():
            continue  # it was finished
        resumed.append(scored(reward).resumed)
        assert digest() == expected
        assert [path.name for path in Path().glob("out.parquet*")] == ["out.parquet"]
    assert resumed == sorted(resumed)
    assert set(resumed) == {0, 30, 60, 90, 100}


def test_a_part_that_is_not_whole_is_made_again(reward, monkeypatch):
    write_table()
    scored(reward)
    expected = digest()
    OUT.unlink()
    monkeypatch.setattr(parts_folder.PartsFolder, "remove", lambda self: None)
    scored(reward)
    OUT.unlink()
    part = Path("out.parquet.parts/scored-000001.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    assert scored(reward).resumed == 70
    assert digest() == expected


def test_parts_of_another_job_never_go_on(reward, monkeypatch):
    write_table()
    monkeypatch.setattr(parts_folder.PartsFolder, "remove", lambda self: None)
    scored(reward)
    for change, said in (
        ({"percentile": True}, "another setting of percentile"),
        ({"source": write_table("other.parquet") is not None and "other.parquet"}, "another table"),
    ):
        with pytest.raises(PamelaError, match=said):
            scored(reward, **change)
    assert scored(reward, percentile=True, overwrite=True).resumed == 0
    assert "percentile" in pl.read_parquet(OUT).columns


def test_a_result_is_replaced_only_when_told(reward):
    write_table()
    scored(reward)
    before = digest()
    with pytest.raises(PamelaError, match="exists already; name another file, or say --overwrite"):
        scored(reward)
    assert digest() == before
    known = pl.read_parquet(OUT).drop("rating", "std", "source")
    known.write_parquet("in.parquet")
    assert scored(reward, overwrite=True).rejected_file is None
    assert not APART.exists()  # it was of the table before


def test_a_folder_of_files_is_one_table(reward):
    tables = [write_table(f"in/dataset=synthetic/{n}.parquet", 25 * n, seed=n) for n in (1, 2, 3)]
    Path("in/_SUCCESS").touch()
    Path("in/_tmp").mkdir()
    Path("in/_tmp/x.parquet").write_bytes(b"half")
    scored(reward, "in")
    whole = pl.concat(tables).with_columns(pl.lit("synthetic").alias(s.DATASET))
    known = whole.filter(pl.col(s.USER) != "p099")
    assert pl.read_parquet(OUT).select(whole.columns).equals(known)
    numbered = whole.with_row_index("row", 1).filter(pl.col(s.USER) == "p099")
    assert pl.read_parquet(APART)["row"].to_list() == numbered["row"].to_list()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, "in.parquet: no such file"),
        (b"", "in.parquet: not readable as Parquet"),
        (b"user_id,image_id\np001,i01\n", "in.parquet: not readable as Parquet"),
        ({"user": ["p001"]}, "no column user_id and no column image_id; there are user"),
        ({s.USER: [1.5], s.IMAGE: ["i01"]}, "column user_id holds Float64; ids are text"),
        ({s.USER: [["p001"]], s.IMAGE: ["i01"]}, "column user_id holds List(String); ids are"),
        ({s.USER: ["p001"], s.IMAGE: ["i01"], s.RATING: [5]}, "has a column rating already"),
        ({s.USER: [], s.IMAGE: []}, "ids are text"),
        ({s.USER: pl.Series([], dtype=pl.String), s.IMAGE: pl.Series([], dtype=pl.String)},
         "in.parquet: no rows; nothing to score"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_one_line(reward, table, said):
    if isinstance(table, bytes):
        Path("in.parquet").write_bytes(table)
    elif table is not None:
        pl.DataFrame(table).write_parquet("in.parquet")
    before = sorted(Path().iterdir())
    with pytest.raises(PamelaError) as fault:
        scored(reward)
    assert said in str(fault.value)
    assert "\n" not in str(fault.value)
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    ("source", "out", "said"),
    [
        ("in.parquet", "out.csv", "name a file that ends in .parquet"),
        ("in.parquet", "in.parquet", "lies in the table to be scored"),
        ("in", "in/out.parquet", "lies in the table to be scored"),
        ("in.parquet", "folder.parquet", "a folder; name a file"),
        ("empty", "out.parquet", "a folder without Parquet files"),
        ("in.parquet", "params.yaml/out.parquet", "params.yaml"),
    ],
)
def test_names_that_cannot_be(reward, source, out, said):
    write_table()
    write_table("in/1.parquet")
    Path("folder.parquet").mkdir()
    Path("empty").mkdir()
    with pytest.raises((PamelaError, OSError), match=said):
        reward.score_table(source, out)


def test_what_lies_there_and_is_no_part_stays(reward):
    write_table()
    Path("out.parquet.parts").mkdir()
    Path("out.parquet.parts/mine.txt").write_text("mine")
    with pytest.raises(PamelaError, match="holds something else; move it away"):
        scored(reward, overwrite=True)
    assert Path("out.parquet.parts/mine.txt").read_text() == "mine"


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(reward, tmp_path):
    write_table()
    scored(reward)
    expected = digest()
    disk = tmp_path / "disk"
    with small_disks() as mount:
        mount(disk, 64)
        fill(disk)
        with pytest.raises(DiskFullError, match="make room and run the command again"):
            reward.score_table("in.parquet", disk / OUT)
        (disk / "filler").unlink()
        score_table(reward, "in.parquet", disk / OUT, rows_at_once=30, overwrite=True)
        assert (disk / OUT).read_bytes() == OUT.read_bytes()
        assert sorted(path.name for path in disk.iterdir()) == ["out.parquet", APART.name]
    assert digest() == expected


@pytest.fixture
def worker():
    """Let this process load models as a worker does that has none yet."""
    api._scorer_of.cache_clear()
    yield
    api._scorer_of.cache_clear()


def test_workers_of_a_cluster_write_the_same_bytes(reward, worker):
    write_table()
    scored(reward)
    expected = digest()
    runner, engine = threads()
    again = score_table(
        reward,
        "in.parquet",
        OUT,
        rows_at_once=30,
        overwrite=True,
        run=partial(runner.map, score_part),
    )
    assert (again.scored, engine.submitted) == (98, 4)
    assert digest() == expected
    reward.score_table("in.parquet", OUT, overwrite=True, runner=runner)
    assert engine.submitted == 5  # one part
    runner.close()


def test_a_worker_runs_in_a_folder_of_its_own(small_project, worker, tmp_path, monkeypatch):
    adapt()
    pl.DataFrame({s.USER: ["people/anna"], s.IMAGE: ["i03"]}).write_parquet("in.parquet")

    def elsewhere(parts):
        for one in parts:
            with monkeypatch.context() as patch:
                patch.chdir(tmp_path)
                yield one, score_part(one)

    score_table(pamela.load("models/bundle"), "in.parquet", OUT, run=elsewhere)
    assert pl.read_parquet(OUT)["source"].to_list() == ["adapted"]


def test_a_worker_that_finds_another_model_says_so(reward, worker):
    write_table()

    def late(parts):
        return ((one, score_part(replace(one, version="mf-0000"))) for one in parts)

    with pytest.raises(PamelaError, match=r"bundle: holds .*, not mf-0000; run the command again"):
        score_table(reward, "in.parquet", OUT, run=late)
    assert not OUT.exists()
