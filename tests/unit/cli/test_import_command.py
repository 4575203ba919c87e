"""`pamela import` as it is typed: a dry run writes nothing, a failure leaves nothing."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from pamela.cli.app import app
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.importing.dataset import import_dataset
from tests.helpers.folders import images_of, make_project, ratings_of, write_release, write_tables


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = make_project(tmp_path / "p")
    (project.root / ".dvc").mkdir()
    (project.root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tables(tmp_path / "source")


def typed(*words: object) -> str:
    """Run the command; return what it printed."""
    done = CliRunner().invoke(app, ["import", *map(str, words)], catch_exceptions=True)
    if isinstance(done.exception, PamelaError):
        raise done.exception
    assert done.exit_code == 0, done.exception
    return done.stdout


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- dry run --------------------------------------------------------------------------------------
def test_a_dry_run_says_what_would_come_and_writes_nothing(project: Project, source: Path) -> None:
    (source / "images" / "i5.png").write_bytes(b"no picture")
    ratings = ratings_of(4, 6).with_columns(
        rating=pl.Series(["7", *ratings_of(4, 6)["rating"][1:]])
    )
    ratings.write_csv(source / "ratings.csv")
    before = everything(project.root) | everything(source)
    shown = " ".join(typed("tables", source, "--name", "mine", "--dry-run").split())
    assert everything(project.root) | everything(source) == before
    for said in (
        "24 on a scale of 1..5, they run over 1..7",
        "4 who rated, 4 of them among the 4 of the users table",
        "6, 6 of them rated",
        "rating_off_scale 1 (first source/ratings.csv row 1)",
        "image_undecodable 4 (first source/ratings.csv row 6)",
        "images: image_undecodable 1 (first source/images.csv row 6)",
        "validate would stop: 5 of 24 ratings (20.8%) break a rule",
    ):
        assert said in shown


def test_a_dry_run_of_other_tables_and_of_a_release(project: Project, tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "wide")
    wide = ratings_of(4, 6).pivot("user_id", index="image_id", values="rating")
    (folder / "ratings.csv").unlink()
    wide.write_csv(folder / "ratings.tsv", separator="\t")
    before = everything(tmp_path)
    shown = typed("tables", folder, "--name", "mine", "--wide", "--dry-run")
    assert "ratings: no row breaks a rule" in shown
    assert "images: no row breaks a rule" in shown
    assert everything(tmp_path) == before
    release = write_release(tmp_path / "release")
    assert "13 on a scale of 1..5" in typed("pamela", release, "--name", "r", "--dry-run")
    with pytest.raises(PamelaError, match=r"no such folder"):
        typed("tables", folder / "nowhere", "--name", "mine", "--dry-run")


# --- DVC ------------------------------------------------------------------------------------------
def test_without_git_or_dvc_nothing_is_brought(project: Project, source: Path) -> None:
    with pytest.raises(PamelaError, match=r"no git repository, .* run `git init` there and import"):
        typed("tables", source, "--name", "mine")
    (project.root / ".dvc" / "config").unlink()
    with pytest.raises(PamelaError, match=r"run `dvc init`"):
        typed("tables", source, "--name", "mine")
    assert not project.raw.exists()


@pytest.mark.parametrize("how", [[], ["--move"]])
def test_when_dvc_fails_nothing_is_imported_and_its_reason_is_told(
    project: Project, source: Path, how: list[str]
) -> None:
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)
    (project.root / ".dvc" / "config").write_text("[nonsense\n")
    before = everything(source)
    with pytest.raises(PamelaError, match=r"data/raw/mine: `dvc add` failed \(.+\); nothing was"):
        typed("tables", source, "--name", "mine", *how)
    assert everything(source) == before
    assert list(project.raw.iterdir()) == []
    (project.root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    assert "24 on a scale" in typed("tables", source, "--name", "mine", *how)
    assert (project.raw / "mine.dvc").is_file()


def test_a_file_in_the_place_of_all_datasets_is_named(project: Project, source: Path) -> None:
    subprocess.run(["git", "init", "-q", str(project.root)], check=True)
    project.raw.parent.mkdir(parents=True, exist_ok=True)
    project.raw.write_text("")
    with pytest.raises(PamelaError, match=r"^data/raw: a file, where the folder of all datasets"):
        typed("tables", source, "--name", "mine")


# --- two at once, and one that was killed ---------------------------------------------------------
def _bring(root: str, source: str, start: object, results: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    try:
        import_dataset(Project(Path(root)), "tables", source, "mine")
        results.put("brought")  # type: ignore[attr-defined]
    except PamelaError as error:
        results.put(str(error))  # type: ignore[attr-defined]


def test_of_two_imports_under_one_name_one_is_refused(project: Project, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    sources = [write_tables(tmp_path / n, ratings_of(40, 60), images=images_of(60)) for n in "ab"]
    jobs = [
        context.Process(target=_bring, args=(str(project.root), str(s), start, results))
        for s in sources
    ]
    for job in jobs:
        job.start()
    said = sorted(results.get(timeout=120) for _ in jobs)
    for job in jobs:
        job.join()
    assert said[0] == "brought"
    assert said[1].startswith("data/raw/mine: exists already")
    assert [p.name for p in project.raw.iterdir()] == ["mine"]


def test_what_a_killed_import_left_is_removed_by_the_next(project: Project, source: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    project.raw.mkdir(parents=True)
    left = [project.raw / f".mine.{gone.pid}.tmp", project.raw / f".other.{gone.pid}.t0a1b2c3d.tmp"]
    running = project.raw / f".third.{os.getpid()}.t0a1b2c3d.tmp"
    for folder in (*left, running):
        folder.mkdir()
        (folder / "x").write_text("half")
    import_dataset(project, "tables", str(source), "mine")
    assert sorted(p.name for p in project.raw.iterdir()) == sorted(["mine", running.name])


def test_a_dataset_that_was_never_tracked_says_how_to_keep_it(
    project: Project, source: Path
) -> None:
    import_dataset(project, "tables", str(source), "mine")  # killed before `dvc add`
    with pytest.raises(PamelaError, match=r"track it with `dvc add data/raw/mine`, or remove"):
        import_dataset(project, "tables", str(source), "mine")
