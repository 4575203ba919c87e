"""What follows from the gate is tested by real cycles in tests/pipeline/test_retrain.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.params import load_params
from pamela.retraining import promotion
from pamela.retraining.gate import Comparison
from tests.paths import ROOT

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


@pytest.mark.parametrize(
    ("allowed", "outcome", "moved"), [(True, "promoted", ["2"]), (False, "kept", [])]
)
def test_the_alias_moves_if_the_gate_allows_it(
    allowed: bool, outcome: str, moved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a registry that is made up; how a real alias moves is in test_versions.py."""
    found = Comparison(0.4, 0.5, Estimate(0.1, 0.05, 0.15, 9), {}, 90, 9)
    bundle = SimpleNamespace(model=SimpleNamespace(name="paper"), version="paper-1")
    champions: list[str] = []
    answers = {
        "load_evaluated": bundle,
        "load_fold": None,
        "registration.register_if_empty": None,
        "registration.register_challenger": "2",
        "versions.champion": SimpleNamespace(version="1"),
        "versions.resolve": Path("registered"),
        "gate.compare_on_holdout": found,
        "gate.decide": (allowed, "so it says"),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(f"{promotion.__name__}.{name}", lambda *_, _it=answer, **__: _it)
    monkeypatch.setattr(promotion, "model_hash", lambda folder: f"hash of {folder}")
    monkeypatch.setattr(
        promotion.registration, "set_champion", lambda *args, **_: champions.append(args[2])
    )
    decision = promotion._decide(Project(Path()), load_params(ROOT / "params.yaml"))
    assert (decision.outcome, champions) == (outcome, moved)
    assert decision.line.endswith(": so it says")
