"""Import: a sound dataset of any kind arrives whole, a faulty one leaves nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from pamela.cli.app import app
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.formats import FORMATS, read_batch, read_folder
from pamela.data.importing import placing
from pamela.data.importing.dataset import KINDS, import_dataset
from pamela.data.importing.placing import How
from pamela.data.importing.summary import ImportSummary
from pamela.data.ingest import read_base
from tests.helpers.folders import (
    ROOT,
    ratings_of,
    write_picture,
    write_release,
    write_tables,
)
from tests.helpers.miniatures import MINIATURES, pamela_release


def bring(project: Project, source: Path, name: str = "mine", how: How = "copy") -> ImportSummary:
    return import_dataset(project, "tables", str(source), name, how)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder`, less the import's own record."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != "import.json"}


def test_import_copies_the_files_of_the_format_and_counts_them(
    project: Project, source: Path
) -> None:
    (source / "notes.txt").write_text("not of the format")
    (source / ".DS_Store").write_text("x")
    write_picture(source / "images" / "unnamed.png")
    summary = bring(project, source)
    target = project.raw / "mine"
    assert sorted(p.name for p in target.iterdir()) == [
        "dataset.yaml",
        "images",
        "images.csv",
        "import.json",
        "ratings.csv",
        "users.csv",
    ]
    assert json.loads((target / "import.json").read_text()) == {"kind": "tables", "options": {}}
    assert len(list((target / "images").iterdir())) == 6
    assert (summary.ratings, summary.users, summary.images, summary.pictures) == (24, 4, 6, 6)
    assert (summary.unnamed, summary.junk) == (2, 1)
    assert summary.folder == "data/raw/mine"
    for said in ("24 on a scale of 1..5", "gender", "no annotation names: 2", "none seen so far"):
        assert said in str(summary)
    there = read_folder(target, "mine", project.root).ratings.collect()
    here = read_folder(source, "mine", source.parent).ratings.collect()
    assert there.drop("source_file").equals(here.drop("source_file"))


@pytest.mark.parametrize("layout", sorted(MINIATURES))
def test_every_kind_arrives_in_its_own_layout(
    project: Project, tmp_path: Path, layout: str
) -> None:
    planted = MINIATURES[layout](tmp_path / "src", faults=True)
    summary = import_dataset(project, planted.kind, str(tmp_path / "src"), "mine")
    assert (summary.ratings, summary.users, summary.images, summary.scale) == (
        planted.ratings, planted.users, planted.images, planted.scale,
    )  # fmt: skip
    assert summary.splits == planted.splits
    assert sorted(summary.demographics) == sorted(planted.demographics)
    missing = planted.faulty_images.get("image_missing", 0)
    assert (summary.pictures, summary.missing_pictures) == (planted.images - missing, missing)
    assert summary.faults == {
        what: n
        for what, rule in [("without a rating", "rating_missing"),
                           ("off the scale", "rating_off_scale"),
                           ("on an absent picture", "image_missing")]
        if (n := planted.faulty.get(rule))
    }  # fmt: skip
    source, brought = contents(tmp_path / "src"), contents(project.raw / "mine")
    assert brought.items() <= source.items()  # same names, same bytes
    assert len(source) - len(brought) == summary.unnamed
    tables = read_base(project, "mine")
    assert tables.n_ratings == planted.ratings
    assert max(map(len, str(summary).splitlines())) <= 80


def test_a_reader_names_every_file_that_it_reads(project: Project, tmp_path: Path) -> None:
    """What is brought must be enough to read the dataset again, lookup tables included."""
    for layout, make in MINIATURES.items():
        planted = make(tmp_path / layout)
        import_dataset(project, planted.kind, str(tmp_path / layout), layout)
        here = FORMATS[planted.kind].read(tmp_path / layout, layout, tmp_path)
        there = read_base(project, layout)
        for table in ("users", "images"):
            one, other = getattr(here, table), getattr(there, table)
            place = [c for c in ("source_file", "file") if c in one.columns]
            assert one.drop(place).equals(other.drop(place)), (layout, table)


def test_a_release_may_be_the_folder_above_or_itself(project: Project, tmp_path: Path) -> None:
    write_release(tmp_path / "rel")
    import_dataset(project, "pamela", str(tmp_path / "rel"), "above")
    import_dataset(project, "pamela", str(tmp_path / "rel" / "PAMELA"), "itself")
    (tmp_path / "rel" / "PAMELA").rename(tmp_path / "rel" / "v1")
    import_dataset(project, "pamela", str(tmp_path / "rel" / "v1"), "renamed")
    above = contents(project.raw / "above")
    assert len(above) == 12
    assert all(name.startswith("PAMELA/") for name in above)
    assert contents(project.raw / "itself") == contents(project.raw / "renamed") == above


def test_a_read_only_source_becomes_an_ordinary_copy(project: Project, source: Path) -> None:
    for path in source.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        bring(project, source)
    finally:
        for path in source.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    for path in (project.raw / "mine").rglob("*"):
        assert path.stat().st_mode & stat.S_IWUSR


def test_a_link_is_copied_as_the_file_it_leads_to(project: Project, source: Path) -> None:
    (source / "images" / "i1.png").unlink()
    (source / "images" / "i1.png").symlink_to("i0.png")
    for how in ("copy", "link"):
        bring(project, source, how, how)  # type: ignore[arg-type]
        copy = project.raw / how / "images" / "i1.png"
        assert not copy.is_symlink()
        assert copy.read_bytes() == (source / "images" / "i0.png").read_bytes()


# --- links and moves ------------------------------------------------------------------------------
def test_links_share_their_bytes_with_the_source(project: Project, source: Path) -> None:
    bring(project, source, how="link")
    for name in contents(project.raw / "mine"):
        assert (project.raw / "mine" / name).samefile(source / name)


def test_a_move_leaves_only_what_was_not_brought(project: Project, source: Path) -> None:
    before = contents(source)
    (source / "notes.txt").write_text("mine")
    bring(project, source, how="move")
    assert contents(project.raw / "mine") == before
    assert [p.name for p in source.rglob("*")] == ["notes.txt"]


def test_a_move_of_a_release_removes_its_empty_folders(project: Project, tmp_path: Path) -> None:
    write_release(tmp_path / "rel")
    before = contents(tmp_path / "rel")
    summary = import_dataset(project, "pamela", str(tmp_path / "rel"), "mine", "move")
    assert summary.splits["train"] == 8
    assert contents(project.raw / "mine") == before
    assert not (tmp_path / "rel").exists()


def test_across_file_systems_a_link_is_refused_and_a_move_copies(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_file_system(*_: object) -> None:
        raise OSError(18, os.strerror(18))

    monkeypatch.setattr(placing.os, "link", other_file_system)
    before = contents(source)
    with pytest.raises(PamelaError, match=r"cannot be linked .* import without --link"):
        bring(project, source, how="link")
    assert contents(source) == before
    assert list(project.raw.iterdir()) == []
    bring(project, source, how="move")
    assert contents(project.raw / "mine") == before
    assert not source.exists()


def test_a_move_that_fails_half_way_loses_nothing(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, link = contents(source), os.link

    def full_disk(one: Path, other: Path) -> None:
        if one.name == "i3.png":
            raise OSError(28, os.strerror(28))
        link(one, other)

    monkeypatch.setattr(placing.os, "link", full_disk)
    with pytest.raises(PamelaError, match=r"i3\.png: cannot be copied \(No space left"):
        bring(project, source, how="move")
    assert contents(source) == before
    assert list(project.raw.iterdir()) == []


# --- what the summary says ------------------------------------------------------------------------
def test_splits_absent_pictures_and_ignored_columns_are_reported(
    project: Project, source: Path
) -> None:
    ratings = ratings_of(1, 3).with_columns(
        split=pl.Series(["train", "train", "test_seen"]), mood=pl.lit("x")
    )
    write_tables(source, ratings, pictures=False)
    (source / "images" / "i5.png").unlink()
    summary = bring(project, source)
    assert summary.splits == {"test_seen": 1, "train": 2}
    assert (summary.pictures, summary.missing_pictures) == (5, 1)
    assert summary.ignored == {"ratings": ["mood"]}


def test_faulty_rows_are_counted_by_what_is_wrong(project: Project, source: Path) -> None:
    ratings = ratings_of(4, 6)
    rating = pl.Series(["", "nan", "7", "inf", *ratings["rating"][4:]])
    users = pl.Series(["u0"] * 5 + [""] + ratings["user_id"][6:].to_list())
    images = pl.Series([*ratings["image_id"][:-1], "nowhere"])
    write_tables(
        source, ratings.with_columns(rating=rating, user_id=users, image_id=images), pictures=False
    )
    assert bring(project, source).faults == {
        "without a user": 1,
        "without a rating": 3,
        "off the scale": 1,
        "on an unknown image": 1,
    }


def test_overlaps_of_a_release_are_reported(project: Project, tmp_path: Path) -> None:
    write_release(tmp_path / "rel")
    sound = import_dataset(project, "pamela", str(tmp_path / "rel"), "sound")
    assert sound.overlaps["images_in_val_and_test"] == 0
    release = tmp_path / "rel" / "PAMELA"
    shutil.copyfile(release / "images" / "0.jpg", release / "images" / "6.jpg")  # train and test
    path = release / "annotations" / "pamela_test_unseen.json"
    rows = json.loads(path.read_text())
    on_train = {**rows[0], "image_id": 1, "image_path": "images/1.jpg"}
    on_val = {**rows[0], "participant_id": "c", "image_id": 4, "image_path": "images/4.jpg"}
    of_seen = {**rows[0], "participant_id": "a"}
    path.write_text(json.dumps([*rows, on_train, on_val, of_seen]))
    summary = import_dataset(project, "pamela", str(tmp_path / "rel"), "leaks")
    assert summary.overlaps == {
        "same_content_on_two_sides": 1,
        "unseen_rows_on_train_images": 1,
        "images_in_val_and_test": 1,
        "unseen_users_in_val_and_test": 1,
        "unseen_users_with_seen_rows": 1,
    }
    said = " ".join(str(summary).split())
    assert "1 picture contents that lie on two sides under two ids" in said
    assert "1 rows of unseen users that touch training images" in said


# --- what is refused ------------------------------------------------------------------------------
def test_a_faulty_folder_leaves_nothing(project: Project, source: Path) -> None:
    (source / "users.csv").write_bytes(b"")
    with pytest.raises(PamelaError, match=r"users\.csv: the file is empty"):
        bring(project, source)
    with pytest.raises(PamelaError, match="no such folder"):
        bring(project, source / "nowhere")
    for kind in FORMATS:
        with pytest.raises(PamelaError):
            import_dataset(project, kind, str(source / "images"), "mine")
    with pytest.raises(PamelaError, match="no such kind of dataset; give tables, pamela, lapis"):
        import_dataset(project, "ava", str(source), "mine")
    assert not project.raw.exists() or list(project.raw.iterdir()) == []


def test_a_name_that_is_taken_or_unfit_is_refused(project: Project, source: Path) -> None:
    bring(project, source)
    before = sorted((project.raw / "mine").rglob("*"))
    with pytest.raises(PamelaError, match="data/raw/mine: exists already"):
        bring(project, source)
    assert sorted((project.raw / "mine").rglob("*")) == before
    (project.raw / "pulled.dvc").write_text("")
    for name, said in [
        ("pulled", "exists already"),
        ("synthetic", "reserved"),
        ("../out", "use letters"),
        ("", "use letters"),
    ]:
        with pytest.raises(PamelaError, match=said):
            bring(project, source, name)


def test_a_batch_may_lack_users_and_images(source: Path) -> None:
    (source / "users.csv").unlink()
    assert read_folder(source, "d", source.parent).users.height == 0  # optional everywhere
    (source / "images.csv").unlink()
    assert read_batch(source, "d", source.parent).n_ratings == 24
    with pytest.raises(PamelaError, match=r"no images\.csv"):
        read_folder(source, "d", source.parent)


# --- the command ----------------------------------------------------------------------------------
def test_help_lists_the_files_and_columns_of_every_kind() -> None:
    shown = CliRunner().invoke(app, ["import", "--help"], env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    for kind, form in FORMATS.items():
        assert f"\n{kind}\n" in shown
        for line in form.columns.strip().splitlines():
            assert line.strip() in shown
    assert "participant_id" in shown
    assert "aestheticScore" in shown


def test_the_documented_commands_are_the_command_as_it_is() -> None:
    text = "".join((ROOT / f).read_text() for f in ("docs/datasets.md", "README.md"))
    lines = [line for line in text.splitlines() if re.match(r"pamela import [a-z]", line)]
    words = [line.partition("   #")[0].split(" #")[0].split()[2:] for line in lines]
    assert {kind for kind, *_ in words} == set(KINDS)
    options = {word for line in words for word in line if word.startswith("--")}
    shown = CliRunner().invoke(app, ["import", "--help"], env={"COLUMNS": "80"}).stdout
    assert {"--name", "--use", "--encoder", "--link", "--scale", "--pictures"} <= options
    offered = set(re.findall(r"`(--[a-z-]+)", text)) | options
    assert all(option in shown for option in offered)
    assert "pamela import tables" in text


def test_switches_that_contradict_each_other_are_refused(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    start = ["import", "tables", str(source), "--name", "mine"]
    for more, said in [
        (["--link", "--move"], "either --link or --move"),
        (["--encoder", "precomputed"], "goes with --use"),
    ]:
        error = CliRunner().invoke(app, [*start, *more]).exception
        assert isinstance(error, PamelaError)
        assert said in str(error)
    assert not project.raw.exists()


def test_the_release_of_the_miniature_has_no_leak(project: Project, tmp_path: Path) -> None:
    pamela_release(tmp_path / "rel")
    summary = import_dataset(project, "pamela", str(tmp_path / "rel"), "mine")
    assert set(summary.overlaps.values()) == {0}
    assert "none: no user, image or content on two sides" in str(summary)
