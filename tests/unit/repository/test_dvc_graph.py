"""dvc.yaml is honest: its deps cover what each stage imports, and the truth stays apart."""

from __future__ import annotations

import networkx as nx
import pytest

from flows.pipeline import stale_stages
from pamela.core.paths import Project
from tests.conftest import merge, must
from tests.helpers import yaml
from tests.helpers.dvc_graph import (
    ABLATION,
    MAIN,
    PER_NAME,
    covers,
    idle,
    imported,
    names,
    outs,
    undeclared,
)
from tests.paths import ROOT

ORDER = ["ingest", "validate", "split", "embed", "train", "evaluate", "steer", "report"]
PIPELINE = {**MAIN, **PER_NAME}
STAGES = {**PIPELINE, **ABLATION}
DECLARED = yaml.safe_load((ROOT / "dvc.yaml").read_text())


def test_the_stages_are_those_of_the_design():
    assert list(MAIN) == ORDER


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_imports_lies_in_its_deps(stage):
    missing = undeclared(STAGES[stage])
    assert not missing, f"stage {stage} imports but does not depend on {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_no_code_dep_is_idle(stage):
    assert not idle(STAGES[stage]), f"stage {stage} imports nothing of {idle(STAGES[stage])}"


@pytest.mark.parametrize("stage", ["validate", "split", "embed", "train"])
def test_no_stage_before_evaluate_reads_the_truth(stage):
    deps = names(MAIN[stage]["deps"])
    assert not [d for d in deps if covers("data/truth", d) or covers(d, "data/truth")]
    for path in imported(MAIN[stage]) - {"pamela/core/paths.py"}:
        assert ".truth" not in (ROOT / path).read_text(), f"{path} names the truth"


def test_the_graph_has_no_cycle_and_one_end():
    graph = nx.DiGraph()
    graph.add_nodes_from(PIPELINE)
    for stage in PIPELINE:
        for dep in names(PIPELINE[stage]["deps"]):
            graph.add_edges_from(
                (other, stage)
                for other in PIPELINE
                for out in outs(PIPELINE[other])
                if covers(dep, out) or covers(out, dep)
            )
    assert nx.is_directed_acyclic_graph(graph)
    assert [n for n in graph if graph.out_degree(n) == 0] == ["report"]


@pytest.mark.parametrize("section", yaml.safe_load((ROOT / "params.yaml").read_text()))
def test_a_new_key_of_a_section_reruns_its_own_stage_and_what_shows_all_params(section):
    owner = {"synthetic": "ingest", "tracking": "report"}.get(section, section)
    assert {name for name, one in STAGES.items() if section in one.get("params", [])} <= {
        owner,
        "report",
    }


def test_plots_and_the_champion_are_outputs_of_stages():
    made = [out for stage in MAIN.values() for out in outs(stage)]
    plotted = [
        path
        for plot in DECLARED["plots"]
        for path in ([plot] if isinstance(plot, str) else next(iter(plot.values()))["y"])
    ]
    assert plotted
    assert set(plotted) <= set(made)
    assert any(covers(out, DECLARED["artifacts"]["champion"]["path"]) for out in made)


# --- what DVC makes of it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "stale"),
    [("steer/steer.py", ["report", "steer"]), ("reporting/text.py", ["report"])],
)
def test_a_change_in_steering_or_the_report_retrains_nothing(finished_project, module, stale):
    with (finished_project / "pamela" / module).open("a") as code:
        code.write("# changed\n")
    assert stale_stages(Project(finished_project)) == stale


def test_a_new_key_of_train_reruns_train_and_report(finished_project):
    path = finished_project / "params.yaml"
    path.write_text(yaml.safe_dump(merge(yaml.safe_load(path.read_text()), {"train": {"new": 1}})))
    assert stale_stages(Project(finished_project)) == ["report", "train"]


def test_scores_from_elsewhere_rerun_the_evaluation_and_what_shows_it(finished_project):
    """A stage per name in evaluate.external; without a name there is none."""
    scores = finished_project / "scores" / "hps 3.csv"
    scores.parent.mkdir()
    scores.write_text("image_id,score\n1,2\n")
    named = {"evaluate": {"external": {"HPS-v3.1": "scores/hps 3.csv"}}}
    params = finished_project / "params.yaml"
    before = params.read_text()
    params.write_text(yaml.safe_dump(merge(yaml.safe_load(before), named)))
    project = Project(finished_project)
    assert stale_stages(project) == ["evaluate", "external@HPS-v3.1", "report"]
    (finished_project / "data/external/HPS-v3.1.parquet").write_text("checked")
    must(finished_project, "python", "-m", "dvc", "commit", "-q", "-f", "dvc.yaml")
    assert stale_stages(project) == []
    scores.write_text("image_id,score\n1,3\n")
    assert stale_stages(project) == ["external@HPS-v3.1"]
    params.write_text(before)
    assert stale_stages(project) == ["evaluate", "report"]
