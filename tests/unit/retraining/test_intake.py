"""Entering: a batch is taken whole, once, as it was checked; whatever dies, changes or is odd."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pamela.core import files
from pamela.core.paths import Project
from pamela.params import Params, load_params
from pamela.retraining import admission, inbox
from pamela.retraining.intake import contents, copying
from pamela.retraining.intake.faults import UnfitError
from tests.conftest import ROOT
from tests.helpers.disks import Mount, fill
from tests.helpers.kills import every_kill, run_killed

FILES = {
    "ratings.csv": "user_id,image_id,rating\nu,i,4\n",
    "dataset.yaml": "name: faces\nscale: [1, 5]\n",
    "images/a.png": "one",
    "images/b.png": "two",
    "_DONE": "",
}


class Known:
    """A dataset of which nothing is known: here a batch is not read, only taken."""

    def add(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def nothing_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission.KnownDataset, "read", lambda *_: Known())
    monkeypatch.setattr(admission, "check", lambda *_: pl.DataFrame())


@pytest.fixture
def params() -> Params:
    params = load_params(ROOT / "params.yaml")
    ingest = params.ingest.model_copy(update={"datasets": ["faces"]})
    return params.model_copy(update={"ingest": ingest})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return fresh(tmp_path / "project")


def fresh(root: Path) -> Project:
    shutil.rmtree(root, ignore_errors=True)
    project = Project(root)
    project.validated.mkdir(parents=True)
    (project.validated / "images.parquet").touch()
    project.inbox.mkdir()
    return project


def deliver(project: Project, name: str = "b1", **more: str) -> Path:
    folder = project.inbox / "faces" / name
    for path, text in {**FILES, **more}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def below(root: Path) -> list[str]:
    """Everything that lies below a folder, hidden names too."""
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*"))


# --- dying ------------------------------------------------------------------------------------
@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process's number be that of a dead one when the next call looks.

    The machine stays up: what was written need not reach the disk, which takes the most time.
    """
    monkeypatch.setattr(files, "_is_running", lambda _: False)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.usefixtures("dead")
def test_a_batch_is_taken_once_wherever_the_process_dies(tmp_path: Path, params: Params) -> None:
    root = tmp_path / "project"

    def start() -> Callable[[], object]:
        project = fresh(root)
        deliver(project, "b1")
        deliver(project, "b2")
        return lambda: admission.take(project, params)

    points = 0
    for _ in every_kill(start):
        points += 1
        project = Project(root)
        for name in ("b1", "b2"):  # whole in one of the two places at any moment
            homes = (project.inbox / "faces", project.batches / "faces")
            whole = [read(home / name) == FILES for home in homes]
            leaving = project.inbox / "faces" / f".{name}.accepted"
            assert any(whole) or (leaving.is_dir() and whole[1])
        assert admission.take(project, params) == {}
        assert [read(batch.folder) for batch in inbox.accepted(project)] == [FILES, FILES]
        assert below(project.inbox) == []
        assert below(project.batches) == ["faces/b1", "faces/b2"]
    assert points > 20


@pytest.mark.usefixtures("dead")
def test_dying_again_while_the_first_death_is_mended_loses_nothing(
    tmp_path: Path, params: Params
) -> None:
    root = tmp_path / "project"

    def killed_at(first: int) -> Callable[[], Callable[[], object]]:
        def start() -> Callable[[], object]:
            project = fresh(root)
            deliver(project)
            run_killed(lambda: admission.take(project, params), first)
            return lambda: admission.take(project, params)

        return start

    for first in range(3, 20, 5):
        for _ in every_kill(killed_at(first)):
            project = Project(root)
            assert admission.take(project, params) == {}
            assert read(project.batches / "faces" / "b1") == FILES
            assert below(project.inbox) == []
            assert below(project.batches) == ["faces/b1"]


@pytest.mark.usefixtures("dead")
def test_a_refusal_that_is_cut_off_is_made_again_and_is_no_part_of_the_batch(
    tmp_path: Path, params: Params
) -> None:
    root = tmp_path / "project"

    def start() -> Callable[[], object]:
        project = fresh(root)
        deliver(project, **{"dvc.yaml": "stages: {}"})
        return lambda: admission.take(project, params)

    for _ in every_kill(start):
        project = Project(root)
        admission.take(project, params)
        assert "dvc.yaml" in (project.inbox / "faces/b1/_REFUSED").read_text()
        (project.inbox / "faces/b1/dvc.yaml").unlink()
        (project.inbox / "faces/b1/._REFUSED.1").touch()  # of a process that died
        assert admission.take(project, params) == {}
        assert read(project.batches / "faces" / "b1") == FILES


