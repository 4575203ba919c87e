"""From a retrained model to the alias ``champion``: the gate's verdict, carried out and recorded.

Run by ``python -m flows.retrain`` (``pamela retrain``). The challenger becomes a registered
version with what the gate found as tags; the alias moves or stays; ``reports/gate.json`` holds the
last decision and the batches it was about, MLflow a run called ``gate``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pamela.core.dataset import load_fold
from pamela.core.files import read_json, write_json
from pamela.core.paths import Project
from pamela.evaluation.provenance import dataset_hashes, stable_hash
from pamela.evaluation.results import Results
from pamela.models.base import model_hash
from pamela.params import Params
from pamela.registry import publish, registration, versions
from pamela.registry.runs import RunSpec, common_tags
from pamela.retraining import gate
from pamela.retraining.gate import Comparison
from pamela.training.bundle import BUNDLE_FOLD, Bundle, load_evaluated

RUN_NAME = "gate"
JUDGED = "judged"
TAG_PREFIX = "gate_"  # of a model version's tags

Batches = Mapping[str, str]  # dataset/batch -> hash of its contents
Outcome = Literal["promoted", "kept", "unchanged", "first"]


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes
    ----------
    version : its number in the registry.
    model : its name.
    model_hash, evaluated_hash : of the model that serves, and of the one that the gate compares.
    """

    version: str
    model: str
    model_hash: str
    evaluated_hash: str


@dataclass(frozen=True)
class Decision:
    """What was decided and why; `line` says it to people.

    Attributes
    ----------
    champion : who held the alias before; None where nobody did.
    comparison : both scores; None where there was nothing to compare.
    """

    outcome: Outcome
    line: str
    champion: Side | None
    challenger: Side
    comparison: Comparison | None


def decide_and_promote(
    project: Project, params: Params, batches: Batches, *, reason: str
) -> Decision:
    """Judge ``models/bundle`` against the champion, move the alias or not, and record it.

    What is compared are the two bundles' models of fold 0; what serves are their twins, fitted on
    every accepted rating.

    Parameters
    ----------
    batches : every accepted batch that the challenger was trained with.
    reason : why it was trained; the run called ``gate`` carries it as a tag.

    Raises
    ------
    PamelaError
        If the two cannot be compared fairly (`pamela.retraining.gate.compare_on_holdout`); the
        alias is unmoved then.
    """
    decision = _decide(project, params)
    entry = _entry(params, decision, batches, judged(project))
    _tag_version(project, params, decision)
    _log_run(project, params, decision, entry, reason)
    write_json(record_file(project), entry)
    return decision


# --- deciding ---------------------------------------------------------------------------------


def _decide(project: Project, params: Params) -> Decision:
    folder = project.models / "bundle"
    challenger = load_evaluated(folder)
    registered = registration.register_if_empty(project, params)
    holder = versions.champion(project, params)
    if registered or holder is None:
        return _first(project, params, challenger, folder)
    old_folder = versions.resolve(f"models:/{versions.NAME}/{holder.version}", project, params)
    champion = load_evaluated(old_folder)
    old = _side(holder.version, champion, old_folder)
    new = _side("", challenger, folder)
    if (old.model_hash, old.evaluated_hash) == (new.model_hash, new.evaluated_hash):
        why = f"the model trained now is the same ({old.model}, {old.model_hash[:8]})"
        line = f"kept version {old.version}: {why}"
        return Decision("unchanged", line, old, old, None)
    found = gate.compare_on_holdout(
        champion,
        challenger,
        load_fold(project, BUNDLE_FOLD),
        draws=params.evaluate.bootstrap,
        seed=params.evaluate.seed,
    )
    allowed, why = gate.decide(found, params.retrain.tolerance)
    version = registration.register_challenger(project, params)
    new = replace(new, version=version)
    if not allowed:
        line = f"kept version {old.version} against version {version}: {why}"
        return Decision("kept", line, old, new, found)
    registration.set_champion(project, params, version, reason=why)
    line = f"promoted version {version} over version {old.version}: {why}"
    return Decision("promoted", line, old, new, found)


def _first(project: Project, params: Params, challenger: Bundle, folder: Path) -> Decision:
    """Promote without a comparison: nobody holds the alias."""
    version = registration.register_challenger(project, params)
    why = "no version held the alias champion before"
    registration.set_champion(project, params, version, reason=why)
    new = _side(version, challenger, folder)
    return Decision("first", f"promoted version {version}: {why}", None, new, None)


