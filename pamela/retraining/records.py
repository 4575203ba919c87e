"""``reports/promotions.jsonl``: every decision about the champion, a line of JSON each, in order.

Lines are only added. What a crash left of a last line is completed, or put aside in
``promotions.torn``, before the next one comes; no whole line is ever lost.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import first_fault

Action = Literal["promote", "hold", "reject", "rollback", "manual", "first", "idle", "heal"]
FILE: Final = "promotions.jsonl"
TORN: Final = "promotions.torn"
TIME: Final = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)"


class Record(BaseModel):
    """One decision; further keys may follow.

    Attributes
    ----------
    at : when, ISO 8601 in UTC.
    by : who decided: ``gate`` or a person's name.
    version : the one that it is about; null where there is none.
    previous : the champion before.
    decision : its id; a second record of the same decision is not added.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    at: Annotated[str, Field(pattern=rf"^{TIME}$")]
    action: Action
    by: str
    version: str | None = None
    previous: str | None = None
    why: str
    decision: str | None = None


def records_file(project: Project) -> Path:
    """Return where the records are kept."""
    return project.reports / FILE


def append(project: Project, record: Mapping[str, Any]) -> bool:
    """Add a record, safe on disk on return; tell whether it was new.

    Raises
    ------
    PamelaError
        If it is no `Record`, or cannot be written; nothing is added then.
    """
    checked = _check(record, "record")
    line = json.dumps(checked.model_dump(), ensure_ascii=False, allow_nan=False) + "\n"
    path = records_file(project)
    try:
        with _opened(path) as stream:
            _mend(stream, path)
            if checked.decision and checked.decision in _decisions(path):
                return False
            _write(stream, line.encode())
    except OSError as error:
        raise PamelaError(f"{path}: cannot be written ({error.strerror})") from None
    return True


def read(project: Project) -> list[Record]:
    """Return all records, in order; a last line that a crash cut off is none.

    Raises
    ------
    PamelaError
        Naming the line, if one is no record.
    """
    return list(_parse(records_file(project)))


# --- lines ------------------------------------------------------------------------------------


def _parse(path: Path) -> Iterator[Record]:
    if not path.is_file():
        return
    *whole, last = path.read_bytes().split(b"\n")
    if _value(last) is not None:  # only the end of the line was lost
        whole.append(last)
    for number, line in enumerate(whole, 1):
        value = _value(line)
        if value is None:
            raise PamelaError(f"{path}: line {number} is no JSON object; mend or remove it")
        yield _check(value, f"{path}: line {number}")


def _decisions(path: Path) -> set[str]:
    """Return the ids of all decisions there; a line that is no record keeps nobody from adding."""
    values = (_value(line) or {} for line in path.read_bytes().splitlines())
    return {str(value["decision"]) for value in values if value.get("decision")}


def _value(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _check(value: Mapping[str, Any], where: str) -> Record:
    try:
        return Record.model_validate(dict(value))
    except ValidationError as error:
        raise PamelaError(f"{where}: {first_fault(error)}") from None


# --- writing ----------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the file for one writer at a time; the system drops the lock with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    stream = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX)
        if new:
            _sync_folder(path.parent)
        yield stream
    finally:
        os.close(stream)


def _mend(stream: int, path: Path) -> None:
    """End the file with a whole line; what cannot be completed is put aside."""
    content = path.read_bytes()
    start = content.rfind(b"\n") + 1
    last = content[start:]
    if not last:
        return
    if _value(last) is not None:
        _write(stream, b"\n")
        return
    with path.with_name(TORN).open("ab") as aside:
        aside.write(last + b"\n")
        aside.flush()
        os.fsync(aside.fileno())
    os.ftruncate(stream, start)
    os.fsync(stream)


def _write(stream: int, line: bytes) -> None:
    """Write all of `line`, or nothing."""
    size = os.fstat(stream).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(stream, line[written:])
        os.fsync(stream)
    except OSError:  # such as a full disk
        os.ftruncate(stream, size)
        raise


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