# --- what was checked is what counts ----------------------------------------------------------
def test_who_still_holds_a_file_of_the_inbox_changes_nothing(
    project: Project, params: Params, tmp_path: Path
) -> None:
    folder = deliver(project)
    os.link(folder / "ratings.csv", tmp_path / "mine")
    with (folder / "dataset.yaml").open("a") as writer:
        assert admission.take(project, params) == {}
        writer.write("late: true\n")
    (tmp_path / "mine").write_text("late")
    accepted = project.batches / "faces" / "b1"
    assert read(accepted) == FILES
    assert all(path.stat().st_nlink == 1 for path in accepted.rglob("*") if path.is_file())


def test_a_batch_that_changes_while_it_is_checked_is_taken_the_next_time(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deliver(project)

    def slow(*_: object) -> pl.DataFrame:
        with (folder / "ratings.csv").open("a") as stream:
            stream.write("u2,i,1\n")
        return pl.DataFrame()

    with monkeypatch.context() as patch:
        patch.setattr(admission, "check", slow)
        assert "changed while it was read" in admission.take(project, params)["faces/b1"]
    assert below(project.batches) == []
    assert admission.take(project, params) == {}
    text = (project.batches / "faces/b1/ratings.csv").read_text()
    assert text == FILES["ratings.csv"] + "u2,i,1\n"


def test_what_is_written_after_the_last_look_stays_in_the_inbox(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = deliver(project)
    let_go = copying.let_go

    def late(path: Path, hashes: copying.Hashes) -> None:
        (folder / "ratings.csv").write_text("changed")
        let_go(path, hashes)

    monkeypatch.setattr(copying, "let_go", late)
    assert "not what was accepted" in admission.take(project, params)["faces/b1"]
    assert read(project.batches / "faces" / "b1") == FILES
    assert (folder / "ratings.csv").read_text() == "changed"
    assert "exists with other contents" in admission.take(project, params)["faces/b1"]
    assert (folder / "ratings.csv").read_text() == "changed"


# --- what a batch may hold --------------------------------------------------------------------
def fifo(path: Path) -> None:
    os.mkfifo(path)


def bound(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)  # as binding one does, whose path may not be long


def text(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")


ODD: list[tuple[str, Callable[[Path], object], str]] = [
    ("dvc.yaml", text, "DVC or git"),
    ("Dvc.yaml", text, "DVC or git"),
    ("images/x.dvc", text, "DVC or git"),
    (".dvcignore", text, "DVC or git"),
    (".git/HEAD", text, "DVC or git"),
    (".dvc/config", text, "DVC or git"),
    ("images/__pycache__/x", text, "DVC or git"),
    ("images/.a.tmp", text, "DVC or git"),
    ("images/link", lambda path: path.symlink_to("a.png"), "a link"),
    ("images/gone", lambda path: path.symlink_to("nowhere"), "a link"),
    ("images/out", lambda path: path.symlink_to("/"), "a link"),
    ("fifo", fifo, "a pipe"),
    ("socket", bound, "a pipe"),
    ("images/A.png", text, "in case or spelling alone"),
    ("images/a\nb.png", text, "control character"),
    ("images/" + "x" * 201, text, "more than 200 bytes"),
    ("images/" + "ü" * 101, text, "more than 200 bytes"),
    ("/".join(["d"] * 18), text, "folders within folders"),
    (os.fsdecode(b"images/\xff.png"), text, "not UTF-8"),
]


@pytest.mark.parametrize(("path", "make", "says"), ODD, ids=[ascii(odd[0])[:20] for odd in ODD])
def test_what_cannot_be_kept_is_refused_by_name_and_the_others_go_on(
    project: Project, params: Params, path: str, make: Callable[[Path], object], says: str
) -> None:
    folder = deliver(project, "a-bad")
    make(folder / path)
    deliver(project, "good")
    refused = admission.take(project, params)
    assert list(refused) == ["faces/a-bad"]
    assert says in refused["faces/a-bad"]
    assert refused["faces/a-bad"].startswith("faces/a-bad: ")
    assert below(project.batches) == ["faces/good"]
    assert admission.take(project, params) == {}
    assert refused["faces/a-bad"] in (folder / "_REFUSED").read_text()


def test_ignored_names_are_reserved() -> None:
    """DVC leaves out what .dvcignore names, so that a batch with it would never be whole again."""
    lines = (ROOT / ".dvcignore").read_text().splitlines()
    patterns = [line for line in lines if line and line[0] not in "#/"]  # /: in the root alone
    assert set(patterns) <= set(contents.RESERVED)


def test_a_link_is_not_written_through(project: Project, params: Params, tmp_path: Path) -> None:
    outside = deliver(Project(tmp_path / "elsewhere"))
    (project.inbox / "faces").mkdir()
    (project.inbox / "faces" / "b1").symlink_to(outside)
    assert "a link" in admission.take(project, params)["faces/b1"]
    assert read(outside) == FILES
    assert admission.take(project, params) == {}  # it is known as refused all the same
    (project.inbox / "faces" / "b1").unlink()
    deliver(project)
    assert admission.take(project, params) == {}


def test_a_file_that_cannot_be_read_is_refused(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(project)
    opened = os.open

    def refuse(path: str, *args: object, **kwargs: object) -> int:
        if path == "b.png":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)  # root may read anything
    assert "images/b.png: cannot be read" in admission.take(project, params)["faces/b1"]


def test_an_unexpected_exception_stops_one_batch_alone(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(project, "a-odd")
    deliver(project, "good")

    def check(_: object, __: object, folder: Path, ___: object) -> pl.DataFrame:
        if ".a-odd." in folder.name:
            raise KeyError("nobody thought of this")
        return pl.DataFrame()

    monkeypatch.setattr(admission, "check", check)
    told = admission.take(project, params)
    assert list(told) == ["faces/a-odd"]
    assert "unexpected KeyError" in told["faces/a-odd"]
    mark = (project.inbox / "faces/a-odd/_REFUSED").read_text()
    assert "Traceback" in mark
    assert below(project.batches) == ["faces/good"]


def test_a_refused_batch_is_tried_again_when_it_changes(project: Project, params: Params) -> None:
    folder = deliver(project, **{"dvc.yaml": "x"})
    assert list(admission.take(project, params)) == ["faces/b1"]
    assert "as soon as it is changed" in (folder / "_REFUSED").read_text()
    assert admission.take(project, params) == {}
    (folder / "dvc.yaml").unlink()
    assert [b.label for b in inbox.scan_inbox(project, ["faces"]).ready] == ["faces/b1"]
    assert admission.take(project, params) == {}
    assert read(project.batches / "faces" / "b1") == FILES


@pytest.mark.parametrize("name", ["sp ace", "-rf", "ü", "b.dvc", "b.JSON", "x.pyc", "b" * 101])
def test_unfit_names_are_refused(project: Project, params: Params, name: str) -> None:
    deliver(project, name)
    assert "rename it" in admission.take(project, params)[f"faces/{name}"]


def test_names_that_differ_in_case_alone_are_one(project: Project, params: Params) -> None:
    deliver(project, "b1")
    assert admission.take(project, params) == {}
    deliver(project, "B1")
    assert "in case alone" in admission.take(project, params)["faces/B1"]


def test_a_batch_larger_than_the_limit_is_refused_before_it_is_copied(
    project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(admission.copying, "copy_files")
    folder = deliver(project)
    with (folder / "images" / "huge.png").open("wb") as stream:
        stream.truncate(6_000_000_000)  # takes no room
    assert "6,000 MB, more than retrain.limits" in admission.take(project, params)["faces/b1"]


def test_a_file_that_grows_without_end_is_not_followed(tmp_path: Path) -> None:
    folder = deliver(Project(tmp_path))
    (tmp_path / "to").mkdir()
    with pytest.raises(UnfitError, match="grew beyond"):
        copying.copy_files(folder, tmp_path / "to", 40)


# --- no room ----------------------------------------------------------------------------------
def test_a_full_disk_of_batches_loses_nothing_and_what_fits_goes_on(
    project: Project, params: Params, small_disk: Mount
) -> None:
    small_disk(project.batches, 64)
    big = deliver(project, "a-big", **{"images/a.png": "x" * 100_000})
    deliver(project, "small")
    told = admission.take(project, params)
    assert list(told) == ["faces/a-big"]
    assert "data/batches/faces: no space is left there" in told["faces/a-big"]
    assert "stays in the inbox" in told["faces/a-big"]
    assert below(project.batches) == ["faces/small"]
    assert not (big / "_REFUSED").exists()
    small_disk(project.batches, 1024)
    assert admission.take(project, params) == {}
    assert below(project.batches) == ["faces/a-big", "faces/small"]


def test_a_full_inbox_stops_no_sound_batch_nor_a_refusal(
    project: Project, params: Params, small_disk: Mount
) -> None:
    small_disk(project.inbox, 64)
    bad = deliver(project, "a-bad", **{"dvc.yaml": "x"})
    deliver(project, "good")
    fill(project.inbox)
    assert list(admission.take(project, params)) == ["faces/a-bad"]
    assert below(project.batches) == ["faces/good"]
    assert read(bad)["dvc.yaml"] == "x"
    assert admission.take(project, params) == {}  # the mark is kept, in the batch or apart


def test_what_dead_processes_left_is_swept_and_nothing_else(
    project: Project, params: Params
) -> None:
    home = project.batches / "faces"
    dead, live = home / ".b.999999999.t00000000.tmp", home / f".b.{os.getpid()}.t00000000.tmp"
    for folder in (dead, live, home / ".mine.tmp", project.inbox / "faces/.b.1.tmp"):
        folder.mkdir(parents=True)
    admission.take(project, params)
    assert below(project.batches) == sorted([f"faces/{live.name}", "faces/.mine.tmp"])
    assert below(project.inbox) == ["faces/.b.1.tmp"]
