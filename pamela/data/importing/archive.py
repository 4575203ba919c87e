"""A release's zip file, read in place: every member is checked before the first is written.

An archive from elsewhere may name paths that lead out of the folder, unpack to more than the disk
holds, or hide two files under one name. Each is one line that names the member; nothing is written
then. The bounds are those of a dataset of pictures, which hardly compress.
"""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from pamela.core.errors import PamelaError

MAX_RATIO: Final = 200  # unpacked to packed; repetitive JSON reaches about 50, a bomb 1000
RATIO_COUNTS_FROM: Final = 1 << 20  # bytes unpacked; a small member does no harm
MAX_BYTES: Final = 64 << 30  # unpacked, all members together; the PAMELA release has 2.25 GB
CHUNK: Final = 1 << 20
UTF8_FLAG: Final = 0x800
ENCRYPTED_FLAG: Final = 0x1
LOCAL_HEADER: Final = 30  # bytes before a member's name and data
JUNK_FOLDERS: Final = ("__MACOSX",)
JUNK_FILES: Final = (".DS_Store", "Thumbs.db", "desktop.ini")
DRIVE: Final = re.compile(r"[A-Za-z]:")


class Archive:
    """A zip file opened for reading; use it as a context manager.

    Parameters
    ----------
    path : the zip file.

    Attributes
    ----------
    junk : members that an operating system left behind (``__MACOSX/``, ``.DS_Store``), skipped.

    Raises
    ------
    PamelaError
        If it is no zip file, or a member is not fit to be unpacked; the message names the member.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = _open(path)
        try:
            self.junk: list[str] = []
            self._members: dict[str, zipfile.ZipInfo] = {}
            self._take_members()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def names(self) -> list[str]:
        """Return the members' names, folders and junk left out, in the order of the archive."""
        return list(self._members)

    def size(self, names: Iterable[str]) -> int:
        """Return the unpacked bytes of the members `names`, as declared."""
        return sum(self._members[name].file_size for name in names)

    def extract(self, name: str, to: Path) -> None:
        """Write the member `name` to the file `to`, streamed; size and CRC are checked.

        Raises
        ------
        PamelaError
            If the member is damaged, larger than declared, or cannot be written; no file is left.
        """
        info = self._members[name]
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._zip.open(info) as source, to.open("wb") as target:
                written = 0
                while chunk := source.read(CHUNK):
                    written += len(chunk)
                    if written > info.file_size:
                        break
                    target.write(chunk)
            if written != info.file_size:
                raise zipfile.BadZipFile(f"{info.file_size} bytes declared, {written} or more held")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as why:
            to.unlink(missing_ok=True)
            _refuse(self.path, name, f"is damaged ({_reason(why)}); download the archive again")
        except OSError as why:
            to.unlink(missing_ok=True)
            _refuse(self.path, name, f"cannot be unpacked to {to.parent} ({why.strerror or why})")

    def _take_members(self) -> None:
        taken: dict[str, str] = {}
        for info in self._zip.infolist():
            name = _safe_name(self.path, info)
            if info.is_dir() or not name:
                continue
            _check_kind(self.path, info, name)
            if is_junk(name):
                self.junk.append(name)
                continue
            key = _one_case(name)
            if key in taken:
                what = "twice" if taken[key] == name else f"beside {taken[key]!r}, one case apart"
                _refuse(self.path, name, f"is there {what}; keep one of them")
            taken[key] = name
            _check_size(self.path, info, name)
            self._members[name] = info
        self._check_folders(taken)
        self._check_overlaps()
        total = self.size(self._members)
        if total > MAX_BYTES:
            largest = max(self._members, key=lambda name: self._members[name].file_size)
            _refuse(self.path, largest, f"and the others unpack to {total:,} bytes: too many")

    def _check_folders(self, taken: dict[str, str]) -> None:
        """Refuse a member that is a file here and a folder there."""
        folders = {
            key.rsplit("/", n)[0] for key in taken for n in range(1, key.count("/") + 1)
        }  # fmt: skip
        for key in sorted(folders & set(taken)):
            _refuse(self.path, taken[key], "is both a file and a folder")

    def _check_overlaps(self) -> None:
        """Refuse members that share packed bytes, as a bomb's do."""
        end = 0
        for name, info in sorted(self._members.items(), key=lambda m: m[1].header_offset):
            if info.header_offset < end:
                _refuse(self.path, name, "shares its bytes with another member; not unpacked")
            end = info.header_offset + LOCAL_HEADER + info.compress_size


def require_space(needed: int, folder: Path) -> None:
    """Raise if the file system of `folder` has not `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PamelaError(
            f"{folder}: {needed:,} bytes are needed and {free:,} are free; make room there"
        )


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise PamelaError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise PamelaError(
            f"{path}: member {error.object!r} has a name that is not UTF-8, though it says so; "
            "zip the folder again"
        ) from None
    except Exception as error:  # the parser raises struct, value and key errors on broken bytes
        raise PamelaError(
            f"{path}: not a whole zip file ({_reason(error)}); download it again"
        ) from None


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:100]


def _refuse(path: Path, name: str, why: str) -> NoReturn:
    raise PamelaError(f"{path}: member {name!r} {why}")


def _safe_name(path: Path, info: zipfile.ZipInfo) -> str:
    """Return the member's path with ``/``, without ``.``; refuse one that leads elsewhere."""
    name = _decoded(path, info)
    if "\0" in name or "\\" in name:
        _refuse(path, name, "has a backslash or NUL in its name; zip the folder again")
    if name.startswith(("/", "~")) or DRIVE.match(name):
        _refuse(path, name, "has an absolute path; nothing may be written outside the dataset")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        _refuse(path, name, "leaves the folder (..); nothing may be written outside the dataset")
    return "/".join(parts)


def _decoded(path: Path, info: zipfile.ZipInfo) -> str:
    """Return the member's name as UTF-8, which many tools write without saying so."""
    if info.flag_bits & UTF8_FLAG:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437")  # as the zip module took it
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse(path, info.filename, "has a name that is not UTF-8; zip the folder again")


def _check_kind(path: Path, info: zipfile.ZipInfo, name: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive does not say
    if kind == stat.S_IFLNK:
        _refuse(path, name, "is a symbolic link; put the file itself into the archive")
    if kind not in (0, stat.S_IFREG):
        _refuse(path, name, "is no ordinary file")
    if info.flag_bits & ENCRYPTED_FLAG:
        _refuse(path, name, "is encrypted; unpack the archive and import the folder")


def _check_size(path: Path, info: zipfile.ZipInfo, name: str) -> None:
    if info.file_size > RATIO_COUNTS_FROM and info.file_size > MAX_RATIO * info.compress_size:
        _refuse(
            path,
            name,
            f"would unpack {info.compress_size:,} bytes to {info.file_size:,}, over {MAX_RATIO} "
            "times as many: a zip bomb",
        )


def is_junk(name: str) -> bool:
    """Tell whether a path is what an operating system leaves behind."""
    parts = name.split("/")
    last = parts[-1]
    return bool(set(parts) & set(JUNK_FOLDERS)) or last in JUNK_FILES or last.startswith("._")


def _one_case(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
