"""What follows from the gate's decision: aliases, records, batches set aside.

Run by ``python -m flows.retrain`` (``pamela retrain``), after `pamela.retraining.gate.trial`. Every
step can be done twice, so that a crash between any two is mended by doing all of them again.
"""

from __future__ import annotations

import json

import polars as pl

from pamela.core.paths import Project
from pamela.evaluation.metrics.definitions import SROCC
from pamela.evaluation.provenance import dataset_hashes, stable_hash
from pamela.evaluation.results import Results
from pamela.params import Params
from pamela.registry import registration, versions
from pamela.registry.tracking import publish
from pamela.registry.tracking.runs import RunSpec, common_tags
from pamela.retraining import batches, records
from pamela.retraining.drift.measure import metrics
from pamela.retraining.drift.record import last_drift
from pamela.retraining.gate.decision import DONE, Decision, last_decision, write_decision
from pamela.retraining.gate.holdout import NEWEST
from pamela.retraining.gate.judgement import FIGURES
from pamela.retraining.gate.reference import BELOW

RUN_NAME = "gate"
TAG_PREFIX = "gate_"  # of a model version's tags


def carry_out(project: Project, params: Params, decision: Decision) -> None:
    """Do what follows from `decision`; what is done already is left as it is."""
    for step in STEPS:
        step(project, params, decision)
    write_decision(project, decision.model_copy(update={"state": DONE}))


def finish(project: Project, params: Params) -> Decision | None:
    """Carry out what an interrupted cycle had decided; return it, or None where nothing is left."""
    last = last_decision(project)
    if last is None or last.state == DONE:
        return None
    carry_out(project, params, last)
    return last


def move_aliases(project: Project, params: Params, decision: Decision) -> None:
    """Make the challenger champion, and mark the best champion so far.

    Where a person has moved the alias since the decision, theirs stands.
    """
    if decision.outcome != "PROMOTE":
        mark_best(project, params, decision)
        return
    over = decision.champion.version if decision.champion else ""
    holder = versions.champion(project, params)
    if holder and holder.version not in (over, decision.challenger.version):
        return
    why = registration.Promotion(decision.why, decision=decision.id, over=over)
    registration.set_champion(project, params, decision.challenger.version, why)
    mark_best(project, params, decision)


def mark_best(project: Project, params: Params, decision: Decision) -> None:
    """Let the alias name the best champion so far; its tag first, which the next trial reads."""
    if decision.best:
        client = publish.client_of(project, params)
        below = json.dumps(decision.below_best)
        client.set_model_version_tag(versions.NAME, decision.best, BELOW, below)
        client.set_registered_model_alias(versions.NAME, versions.BEST, decision.best)


def tag_version(project: Project, params: Params, decision: Decision) -> None:
    """Write what the gate found on the challenger's version."""
    if decision.champion and decision.champion.version == decision.challenger.version:
        return
    tags = {"outcome": decision.outcome, "why": decision.why, "reason": decision.reason}
    figures = _figures(decision)
    if decision.champion is not None and figures:
        tags |= {key: f"{value:.4f}" for key, value in figures.items()}
        tags["against"] = decision.champion.version
    client = publish.client_of(project, params)
    for key, value in tags.items():
        client.set_model_version_tag(
            versions.NAME, decision.challenger.version, TAG_PREFIX + key, value
        )


def log_run(project: Project, params: Params, decision: Decision) -> None:
    """Log the decision as a run, with its table; the same decision is logged once."""
    hashes = dataset_hashes(project)
    spec = RunSpec(
        name=f"{RUN_NAME} {decision.outcome}",
        hash=stable_hash([RUN_NAME, decision.id]),
        note=decision.line,
        params={f"retrain.{k}": str(v) for k, v in params.retrain.model_dump().items()},
        metrics=[*_metrics(decision), *_drift(project, decision)],
        tags=common_tags(Results(project, params))
        | {"decision": decision.outcome, "reason": decision.reason},
        datasets=hashes,
        tables={"gate.json": pl.DataFrame(decision.checks)} if decision.checks else {},
    )
    client = publish.client_of(project, params)
    experiment = publish.experiment_id(client, project, params)
    if publish.find_run(client, experiment, spec.hash) is None:
        publish.create_run(client, experiment, spec)


def _figures(decision: Decision) -> dict[str, float]:
    """Return ``<figure>`` of the challenger and ``champion_<figure>``, where they were compared."""
    sides = {"": decision.challenger, "champion_": decision.champion}
    found = {
        prefix + figure: getattr(side, figure)
        for prefix, side in sides.items()
        for figure in FIGURES
        if side is not None
    }
    return {key: value for key, value in found.items() if value is not None}


def _metrics(decision: Decision) -> list[tuple[str, float, int]]:
    values: dict[str, float | None] = {}
    for figure in FIGURES:
        values[f"{figure}_challenger"] = getattr(decision.challenger, figure)
        if decision.champion:
            values[f"{figure}_champion"] = getattr(decision.champion, figure)
    for check in decision.checks:
        if check["kind"] == "gain":
            name = f"{check['metric']}_difference"
            if check["rows_of"] == NEWEST:
                name = "newest_difference" if check["metric"] == SROCC else f"newest_{name}"
            values |= {name: check["difference"], f"{name}_ci_low": check["ci_low"],
                       f"{name}_ci_high": check["ci_high"]}  # fmt: skip
    return [(key, value, 0) for key, value in values.items() if value is not None]


def _drift(project: Project, decision: Decision) -> list[tuple[str, float, int]]:
    """Return the drift of the batches that the decision is about, as metrics."""
    drift = last_drift(project)
    against = decision.champion.version if decision.champion else ""
    if drift is None or (drift.batches, drift.champion) != (decision.group, against):
        return []
    return [(key, value, 0) for key, value in metrics(drift.measures).items()]


def set_batches_aside(project: Project, params: Params, decision: Decision) -> None:
    """Take rejected batches out of the training data, with the gate's table beside them."""
    if decision.set_aside:
        batches.set_aside(project, decision.set_aside, decision.model_dump())


def append_record(project: Project, params: Params, decision: Decision) -> None:
    """Add the decision to ``reports/promotions.jsonl``, once."""
    action = decision.outcome.lower()
    if decision.outcome == "PROMOTE" and decision.champion is None:
        action = "first"
    records.append(
        project,
        {
            "at": registration.now_utc(),
            "decision": decision.id,
            "action": action,
            "by": "gate",
            "version": decision.challenger.version,
            "previous": decision.champion.version if decision.champion else None,
            "why": decision.why,
            "reason": decision.reason,
            "batches": decision.group,
            **_figures(decision),
        },
    )


STEPS = (move_aliases, tag_version, log_run, set_batches_aside, append_record)
