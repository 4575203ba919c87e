"""From the gate's verdict to what follows: versions, aliases, records, batches set aside.

Run by ``python -m flows.retrain`` (``pamela retrain``). `decide` judges the challenger and writes
the decision down; `carry_out` does what follows from it. Every step of it can be done twice, so
that a crash between any two is mended by doing all of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from pamela.core import schema as s
from pamela.core.paths import Project
from pamela.data.withdrawn import read_withdrawn
from pamela.evaluation.provenance import dataset_hashes, stable_hash
from pamela.evaluation.results import Results
from pamela.models.base import model_hash
from pamela.params import Params
from pamela.registry import publish, registration, versions
from pamela.registry.runs import RunSpec, common_tags
from pamela.retraining import batches, gate, records
from pamela.retraining.challenger import challenger_bundle
from pamela.retraining.decision import (
    DECIDED,
    DONE,
    Data,
    Decision,
    Side,
    decision_id,
    halves,
    last_decision,
    write_decision,
)
from pamela.retraining.gate import Check, Judgement
from pamela.retraining.holdout import Holdout
from pamela.training.bundle import Bundle, load_evaluated

RUN_NAME = "gate"
TAG_PREFIX = "gate_"  # of a model version's tags
BEST = "best"  # the alias of the best champion so far


def decide(
    project: Project,
    params: Params,
    holdout: Holdout,
    data: Data,
    *,
    group: Sequence[str],
    to_try: Sequence[Sequence[str]] = (),
    reason: str,
) -> Decision:
    """Judge ``challenger/bundle`` against the champion, and write the decision down.

    Parameters
    ----------
    data : what the challenger was trained on.
    group : the batches on trial, ``dataset/batch``.
    to_try : groups of batches that are to be tried after this one.
    reason : why the challenger was trained.

    Raises
    ------
    PamelaError
        If the two cannot be compared fairly (`pamela.retraining.gate.judge`); nothing has changed
        then.
    """
    folder = challenger_bundle(project)
    new, challenger = _side("", folder)
    holder = versions.champion(project, params)
    withdrawal = False
    if holder is None:
        old, judgement = None, Judgement("PROMOTE", "no version held the alias champion before", ())
    else:
        old_folder = versions.resolve(f"models:/{versions.NAME}/{holder.version}", project, params)
        old, champion = _side(holder.version, old_folder)
        if (old.model_hash, old.evaluated_hash) == (new.model_hash, new.evaluated_hash):
            why = f"the model trained now is the same ({old.model}, {old.model_hash[:8]})"
            judgement = Judgement("HOLD", why, ())
            new = old
        else:
            withdrawal = knows_withdrawn(project, champion)
            judgement = gate.judge(
                champion, challenger, holdout, params,
                best=None if withdrawal else _best(project, params, holder.version),
                gain_wanted=not withdrawal,
            )  # fmt: skip
    if new is not old:
        version = registration.register_challenger(
            project, params, bundle=folder, figures=_figures(judgement)
        )
        new = new.model_copy(update={"version": version})
    best = new.version if withdrawal else _best_after(judgement, new, old)
    return _write(project, judgement, old, new, best, holdout, data, group, to_try, reason)


def _write(
    project: Project,
    judgement: Judgement,
    old: Side | None,
    new: Side,
    best: str,
    holdout: Holdout,
    data: Data,
    group: Sequence[str],
    to_try: Sequence[Sequence[str]],
    reason: str,
) -> Decision:
    """Write the decision down, with what is judged by it."""
    rejected = judgement.verdict == "REJECT"
    more = halves(group) if rejected else []
    kept = {k: v for k, v in data.batches.items() if not (rejected and k in group)}
    if judgement.checks and old:
        row = judgement.srocc()
        old = old.model_copy(update={"srocc": row.champion})
        new = new.model_copy(update={"srocc": row.challenger})
    decision = Decision(
        id=decision_id(new, old, data),
        state=DECIDED,
        verdict=judgement.verdict,
        why=judgement.why,
        reason=reason,
        champion=old,
        challenger=new,
        best=best if judgement.verdict == "PROMOTE" else "",
        group=list(group),
        to_try=[*more, *(list(one) for one in to_try)],
        data=Data(batches=kept, withdrawn=data.withdrawn),
        checks=[_flat(check) for check in judgement.checks],
        newest=len(holdout.newest),
    )
    write_decision(project, decision)
    return decision


def _side(version: str, folder: Path) -> tuple[Side, Bundle]:
    """Return one side and its evaluated model."""
    bundle = load_evaluated(folder)
    evaluated = bundle.evaluated_version.rpartition("-")[2]
    side = Side(
        version=version,
        model=bundle.model.name,
        model_hash=model_hash(folder),
        evaluated_hash=evaluated,
    )
    return side, bundle


def _best(project: Project, params: Params, champion: str) -> Bundle | None:
    """Return the best champion so far, where it is another version than the champion."""
    known = versions.list_versions(project, params)
    best = next((v.version for v in known if BEST in v.aliases), champion)
    if best == champion:
        return None
    return load_evaluated(versions.resolve(f"models:/{versions.NAME}/{best}", project, params))


def _best_after(judgement: Judgement, new: Side, old: Side | None) -> str:
    """Return the version of the best champion so far; empty where it stays the one it was."""
    if judgement.verdict != "PROMOTE":
        return ""
    against = [c.row.difference for c in judgement.checks if c.kind == "best so far"]
    against = against or [c.row.difference for c in judgement.checks if c.kind == "hold-out"]
    lost = any(one is not None and one < 0 for one in against)
    return (old.version if old and not _has_best(judgement) else "") if lost else new.version


def _has_best(judgement: Judgement) -> bool:
    return any(check.kind == "best so far" for check in judgement.checks)


def knows_withdrawn(project: Project, champion: Bundle) -> bool:
    """Return whether the champion was trained on people who have withdrawn since."""
    gone = read_withdrawn(project)
    known = champion.people.frame.filter(pl.Series(champion.in_train_people))
    return known.join(gone, on=[s.DATASET, s.USER], how="semi").height > 0


def _figures(judgement: Judgement) -> dict[str, str]:
    """Return the challenger's figures for its version's tags: SROCC of seen and unseen people."""
    found = {}
    for check in judgement.checks:
        row = check.row
        if row.metric == "srocc" and check.kind == "slice" and row.challenger is not None:
            for part, name in gate.comparison.NAMES.items():
                if row.slice == name:
                    key = f"{part.removeprefix('test_')}_srocc"
                    found.setdefault(key, f"{row.challenger:.3f}")
    return found


def _flat(check: Check) -> dict[str, Any]:
    return {"kind": check.kind, **asdict(check.row), "wanted": check.wanted, "result": check.result}


# --- carrying out -----------------------------------------------------------------------------


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
    """Make the challenger champion, and mark the best champion so far."""
    if decision.verdict == "PROMOTE":
        registration.set_champion(project, params, decision.challenger.version, reason=decision.why)
    if decision.best:
        client = publish.client_of(project, params)
        client.set_registered_model_alias(versions.NAME, BEST, decision.best)


def tag_version(project: Project, params: Params, decision: Decision) -> None:
    """Write what the gate found on the challenger's version."""
    if decision.champion and decision.champion.version == decision.challenger.version:
        return
    tags = {"verdict": decision.verdict, "why": decision.why, "reason": decision.reason}
    if decision.champion is not None and decision.challenger.srocc is not None:
        tags |= {
            "srocc": f"{decision.challenger.srocc:.4f}",
            "champion_srocc": f"{decision.champion.srocc:.4f}",
            "against": decision.champion.version,
        }
    client = publish.client_of(project, params)
    for key, value in tags.items():
        client.set_model_version_tag(
            versions.NAME, decision.challenger.version, TAG_PREFIX + key, value
        )


