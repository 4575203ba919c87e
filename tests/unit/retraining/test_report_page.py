"""The page of retraining: what is told, what is escaped, and what stands there before."""

from __future__ import annotations

from pathlib import Path

from pamela.core.files import write_json
from pamela.core.paths import Project
from pamela.params import load_params
from pamela.reporting.retraining_page import PAGE, ensure_page
from pamela.retraining import records
from pamela.retraining.drift.measure import Measure
from pamela.retraining.drift.record import Drift, record_file
from pamela.retraining.gate.decision import write_decision
from pamela.retraining.report.page import write_retraining_page
from tests.paths import ROOT
from tests.unit.retraining.gate.test_decision import decision

PARAMS = load_params(ROOT / "params.yaml")
EVIL = "<script>alert(1)</script>"
CHECK = {
    "kind": "slice", "rows_of": "frozen hold-out", "dataset": "d", "slice": EVIL, "metric": "srocc",
    "champion": 0.5, "challenger": 0.4, "difference": -0.1, "ci_low": -0.15, "ci_high": -0.05,
    "lower": -0.15, "users": 20, "rows": 400, "wanted": "at least -0.02", "result": "failed",
}  # fmt: skip


def drift() -> Drift:
    measure = Measure("d", "raters", EVIL, None, 0.5, 0.5, 0.3, 0.2, 20, "drifted")
    shown = {
        "people": 20, "ratings": 400, "ratings_per_person": {"median": 20.0, "most": 20},
        "values": [1.0, 2.0], "old_ratings": [3, 4], "new_ratings": [1, 5],
        "raters": {EVIL: [{"value": EVIL, "old": 3, "new": 1}]},
        "score_edges": [0.0, 0.5, 1.0], "old_scores": [3, 1], "new_scores": [1, 3],
    }  # fmt: skip
    return Drift(
        champion="1", batches=["d/a"], line=f"drift: {EVIL}", drifted=True,
        measures=[measure], datasets={"d": shown},
    )  # fmt: skip


def test_page_tells_everything_newest_first_and_escapes_it(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for day, why in (("01", "first words"), ("02", EVIL)):
        at = f"2026-11-{day}T03:00:00Z"
        records.append(project, {"at": at, "action": "hold", "by": "gate", "why": why})
    write_decision(project, decision(checks=[CHECK]))
    write_json(record_file(project), drift().model_dump())
    write_retraining_page(project, PARAMS)
    page = (project.reports / PAGE).read_text()
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert page.index("2026-11-02 03:00") < page.index("2026-11-01 03:00")
    assert "-0.150 to -0.050" in page
    assert page.count("data:image/png;base64,") == 3
    ensure_page(project, "other")
    assert (project.reports / PAGE).read_text() == page


def test_before_the_first_cycle_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path)
    ensure_page(project, "title")
    assert "No retraining yet" in (project.reports / PAGE).read_text()
    write_retraining_page(project, PARAMS)
    assert "No retraining yet" in (project.reports / PAGE).read_text()
