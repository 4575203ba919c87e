"""dvc.yaml is honest: its deps cover what each stage imports, and the truth stays apart."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
import yaml

from tests.closure import import_closure
from tests.paths import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ORDER = ["ingest", "validate", "split", "embed", "train", "evaluate", "steer", "report"]


def names(entries: list[object]) -> list[str]:
    return [e if isinstance(e, str) else next(iter(e)) for e in entries]  # type: ignore[call-overload]


def outs(stage: str) -> list[str]:
    return names(STAGES[stage].get("outs", []) + STAGES[stage].get("metrics", []))


def covers(dep: str, path: str) -> bool:
    return path == dep or path.startswith(dep.rstrip("/") + "/")


def test_the_stages_are_those_of_the_design():
    assert list(STAGES) == ORDER


@pytest.mark.parametrize("stage", ORDER)
def test_deps_cover_the_import_closure(stage):
    module = STAGES[stage]["cmd"].split()[-1]
    needed = import_closure(ROOT, module)
    deps = names(STAGES[stage]["deps"])
    missing = sorted(p for p in needed if not any(covers(d, p) for d in deps))
    assert not missing, f"dvc.yaml: stage {stage} imports but does not depend on {missing}"


@pytest.mark.parametrize("stage", ORDER)
def test_no_code_dep_is_idle(stage):
    module = STAGES[stage]["cmd"].split()[-1]
    needed = import_closure(ROOT, module)
    code = [d for d in names(STAGES[stage]["deps"]) if d.startswith(("pamela", "flows"))]
    idle = [d for d in code if not any(covers(d, p) for p in needed) and Path(d).suffix == ".py"]
    assert not idle, f"dvc.yaml: stage {stage} depends on modules it never imports: {idle}"


@pytest.mark.parametrize("stage", ["validate", "split", "embed", "train"])
def test_no_stage_before_evaluate_reads_the_truth(stage):
    deps = names(STAGES[stage]["deps"])
    assert not [d for d in deps if covers("data/truth", d) or covers(d, "data/truth")]
    closure = import_closure(ROOT, STAGES[stage]["cmd"].split()[-1])
    for path in closure - {"pamela/core/paths.py"}:
        assert ".truth" not in (ROOT / path).read_text(), f"{path} names the truth"


def test_the_graph_has_no_cycle_and_one_end():
    graph = nx.DiGraph()
    graph.add_nodes_from(ORDER)
    for stage in ORDER:
        for dep in names(STAGES[stage]["deps"]):
            graph.add_edges_from(
                (other, stage)
                for other in ORDER
                for out in outs(other)
                if covers(dep, out) or covers(out, dep)
            )
    assert nx.is_directed_acyclic_graph(graph)
    assert [n for n in graph if graph.out_degree(n) == 0] == ["report"]


def test_only_steer_and_report_depend_on_the_steer_params():
    users = [s for s in ORDER if any(str(p).split(".")[0] == "steer" for p in STAGES[s]["params"])]
    assert users == ["steer", "report"]