def _side(version: str, bundle: Bundle, folder: Path) -> Side:
    """Return one side; `bundle` is the evaluated model of `folder`."""
    evaluated = bundle.version.rpartition("-")[2]
    return Side(version, bundle.model.name, model_hash(folder), evaluated)


# --- recording --------------------------------------------------------------------------------


def record_file(project: Project) -> Path:
    """``reports/gate.json``: the last decision."""
    return project.reports / "gate.json"


def judged(project: Project) -> dict[str, str]:
    """Return ``{dataset/batch: hash}`` of the batches in the data when the gate last decided."""
    path = record_file(project)
    if not path.is_file():
        return {}
    batches: dict[str, str] = read_json(path)[JUDGED]
    return batches


def news(batches: Batches, before: Batches) -> dict[str, list[str]]:
    """Return which batches were added, changed or removed since `before`; empty kinds left out."""
    kinds = {
        "added": [b for b in batches if b not in before],
        "changed": [b for b in batches if b in before and batches[b] != before[b]],
        "removed": [b for b in before if b not in batches],
    }
    return {kind: sorted(names) for kind, names in kinds.items() if names}


def _entry(params: Params, decision: Decision, batches: Batches, before: Batches) -> dict[str, Any]:
    """Return the record of one decision, without times: the same cycle gives the same record."""
    found = decision.comparison
    champion = asdict(decision.champion) if decision.champion else None
    challenger = asdict(decision.challenger)
    holdout = difference = None
    if found is not None and champion is not None:
        champion["srocc"], challenger["srocc"] = found.champion, found.challenger
        holdout = {"fold": BUNDLE_FOLD, "rows": found.rows, "users": found.users}
        difference = asdict(found.difference)
    return {
        "decision": decision.outcome,
        "why": decision.line,
        "champion": champion,
        "challenger": challenger,
        "difference": difference,
        "by_part": found.by_part if found else None,
        "by_dataset": {k: asdict(v) for k, v in found.by_dataset.items()} if found else None,
        "tolerance": params.retrain.tolerance,
        "holdout": holdout,
        "batches": news(batches, before),
        JUDGED: dict(sorted(batches.items())),
    }


def _tag_version(project: Project, params: Params, decision: Decision) -> None:
    """Write what the gate found on the challenger's version."""
    tags = {"decision": decision.outcome, "why": decision.line}
    if decision.outcome == "unchanged":
        return
    if decision.comparison is not None and decision.champion is not None:
        tags |= {
            "srocc": f"{decision.comparison.challenger:.4f}",
            "champion_srocc": f"{decision.comparison.champion:.4f}",
            "against": decision.champion.version,
        }
    client = publish.client_of(project, params)
    for key, value in tags.items():
        client.set_model_version_tag(
            versions.NAME, decision.challenger.version, TAG_PREFIX + key, value
        )


def _log_run(
    project: Project, params: Params, decision: Decision, entry: dict[str, Any], reason: str
) -> None:
    """Log the decision as a run; the same decision on the same data is logged once."""
    hashes = dataset_hashes(project)
    tags = {"decision": decision.outcome, "reason": reason}
    spec = RunSpec(
        name=RUN_NAME,
        hash=stable_hash([RUN_NAME, entry, hashes]),
        note=decision.line,
        params={"retrain.tolerance": str(params.retrain.tolerance)},
        metrics=_metrics(decision.comparison),
        tags=common_tags(Results(project, params)) | tags,
        datasets=hashes,
    )
    client = publish.client_of(project, params)
    experiment = publish.experiment_id(client, project, params)
    if publish.find_run(client, experiment, spec.hash) is None:
        publish.create_run(client, experiment, spec)


def _metrics(found: Comparison | None) -> list[tuple[str, float, int]]:
    if found is None:
        return []
    values = {
        "srocc_champion": found.champion,
        "srocc_challenger": found.challenger,
        "srocc_difference": found.difference.value,
        "srocc_difference_ci_low": found.difference.ci_low,
        "srocc_difference_ci_high": found.difference.ci_high,
    }
    values |= {f"srocc_difference_{k}": v.difference.value for k, v in found.by_dataset.items()}
    return [(key, value, 0) for key, value in values.items() if value is not None]
