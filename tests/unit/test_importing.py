"""Import: a sound folder arrives whole, a faulty one leaves nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import polars as pl
import pytest

from pamela.errors import PamelaError
from pamela.importing import check_tables_folder, import_tables
from pamela.project import Project
from pamela.sources import read_folder
from tests.unit.folders import make_project, ratings_of, write_picture, write_tables


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "p")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tables(tmp_path / "source")


def test_import_copies_the_files_of_the_format_and_counts_them(
    project: Project, source: Path
) -> None:
    (source / "notes.txt").write_text("not of the format")
    write_picture(source / "images" / "unnamed.png")
    summary = import_tables(project, source, "mine")
    target = project.raw / "mine"
    assert sorted(p.name for p in target.iterdir()) == [
        "dataset.yaml",
        "images",
        "images.csv",
        "ratings.csv",
        "users.csv",
    ]
    assert len(list((target / "images").iterdir())) == 6
    assert (summary.ratings, summary.users, summary.images, summary.pictures) == (24, 4, 6, 6)
    assert summary.folder == "data/raw/mine"
    assert "24 on a scale of 1..5" in str(summary)
    assert "gender" in str(summary)
    there = read_folder(target, "mine", project.root)
    here = read_folder(source, "mine", source.parent)
    assert there.ratings.drop("source_file").equals(here.ratings.drop("source_file"))


def test_a_read_only_source_becomes_an_ordinary_copy(project: Project, source: Path) -> None:
    for path in source.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        import_tables(project, source, "mine")
    finally:
        for path in source.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    for path in (project.raw / "mine").rglob("*"):
        assert path.stat().st_mode & stat.S_IWUSR


def test_a_link_is_copied_as_the_file_it_leads_to(project: Project, source: Path) -> None:
    (source / "images" / "i1.png").unlink()
    (source / "images" / "i1.png").symlink_to("i0.png")
    import_tables(project, source, "mine")
    copy = project.raw / "mine" / "images" / "i1.png"
    assert not copy.is_symlink()
    assert copy.read_bytes() == (source / "images" / "i0.png").read_bytes()


def test_splits_absent_pictures_and_ignored_columns_are_reported(
    project: Project, source: Path
) -> None:
    ratings = ratings_of(1, 3).with_columns(
        split=pl.Series(["train", "train", "test_seen"]), mood=pl.lit("x")
    )
    write_tables(source, ratings, pictures=False)
    (source / "images" / "i5.png").unlink()
    summary = import_tables(project, source, "mine")
    assert summary.splits == {"test_seen": 1, "train": 2}
    assert (summary.pictures, summary.missing_pictures) == (5, 1)
    assert summary.ignored == {"ratings": ["mood"]}


def test_a_faulty_folder_leaves_nothing(project: Project, source: Path) -> None:
    (source / "users.csv").write_bytes(b"")
    with pytest.raises(PamelaError, match=r"users\.csv: the file is empty"):
        import_tables(project, source, "mine")
    with pytest.raises(PamelaError, match="no such folder"):
        import_tables(project, source / "nowhere", "mine")
    assert not project.raw.exists() or list(project.raw.iterdir()) == []


def test_a_name_that_is_taken_or_unfit_is_refused(project: Project, source: Path) -> None:
    import_tables(project, source, "mine")
    before = sorted((project.raw / "mine").rglob("*"))
    with pytest.raises(PamelaError, match="data/raw/mine: exists already"):
        import_tables(project, source, "mine")
    assert sorted((project.raw / "mine").rglob("*")) == before
    (project.raw / "pulled.dvc").write_text("")
    for name, said in [
        ("pulled", "exists already"),
        ("synthetic", "reserved"),
        ("../out", "use letters"),
        ("", "use letters"),
    ]:
        with pytest.raises(PamelaError, match=said):
            import_tables(project, source, name)


def test_a_batch_may_lack_users_and_images(source: Path) -> None:
    (source / "users.csv").unlink()
    (source / "images.csv").unlink()
    assert check_tables_folder(source, batch=True).ratings.height == 24
    with pytest.raises(PamelaError, match=r"no users\.csv"):
        check_tables_folder(source, batch=False)
