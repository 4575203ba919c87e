"""Zip files: a sound one gives its files, an unfit member is one line and nothing is written."""

from __future__ import annotations

import contextlib
import io
import random
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.importing import archive
from pamela.data.importing.archive import Archive
from pamela.data.importing.dataset import import_dataset
from tests.helpers.miniatures import pamela_release


def write_zip(path: Path, members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip file of `members`, later ones of one name included."""
    with zipfile.ZipFile(path, "w", how) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return path


def zip_folder(folder: Path, path: Path) -> Path:
    """Zip what is below `folder`."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return write_zip(path, {p.relative_to(folder).as_posix(): p.read_bytes() for p in files})


def unpack(path: Path) -> None:
    """Write every member to a file of its own in ``out/`` beside the archive."""
    with Archive(path) as opened:
        for number, name in enumerate(opened.names()):
            opened.extract(name, path.parent / "out" / str(number))


def refused(path: Path, match: str) -> str:
    """Return the one line that opening or unpacking `path` gives."""
    with pytest.raises(PamelaError, match=match) as caught:
        unpack(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sound_archive_gives_its_files(tmp_path: Path) -> None:
    big = random.Random(0).randbytes(3 * archive.CHUNK + 7)
    members = {
        "a/b.bin": big,
        "a/ü ☃.txt": b"x",
        "./c.txt": b"",
        "__MACOSX/a/._b.bin": b"junk",
        "a/.DS_Store": b"junk",
    }
    with Archive(write_zip(tmp_path / "z.zip", members, zipfile.ZIP_DEFLATED)) as opened:
        assert opened.names() == ["a/b.bin", "a/ü ☃.txt", "c.txt"]
        assert opened.junk == ["__MACOSX/a/._b.bin", "a/.DS_Store"]
        assert opened.size(["a/b.bin", "a/ü ☃.txt"]) == len(big) + 1
        opened.extract("a/b.bin", tmp_path / "out" / "b.bin")
    assert (tmp_path / "out" / "b.bin").read_bytes() == big


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("../out.txt", r"'\.\./out\.txt' leaves the folder"),
        ("a/../../out.txt", "leaves the folder"),
        ("/etc/passwd", "'/etc/passwd' has an absolute path"),
        ("C:/windows/x", "absolute path"),
        ("c:x", "absolute path"),
        ("~/x", "absolute path"),
        ("..\\out.txt", "backslash"),
    ],
)
def test_a_member_that_escapes_is_refused(tmp_path: Path, name: str, match: str) -> None:
    refused(write_zip(tmp_path / "z.zip", {"a.txt": b"a", name: b"x"}), match)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_device_is_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("a/link")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as target:
        target.writestr(info, "/etc/passwd")
    said = refused(tmp_path / "z.zip", "'a/link' is ")
    assert ("symbolic link" in said) == (kind == stat.S_IFLNK)


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = write_zip(tmp_path / "z.zip", {"a": b"a", "b": bytes(2 << 20)}, zipfile.ZIP_DEFLATED)
    refused(zeros, "'b' would unpack .* a zip bomb")
    noise = random.Random(0).randbytes(1000)
    monkeypatch.setattr(archive, "MAX_BYTES", 1500)
    refused(write_zip(tmp_path / "y.zip", {"a": b"a", "b": noise, "c": noise[:600]}), "'b' and the")
    with pytest.raises(PamelaError, match="bytes are needed and"):
        archive.require_space(1 << 62, tmp_path)


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "z.zip", {"a": b"x" * 100, "b": b"x" * 100})
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<L", raw, second + 42, 0)  # the offset of b's data: that of a
    path.write_bytes(raw)
    refused(path, "shares its bytes with another member")


def test_damaged_and_encrypted_members_are_named(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(5000)
    path = write_zip(tmp_path / "z.zip", {"a": b"a", "b/c.bin": content})
    raw = bytearray(path.read_bytes())
    raw[raw.index(content) + 2500] ^= 1
    path.write_bytes(raw)
    refused(path, r"member 'b/c\.bin' is damaged \(Bad CRC-32")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["0"]  # the damaged one is not left

    write_zip(path, {"a": b"a", "secret": b"x"})
    raw = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.rindex(mark) + flags] |= 1
    path.write_bytes(raw)
    refused(path, "'secret' is encrypted")


def test_a_declared_size_that_is_wrong_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "z.zip", {"a": b"x" * 100})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<L", raw, raw.index(b"PK\x01\x02") + 24, 50)  # the size unpacked
    path.write_bytes(raw)
    refused(path, "'a' is damaged")


