"""Accepted batches against the real DVC: unchanged, set aside, taken back; nothing is ever lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.retraining import batches, inbox, tracking
from tests.conftest import ROOT, must
from tests.helpers.kills import every_kill

TABLE = {"why": "SROCC fell by .1", "checks": [{"name": "frozen", "holds": False}]}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batches that DVC tracks."""
    root = tmp_path_factory.mktemp("batches") / "project"
    for name in ("b1", "b2"):
        folder = root / "data/batches/faces" / name
        (folder / "images/é ü").mkdir(parents=True)
        (folder / "ratings.csv").write_text(f"user_id,image_id,rating\n{name},i,4\n")
        (folder / "images/é ü/ß\\.png").write_bytes(b"\r\n\0" + name.encode())
        (folder / "images-2.csv").write_text("")
        (folder / "_DONE").touch()
    (root / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".gitignore", ".dvcignore"):
        shutil.copyfile(ROOT / name, root / name)
    must(root, "git", "init", "-q")
    must(root, "python", "-m", "dvc", "add", "-q", *(f"data/batches/faces/b{k}" for k in (1, 2)))
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    return Project(Path(shutil.copytree(template, tmp_path / "project")))


def check(project: Project) -> list[Path]:
    return batches.check_unchanged(project)


def fault(project: Project) -> str:
    with pytest.raises(PamelaError) as caught:
        check(project)
    line = str(caught.value)
    assert "force" not in line
    assert "\n" not in line
    return line


def b1(project: Project) -> Path:
    return project.batches / "faces" / "b1"


# --- unchanged --------------------------------------------------------------------------------
def test_a_folders_hash_is_the_one_that_dvc_gives_it(project: Project) -> None:
    for batch in inbox.accepted(project):
        assert tracking.folder_hash(batch.folder) == tracking.tracked_hash(batch.folder)
    assert check(project) == []
    (b1(project) / "x.pyc").touch()  # what DVC leaves out is no change
    assert check(project) == []


