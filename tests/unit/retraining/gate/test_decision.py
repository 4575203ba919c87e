"""The record of a decision, and what it says of batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.retraining.gate.decision import (
    Data,
    Decision,
    Side,
    decision_id,
    halves,
    judged,
    last_decision,
    news,
    record_file,
    write_decision,
)

BATCHES = st.dictionaries(st.sampled_from(["d/a", "d/b", "e/a", "e/c"]), st.sampled_from("123"))
OLD = Side(version="1", model="paper", model_hash="a", evaluated_hash="b", srocc=0.4)
NEW = Side(version="2", model="paper", model_hash="c", evaluated_hash="d", srocc=0.5)


def decision(**changed: Any) -> Decision:
    plain: dict[str, Any] = {
        "id": "x", "state": "decided", "outcome": "PROMOTE", "why": "so", "reason": "new",
        "champion": OLD, "challenger": NEW, "best": "2", "group": ["d/a"], "to_try": [],
        "data": Data(batches={"d/a": "1"}), "checks": [], "newest": 3,
    }  # fmt: skip
    return Decision(**{**plain, **changed})


@given(now=BATCHES, before=BATCHES)
def test_news_names_every_difference_once(now: dict[str, str], before: dict[str, str]) -> None:
    found = news(now, before)
    assert (found == {}) == (now == before)
    assert set(found.get("added", [])) == set(now) - set(before)
    assert set(found.get("removed", [])) == set(before) - set(now)
    changed = {b for b in set(now) & set(before) if now[b] != before[b]}
    assert set(found.get("changed", [])) == changed


@given(group=st.lists(st.text(min_size=1), unique=True, max_size=9))
def test_a_group_is_cut_until_single_batches_are_left(group: list[str]) -> None:
    todo, seen = [group], []
    while todo:
        one = todo.pop(0)
        parts = halves(one)
        seen += [] if parts else one
        assert [label for part in parts for label in part] == (one if parts else [])
        todo += parts
    assert sorted(seen) == sorted(group)


def test_a_decision_reads_back_as_it_was_written(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert last_decision(project) is None
    assert judged(project) == Data()
    write_decision(project, decision())
    assert last_decision(project) == decision()
    assert judged(project).batches == {"d/a": "1"}
    write_json(record_file(project), {**decision().model_dump(), "outcome": "MAYBE"})
    with pytest.raises(PamelaError, match=r"reports/gate\.json: outcome.*move it away"):
        last_decision(project)


def test_its_line_says_who_serves_and_what_was_set_aside() -> None:
    assert decision().line == "PROMOTE version 2 over version 1: so"
    assert decision(champion=None).line == "PROMOTE version 2: so"
    held = decision(outcome="HOLD")
    assert (held.line, held.set_aside) == ("HOLD: version 1 stays against version 2: so", [])
    same = decision(outcome="HOLD", challenger=OLD)
    assert same.line == "HOLD: version 1 stays: so"
    assert decision(outcome="REJECT").line.endswith(": so; set aside: d/a")


def test_the_id_is_of_what_was_judged_and_after_what() -> None:
    data = Data(batches={"d/a": "1"})
    assert decision_id(NEW, OLD, data, "x") == decision_id(NEW, OLD, data, "x")
    others = [
        (OLD, OLD, data, "x"), (NEW, None, data, "x"), (NEW, OLD, Data(batches={"d/a": "2"}), "x"),
        (NEW, OLD, data, "y"),  # taken back, and judged again
    ]  # fmt: skip
    assert len({decision_id(*one) for one in [(NEW, OLD, data, "x"), *others]}) == 5
