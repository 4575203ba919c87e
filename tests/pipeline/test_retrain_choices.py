"""Batches of choices retrain a dataset that has no ratings: the same cycle, judged on choices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import must
from tests.helpers.choice_project import NAME, Choosers, first_run
from tests.helpers.stages import run_cycle


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_good_batch_is_promoted_and_a_flipped_one_set_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choosers = Choosers()
    project, users, prompts = first_run(tmp_path, choosers)
    inbox = project / "data/inbox" / NAME
    choosers.batch(inbox / "good", users, 60, 1, prompts)
    assert _last_line(project, capsys).startswith(
        "PROMOTE version 2 over version 1: choice accuracy "
    )
    gate = json.loads((project / "reports/gate.json").read_text())
    gains = {c["rows_of"]: c for c in gate["checks"] if c["kind"] == "gain"}
    assert gains["frozen hold-out"]["ci_low"] > 0.02
    assert gains["newest"]["rows"] == gate["newest"] > 100
    drift = json.loads((project / "reports/drift.json").read_text())
    assert {one["kind"] for one in drift["measures"]} == {"new_people", "pictures"}
    page = (project / "reports/retraining.html").read_text()
    assert f"{gains['newest']['rows']:,} choices" in page

    facts = json.loads(must(project, "python", "-m", "pamela.cli", "champion", "--json"))
    assert (facts["version"], facts["ratings"]) == ("2", 0)
    assert facts["choices"] > len(users) * 60
    accuracy = gate["challenger"]["choice_accuracy"]
    assert facts["figures"]["gate_choice_accuracy"] == pytest.approx(accuracy, abs=1e-4)

    strangers = [f"new{k}" for k in range(40)]
    choosers.batch(inbox / "flipped", [*users, *strangers], 80, -1, prompts)
    line = _last_line(project, capsys)
    assert line.startswith("REJECT: version 2 stays against version 3: choice accuracy ")
    assert line.endswith(f"; set aside: {NAME}/flipped")
    assert (project / "data/set_aside" / NAME / "flipped.dvc").is_file()


def _last_line(project: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    run_cycle(project)
    return capsys.readouterr().out.strip().splitlines()[-1]
