"""Every decision is a line: none is lost, doubled or half written, whatever happens to the last."""

from __future__ import annotations

import json
import os
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.retraining import records

AT = "2026-11-29T03:00:00Z"


def record(number: int, **more) -> dict[str, object]:
    return {"at": AT, "action": "promote", "by": "gate", "version": str(number),
            "previous": None, "why": f"é {number}", "decision": f"d{number}", **more}  # fmt: skip


def versions(project: Project) -> list[str | None]:
    return [one.version for one in records.read(project)]


def test_records_come_back_in_order_with_what_else_they_say(tmp_path):
    project = Project(tmp_path)
    assert records.read(project) == []
    assert records.append(project, record(1, table=[{"check": "frozen", "value": 0.1}]))
    assert records.append(project, {"at": AT, "action": "idle", "by": "gate", "why": "nothing new"})
    assert records.append(project, {"at": AT, "action": "idle", "by": "gate", "why": "nothing new"})
    first, second, third = records.read(project)
    assert first.model_extra == {"table": [{"check": "frozen", "value": 0.1}]}
    assert (second.version, second) == (None, third)


def test_a_decision_is_recorded_once(tmp_path):
    project = Project(tmp_path)
    assert records.append(project, record(1))
    assert not records.append(project, record(1, why="again"))
    assert versions(project) == ["1"]


@given(cut=st.data())
def test_a_torn_last_line_costs_no_other(tmp_path_factory, cut):
    project = Project(tmp_path_factory.mktemp("torn"))
    for number in (1, 2, 3):
        records.append(project, record(number))
    path = records.records_file(project)
    content = path.read_bytes()
    start = content[:-1].rfind(b"\n") + 1
    kept = cut.draw(st.integers(start, len(content)))
    path.write_bytes(content[:kept])
    whole = kept >= len(content) - 1
    assert versions(project) == ["1", "2", *["3"] * whole]
    assert records.append(project, record(3)) == (not whole)
    assert records.append(project, record(4))
    assert versions(project) == ["1", "2", "3", "4"]
    torn = path.with_name(records.TORN)
    assert torn.is_file() == (start < kept < len(content) - 1)
    if torn.is_file():
        assert torn.read_bytes() == content[start:kept] + b"\n"


def test_a_full_disk_leaves_nothing_of_the_line(tmp_path, monkeypatch):
    project = Project(tmp_path)
    records.append(project, record(1))
    write = os.write

    def short(stream: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(stream, data[:-10])

    monkeypatch.setattr(records.os, "write", short)
    with pytest.raises(PamelaError, match=r"promotions.jsonl: cannot be written \(No space left"):
        records.append(project, record(2))
    monkeypatch.undo()
    assert records.append(project, record(2))
    assert versions(project) == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is no JSON object"),
        ("[1]", "line 2 is no JSON object"),
        ("", "line 2 is no JSON object"),
        (json.dumps(record(2, at="yesterday")), "line 2: at"),
        (json.dumps(record(2, action="guess")), "line 2: action"),
        (json.dumps(record(2, version=2)), "line 2: version"),
        (json.dumps({"at": AT, "action": "idle", "by": "gate"}), "line 2: missing key why"),
    ],
)
def test_a_line_that_is_no_record_is_named_and_hinders_no_further_one(tmp_path, line, says):
    project = Project(tmp_path)
    records.append(project, record(1))
    with records.records_file(project).open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(PamelaError, match=says) as caught:
        records.read(project)
    assert "promotions.jsonl" in str(caught.value)
    assert records.append(project, record(3))


def test_what_is_no_record_is_not_written(tmp_path):
    with pytest.raises(PamelaError, match="record: missing key why"):
        records.append(Project(tmp_path), {"at": AT, "action": "idle", "by": "gate"})
    assert not records.records_file(Project(tmp_path)).exists()


def _add(root: str, start: int) -> None:
    for number in range(start, start + 20):
        records.append(Project(Path(root)), record(number))


def test_two_writers_at_once_lose_nothing(tmp_path):
    spawn = get_context("spawn")
    both = [spawn.Process(target=_add, args=(str(tmp_path), start)) for start in (0, 10)]
    for one in both:
        one.start()
    for one in both:
        one.join(120)
    found = versions(Project(tmp_path))
    assert sorted(map(int, found)) == list(range(30))