def test_names_that_collide_are_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as target:
            target.writestr("a.txt", "1")
            target.writestr("a.txt", "2")
    refused(tmp_path / "z.zip", r"'a\.txt' is there twice")
    refused(
        write_zip(tmp_path / "y.zip", {"A.txt": b"", "a.TXT": b""}), "'a.TXT' .* one case apart"
    )
    refused(write_zip(tmp_path / "x.zip", {"ü": b"", "u\u0308": b""}), "one case apart")
    refused(write_zip(tmp_path / "w.zip", {"a": b"", "a/b": b""}), "both a file and a folder")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "z.zip", {"a.txt": b"", "b__.txt": b""})
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"b__.txt", "bü.txt".encode()))  # UTF-8 without saying so
    with Archive(path) as opened:
        assert opened.names() == ["a.txt", "bü.txt"]
    path.write_bytes(raw.replace(b"b__.txt", b"b\xfc_.txt"))  # latin-1
    refused(path, "has a name that is not UTF-8")
    flagged = bytearray(raw.replace(b"b__.txt", b"b\xfc_.txt"))
    flagged[flagged.rindex(b"PK\x01\x02") + 9] |= 8
    path.write_bytes(flagged)
    refused(path, r"b'b\\xfc_\.txt' has a name that is not UTF-8")


def test_what_is_no_zip_file_is_one_line(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "z.zip", {"a": b"x" * 1000})
    path.write_bytes(path.read_bytes()[:500])
    refused(path, "not a whole zip file")
    path.write_bytes(b"")
    refused(path, "not a whole zip file")
    refused(tmp_path / "none.zip", "no such file")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_broken_archive_gives_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("z")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in ("a/b.txt", "c.bin"):
            target.writestr(name, name * 50)
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "z.zip"
    path.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    with contextlib.suppress(PamelaError):  # whose text is one line; anything else is a failure
        unpack(path)


# --- the release as a zip file --------------------------------------------------------------------
def test_the_release_comes_in_from_its_zip(project: Project, tmp_path: Path) -> None:
    top = tmp_path / "top"
    planted = pamela_release(top / "rel")
    release = top / "rel" / "PAMELA"
    (release / "README.md").write_text("a card")
    (release / ".DS_Store").write_text("x")
    summary = import_dataset(
        project, "pamela", str(zip_folder(top / "rel", tmp_path / "P.zip")), "mine"
    )
    assert (summary.ratings, summary.users, summary.images) == (
        planted.ratings, planted.users, planted.images,
    )  # fmt: skip
    assert summary.splits == planted.splits
    assert (summary.unnamed, summary.junk) == (1, 1)
    brought = sorted(p for p in (project.raw / "mine" / "PAMELA").rglob("*") if p.is_file())
    expected = sorted([*release.rglob("*.json"), *release.rglob("*.jpg")])
    assert [p.relative_to(project.raw / "mine" / "PAMELA") for p in brought] == [
        p.relative_to(release) for p in expected
    ]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(brought, expected, strict=True))
    # the same release, zipped from inside PAMELA/ or below a folder of another name
    for number, (start, to) in enumerate([(release, "q.zip"), (top, "r.zip")]):
        path = zip_folder(start, tmp_path / to)
        again = import_dataset(project, "pamela", str(path), f"x{number}")
        assert again.splits == planted.splits
        files = {p.name for p in (project.raw / f"x{number}").iterdir()}
        assert files == {"PAMELA", "import.json"}


def test_a_faulty_release_zip_leaves_nothing(project: Project, tmp_path: Path) -> None:
    pamela_release(tmp_path / "rel")
    sound = zip_folder(tmp_path / "rel", tmp_path / "P.zip")
    with zipfile.ZipFile(sound) as source:
        members = {name: source.read(name) for name in source.namelist()}
    notes = "PAMELA/annotations/pamela_train.json"
    pictures = [name for name in members if name.endswith(".jpg")]
    for changes, match in [
        ({"../../escape.txt": b"x"}, "leaves the folder"),
        (
            {notes: members[notes][:100]},
            r"P2\.zip: PAMELA/annotations/pamela_train\.json: not read",
        ),
        ({notes: None}, "is this the PAMELA release"),
        ({"PAMELA/annotations/pamela_val_seen.json": None}, "pamela_val_seen.json: no such file"),
        ({f"copy/{notes}": members[notes]}, "two releases in it"),
        (dict.fromkeys(pictures, None), "none of the .* pictures that the annotations name"),
    ]:
        kept = {name: content for name, content in {**members, **changes}.items() if content}
        with pytest.raises(PamelaError, match=match):
            import_dataset(project, "pamela", str(write_zip(tmp_path / "P2.zip", kept)), "mine")
        assert not project.raw.exists() or list(project.raw.iterdir()) == []
    raw = bytearray(sound.read_bytes())
    raw[raw.index(members[pictures[20]]) + 50] ^= 1
    sound.write_bytes(raw)
    with pytest.raises(PamelaError, match=rf"{pictures[20]}' is damaged"):
        import_dataset(project, "pamela", str(sound), "mine")
    assert list(project.raw.iterdir()) == []
    with pytest.raises(PamelaError, match="tables comes as a folder"):
        import_dataset(project, "tables", str(sound), "mine")
    with pytest.raises(PamelaError, match="--link is for folders"):
        import_dataset(project, "pamela", str(sound), "mine", "link")
