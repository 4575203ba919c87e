"""The ablation's stages are whole and honest; DVC knows them once they were asked for, and the
root's `dvc repro` leaves them alone even then."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flows.pipeline import stale_stages
from pamela.core.paths import Project
from pamela.params import EvaluateParams, TrainParams
from tests.conftest import ROOT, must, run_in
from tests.helpers.dvc_graph import ABLATION, MAIN, ask_for_ablation, covers, imported, names, outs

# what a variant sets for itself
# what a variant sets itself, and scores that no variant is compared with
SET_BY_VARIANTS = {"train.inputs", "train.models", "train.champion", "evaluate.external"}
MADE_BY_MAIN = {out for stage in MAIN.values() for out in outs(stage)}
MADE_HERE = {out for stage in ABLATION.values() for out in outs(stage)}


def test_data_deps_are_outputs_of_the_pipeline_or_of_the_stage_before():
    for stage in ABLATION.values():
        data = [d for d in stage["deps"] if d.startswith(("data/", "reports/", "models"))]
        assert data
        assert not [d for d in data if not any(covers(o, d) for o in MADE_BY_MAIN | MADE_HERE)]


def test_it_writes_nothing_that_the_pipeline_writes_and_never_reads_the_truth():
    assert not MADE_HERE & MADE_BY_MAIN
    deps = [d for stage in ABLATION.values() for d in names(stage["deps"])]
    assert not [d for d in deps if d.startswith("data/truth")]
    for path in imported(ABLATION["ablation"]) - {"pamela/core/paths.py"}:
        assert (
            ".truth" not in (ROOT / path).read_text() or path == "pamela/evaluation/predictions.py"
        )


def test_every_param_of_training_and_evaluation_that_matters_is_watched():
    sections = {"train": TrainParams, "evaluate": EvaluateParams}
    watched = {p for p in ABLATION["ablation"]["params"] if p.split(".")[0] in sections}
    keys = {f"{name}.{key}" for name, one in sections.items() for key in one.model_fields}
    assert watched == keys - SET_BY_VARIANTS


def test_its_stages_run_at_the_root_by_flows_that_exist():
    for stage in ABLATION.values():
        assert stage["wdir"] == ".."
        assert (ROOT / (stage["cmd"].split()[-1].replace(".", "/") + ".py")).is_file()


# --- what DVC makes of it -------------------------------------------------------------------------


def looked_at(project: Path, *words: str) -> list[str]:
    """Return the stages that `dvc repro` runs or skips, in order, without running any."""
    done = run_in(project, "python", "-m", "dvc", "repro", "--dry", *words)
    told = re.findall(r"(?:Running stage '([^']+)'|Stage '([^']+)' didn't change)", done.stdout)
    return [ran or skipped for ran, skipped in told]


@pytest.fixture
def asked_for(finished_project: Path) -> Path:
    """The project once the ablation was asked for and before it ran (`make ablation`)."""
    ask_for_ablation(finished_project)
    return finished_project


def test_an_ablation_that_nobody_asked_for_is_unknown_to_dvc(made_up_run):
    assert json.loads(must(made_up_run, "python", "-m", "dvc", "status", "--json")) == {}


def test_make_runs_what_the_tests_run():
    rule = (ROOT / "Makefile").read_text().partition("\nablation:")[2].partition("\n\n")[0]
    assert [line.strip(" @\t").removeprefix("$(BIN)/") for line in rule.splitlines()[1:]] == [
        "cp ablation/stages.yaml ablation/dvc.yaml",
        "dvc repro ablation/dvc.yaml",
    ]


def test_repro_at_the_root_leaves_the_ablation_out(asked_for):
    for words in ((), ("-R",)):
        assert sorted(looked_at(asked_for, *words)) == sorted(MAIN)


def test_one_command_runs_the_ablation_after_what_it_builds_on(asked_for):
    ran = looked_at(asked_for, "ablation/dvc.yaml")
    before = ran.index("ablation/dvc.yaml:ablation")
    assert set(ran[:before]) == {"ingest", "validate", "split", "embed"}


def test_a_stale_ablation_is_no_work_for_the_pipeline(asked_for):
    status = must(asked_for, "python", "-m", "dvc", "status", "--json")
    assert "ablation/dvc.yaml:ablation" in json.loads(status)
    assert stale_stages(Project(asked_for)) == []
