"""ablation/dvc.yaml is whole and honest, and the root's `dvc repro` leaves it alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from flows.pipeline import stale_stages
from pamela.core.paths import Project
from pamela.params import TrainParams
from tests.closure import GRAPHS, code_deps, import_closure
from tests.conftest import ROOT, copy_project, must, run_in

OWN = yaml.safe_load((ROOT / "ablation/dvc.yaml").read_text())["stages"]
MAIN = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# what a variant sets for itself
SET_BY_VARIANTS = {"train.inputs", "train.models", "train.champion"}


def names(entries: list[object]) -> list[str]:
    return [e if isinstance(e, str) else next(iter(e)) for e in entries]  # type: ignore[call-overload]


def outs(stages: dict[str, dict[str, list[object]]]) -> list[str]:
    return [o for one in stages.values() for o in names([*one["outs"], *one.get("metrics", [])])]


@pytest.mark.parametrize("stage", OWN)
def test_code_deps_are_the_import_closure(stage):
    module = OWN[stage]["cmd"].split()[-1]
    deps = [d for d in OWN[stage]["deps"] if d.startswith(("pamela", "flows"))]
    assert sorted(deps) == code_deps(ROOT, module)


def test_data_deps_are_outputs_of_the_pipeline_or_of_the_stage_before():
    made = {*outs(MAIN), *outs(OWN)}
    for stage in OWN.values():
        data = [d for d in stage["deps"] if d.startswith(("data/", "reports/", "models"))]
        assert data
        assert not [d for d in data if not any(d == o or d.startswith(f"{o}/") for o in made)]


def test_it_writes_nothing_that_the_pipeline_writes_and_never_reads_the_truth():
    assert not set(outs(OWN)) & set(outs(MAIN))
    deps = [d for stage in OWN.values() for d in stage["deps"]]
    assert not [d for d in deps if d.startswith("data/truth")]
    for path in import_closure(ROOT, "flows.ablation") - {"pamela/core/paths.py"}:
        assert (
            ".truth" not in (ROOT / path).read_text() or path == "pamela/evaluation/predictions.py"
        )


def test_every_train_param_that_matters_is_watched():
    watched = {name for name in OWN["ablation"]["params"] if name.startswith("train.")}
    assert watched == {f"train.{key}" for key in TrainParams.model_fields} - SET_BY_VARIANTS


def test_its_stages_run_at_the_root_by_flows_that_exist():
    for stage in OWN.values():
        assert stage["wdir"] == ".."
        assert (ROOT / (stage["cmd"].split()[-1].replace(".", "/") + ".py")).is_file()
    assert set(GRAPHS) == {"dvc.yaml", "ablation/dvc.yaml"}


# --- what DVC makes of it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project in which the pipeline has run (with made-up outputs) and the ablation has not."""
    found = copy_project(tmp_path_factory.mktemp("ablation_graph") / "project")
    deps = [d for one in MAIN.values() for d in names(one["deps"])]
    for name in sorted({*outs(MAIN), *deps}, reverse=True):  # a folder after what is in it
        path = found / name
        if path.exists():
            continue
        file = path if path.suffix else path / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"made-up {name}")
    must(found, "python", "-m", "dvc", "commit", "-q", "-f", "dvc.yaml")
    return found


def looked_at(project: Path, *words: str) -> list[str]:
    """Return the stages that `dvc repro` runs or skips, in order, without running any."""
    done = run_in(project, "python", "-m", "dvc", "repro", "--dry", *words)
    told = re.findall(r"(?:Running stage '([^']+)'|Stage '([^']+)' didn't change)", done.stdout)
    return [ran or skipped for ran, skipped in told]


def test_repro_at_the_root_leaves_the_ablation_out(project):
    for words in ((), ("-R",)):
        assert sorted(looked_at(project, *words)) == sorted(MAIN)


def test_one_command_runs_the_ablation_after_what_it_builds_on(project):
    ran = looked_at(project, "ablation/dvc.yaml")
    before = ran.index("ablation/dvc.yaml:ablation")
    assert set(ran[:before]) == {"ingest", "validate", "split", "embed"}


def test_a_stale_ablation_is_no_work_for_the_pipeline(project):
    status = must(project, "python", "-m", "dvc", "status", "--json")
    assert "ablation/dvc.yaml:ablation" in json.loads(status)
    assert stale_stages(Project(project)) == []
