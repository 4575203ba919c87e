"""What follows from the gate is tested by real cycles in tests/pipeline/test_retrain.py."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.registry import promotion

BATCHES = st.dictionaries(st.sampled_from(["d/a", "d/b", "e/a", "e/c"]), st.sampled_from("123"))


@given(now=BATCHES, before=BATCHES)
def test_news_names_every_difference_once(now: dict[str, str], before: dict[str, str]) -> None:
    found = promotion.news(now, before)
    assert (found == {}) == (now == before)
    assert set(found.get("added", [])) == set(now) - set(before)
    assert set(found.get("removed", [])) == set(before) - set(now)
    changed = {b for b in set(now) & set(before) if now[b] != before[b]}
    assert set(found.get("changed", [])) == changed


def test_nothing_was_judged_before_the_first_decision(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert promotion.judged(project) == {}
    write_json(promotion.record_file(project), {promotion.JUDGED: {"d/a": "1"}})
    assert promotion.judged(project) == {"d/a": "1"}