def test_without_the_cache_a_sound_batch_is_sound_and_can_be_added_again(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc/cache")
    assert check(project) == [b1(project), project.batches / "faces" / "b2"]
    must(project.root, "python", "-m", "dvc", "add", "-q", "data/batches/faces/b1")
    assert check(project) == [project.batches / "faces" / "b2"]


def cache_entry(project: Project, path: str) -> Path:
    md5 = tracking.listing(b1(project))[path]
    return project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def test_a_damaged_entry_of_the_cache_is_found_by_its_hash(project: Project) -> None:
    entry = cache_entry(project, "ratings.csv")
    shutil.copyfile(entry, project.root / "sound")
    (b1(project) / "ratings.csv").unlink()  # else it is the cache's own file
    shutil.copyfile(project.root / "sound", b1(project) / "ratings.csv")
    entry.chmod(0o644)
    entry.write_text("damaged")
    assert check(project) == [b1(project)]  # sound itself: `dvc add` fills the cache again
    assert not entry.exists()
    must(project.root, "python", "-m", "dvc", "add", "-q", "data/batches/faces/b1")
    assert check(project) == []


def test_a_file_edited_through_its_link_to_the_cache_comes_from_elsewhere(
    project: Project,
) -> None:
    path = b1(project) / "ratings.csv"
    entry = cache_entry(project, "ratings.csv")
    path.unlink()
    path.hardlink_to(entry)  # as `dvc add` leaves it; a copied project has lost it
    path.chmod(0o644)
    path.write_text("edited")
    line = fault(project)
    assert "changed since it was accepted: ratings.csv" in line
    assert "checkout" not in line  # the cache holds the edited file
    assert path.read_text() == "edited"


def test_what_is_missing_changed_or_new_is_named_and_how_it_comes_back(project: Project) -> None:
    folder = b1(project)
    (folder / "ratings.csv").unlink()
    (folder / "ratings.csv").write_text("other")
    (folder / "_DONE").unlink()
    (folder / "more").touch()
    line = fault(project)
    assert line.startswith("data/batches/faces/b1: missing since it was accepted: _DONE, changed")
    assert "ratings.csv, new since it was accepted: more" in line
    assert "mv data/batches/faces/b1 ELSEWHERE" in line
    assert "`dvc checkout data/batches/faces/b1.dvc`" in line
    shutil.move(folder, project.root / "ELSEWHERE")
    assert "not here; `dvc checkout data/batches/faces/b1.dvc`" in fault(project)
    must(project.root, "python", "-m", "dvc", "checkout", "-q", "data/batches/faces/b1.dvc")
    assert check(project) == []


def test_without_cache_and_remote_nothing_is_advised_that_deletes(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc/cache")
    (b1(project) / "_DONE").unlink()
    line = fault(project)
    assert "do not delete what is there" in line
    assert "checkout" not in line
    assert "pull" not in line
    shutil.copytree(b1(project), project.inbox / "faces" / "b1")
    assert "(one lies in data/inbox/faces/b1)" in fault(project)
    with (project.root / ".dvc/config").open("a") as config:
        config.write("['remote \"store\"']\n    url = ../store\n")
    assert "`dvc pull data/batches/faces/b1.dvc` brings the accepted one back" in fault(project)


def test_a_pointer_that_is_none_is_named(project: Project) -> None:
    tracking.dvc_file(b1(project)).write_text("outs: []\n")
    assert "b1.dvc: no pointer of DVC's" in fault(project)


# --- set aside --------------------------------------------------------------------------------
def test_a_batch_set_aside_stays_under_dvc_and_comes_back_by_name(project: Project) -> None:
    before = tracking.listing(b1(project))
    batches.set_aside(project, ["faces/b1"], TABLE)
    batches.set_aside(project, ["faces/b1"], {"why": "again"})
    assert [b.label for b in inbox.accepted(project)] == ["faces/b2"]
    assert tracking.listing(project.set_aside / "faces/b1") == before
    record = json.loads((project.set_aside / "faces/b1.json").read_text())
    assert record["table"] == TABLE
    assert record["why"] == TABLE["why"]
    assert record["when"].endswith("+00:00")
    status = must(project.root, "python", "-m", "dvc", "status", "--json")
    assert json.loads(status) == {}
    assert must(project.root, "git", "check-ignore", "data/set_aside/faces/b1").strip()
    assert "b1.dvc" in must(project.root, "git", "status", "--short", "-uall")

    assert batches.take_back(project, "b1") == "faces/b1"
    assert batches.take_back(project, "faces/b1") == "faces/b1"  # there already
    assert tracking.listing(b1(project)) == before
    assert [path.name for path in (project.set_aside / "faces").iterdir()] == []
    assert check(project) == []


def test_names_that_are_no_batch_set_aside_are_told_with_what_there_is(project: Project) -> None:
    with pytest.raises(PamelaError, match="no accepted batch"):
        batches.set_aside(project, ["faces/b9"], TABLE)
    with pytest.raises(PamelaError, match="there is none"):
        batches.take_back(project, "b1")
    batches.set_aside(project, ["faces/b1"], TABLE)
    with pytest.raises(PamelaError, match="there are faces/b1"):
        batches.take_back(project, "../faces/b1")


def small(root: Path) -> Project:
    shutil.rmtree(root, ignore_errors=True)
    project = Project(root)
    for name in ("b1", "b2"):
        folder = project.batches / "faces" / name
        folder.mkdir(parents=True)
        (folder / "ratings.csv").write_text(name)
        tracking.dvc_file(folder).write_text("outs:\n- md5: x.dir\n  path: b\n")
    return project


def whole(home: Path) -> list[str]:
    return [path.parent.name for path in sorted(home.glob("faces/*/ratings.csv"))]


def test_setting_aside_is_completed_wherever_the_process_dies(tmp_path: Path) -> None:
    root = tmp_path / "project"

    def start() -> Callable[[], object]:
        project = small(root)
        return lambda: batches.set_aside(project, ["faces/b1", "faces/b2"], TABLE)

    for _ in every_kill(start):
        project = Project(root)
        assert sorted(whole(project.batches) + whole(project.set_aside)) == ["b1", "b2"]
        batches.finish_moves(project)  # what was begun is done, by whoever comes first
        for name in ("b1", "b2"):
            homes = [home / "faces" for home in (project.batches, project.set_aside)]
            assert sum((home / name).is_dir() and (home / f"{name}.dvc").is_file()
                       for home in homes) == 1  # fmt: skip
        batches.set_aside(project, ["faces/b1", "faces/b2"], TABLE)
        assert whole(project.set_aside) == ["b1", "b2"]
        assert json.loads((project.set_aside / "faces/b2.json").read_text())["table"] == TABLE


def test_taking_back_is_completed_wherever_the_process_dies(tmp_path: Path) -> None:
    root = tmp_path / "project"

    def start() -> Callable[[], object]:
        project = small(root)
        batches.set_aside(project, ["faces/b1"], TABLE)
        return lambda: batches.take_back(project, "faces/b1")

    for _ in every_kill(start):
        project = Project(root)
        batches.finish_moves(project)
        if whole(project.set_aside):  # it died before it was decided
            batches.take_back(project, "faces/b1")
        assert whole(project.batches) == ["b1", "b2"]
        assert (project.batches / "faces/b1.dvc").is_file()
        assert list(project.set_aside.glob("faces/[!.]*")) == []