def log_run(project: Project, params: Params, decision: Decision) -> None:
    """Log the decision as a run, with its table; the same decision is logged once."""
    hashes = dataset_hashes(project)
    spec = RunSpec(
        name=f"{RUN_NAME} {decision.verdict}",
        hash=stable_hash([RUN_NAME, decision.id]),
        note=decision.line,
        params={f"retrain.{k}": str(v) for k, v in params.retrain.model_dump().items()},
        metrics=_metrics(decision),
        tags=common_tags(Results(project, params))
        | {"decision": decision.verdict, "reason": decision.reason},
        datasets=hashes,
        tables={"gate.json": pl.DataFrame(decision.checks)} if decision.checks else {},
    )
    client = publish.client_of(project, params)
    experiment = publish.experiment_id(client, project, params)
    if publish.find_run(client, experiment, spec.hash) is None:
        publish.create_run(client, experiment, spec)


def _metrics(decision: Decision) -> list[tuple[str, float, int]]:
    values: dict[str, float | None] = {"srocc_challenger": decision.challenger.srocc}
    if decision.champion:
        values["srocc_champion"] = decision.champion.srocc
    for check in decision.checks:
        if check["kind"] == "gain":
            name = "srocc_difference" if check["rows_of"] != "newest" else "newest_difference"
            values |= {name: check["difference"], f"{name}_ci_low": check["ci_low"],
                       f"{name}_ci_high": check["ci_high"]}  # fmt: skip
    return [(key, value, 0) for key, value in values.items() if value is not None]


def set_batches_aside(project: Project, params: Params, decision: Decision) -> None:
    """Take rejected batches out of the training data, with the gate's table beside them."""
    if decision.set_aside:
        batches.set_aside(project, decision.set_aside, decision.model_dump())


def append_record(project: Project, params: Params, decision: Decision) -> None:
    """Add the decision to ``reports/promotions.jsonl``, once."""
    action = decision.verdict.lower()
    if decision.verdict == "PROMOTE" and decision.champion is None:
        action = "first"
    records.append(
        project,
        {
            "decision": decision.id,
            "action": action,
            "by": "gate",
            "version": decision.challenger.version,
            "previous": decision.champion.version if decision.champion else None,
            "why": decision.why,
            "reason": decision.reason,
            "batches": decision.group,
            "srocc": decision.challenger.srocc,
            "champion_srocc": decision.champion.srocc if decision.champion else None,
        },
    )


STEPS = (move_aliases, tag_version, log_run, set_batches_aside, append_record)
