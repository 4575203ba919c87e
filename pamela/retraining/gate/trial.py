"""The trial of a challenger: judged against the champion, and the decision written down.

What follows from the decision is in `pamela.retraining.promotion`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pamela.core.paths import Project
from pamela.models.base import model_hash
from pamela.params import Params
from pamela.registry import registration, versions
from pamela.retraining.gate.challenger import challenger_bundle
from pamela.retraining.gate.comparison import NAMES
from pamela.retraining.gate.decision import (
    DECIDED,
    Data,
    Decision,
    Side,
    decision_id,
    halves,
    last_decision,
    write_decision,
)
from pamela.retraining.gate.holdout import Holdout
from pamela.retraining.gate.judgement import Check, Judgement, judge
from pamela.retraining.gate.reference import Reference, below_of, best_after, best_so_far
from pamela.retraining.withdrawal import withdrawn_in
from pamela.training.bundle import Bundle, load_evaluated


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
        If the two cannot be compared fairly (`pamela.retraining.gate.judgement.judge`); nothing
        has changed then.
    """
    folder = challenger_bundle(project)
    new, challenger = _side("", folder)
    holder = versions.champion(project, params)
    best: tuple[str, Mapping[str, float]] = ("", {})
    reference: Reference | None = None
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
            withdrawal = withdrawn_in(project, old_folder) > 0
            now = Reference(holder.version, champion, below_of(holder), withdrawal)
            reference = best_so_far(project, params, now, holdout)
            asked = reference.version != holder.version or reference.below
            judgement = judge(
                champion, challenger, holdout, params,
                best=reference.bundle if asked else None, below=reference.below,
                gain_wanted=not withdrawal,
            )  # fmt: skip
    judgement = held_once(judgement, group, data.on_trial, apart=_apart(project, group))
    if new is not old:
        version = registration.register_challenger(
            project, params, bundle=folder, tags=_figures(judgement)
        )
        new = new.model_copy(update={"version": version})
    if reference is not None:
        best = best_after(judgement, reference, new.version)
    elif old is None:
        best = new.version, {}
    return _write(project, judgement, old, new, best, holdout, data, group, to_try, reason)


def _write(
    project: Project,
    judgement: Judgement,
    old: Side | None,
    new: Side,
    best: tuple[str, Mapping[str, float]],
    holdout: Holdout,
    data: Data,
    group: Sequence[str],
    to_try: Sequence[Sequence[str]],
    reason: str,
) -> Decision:
    """Write the decision down, with what is judged by it."""
    rejected = judgement.outcome == "REJECT"
    more = to_be_tried_apart(group, data.on_trial) if rejected else []
    kept = {k: v for k, v in data.batches.items() if not (rejected and k in group)}
    if judgement.checks and old:
        rows = judgement.overall
        old = old.model_copy(update={metric: row.champion for metric, row in rows.items()})
        new = new.model_copy(update={metric: row.challenger for metric, row in rows.items()})
    last = last_decision(project)
    decision = Decision(
        id=decision_id(new, old, data, last.id if last else ""),
        state=DECIDED,
        outcome=judgement.outcome,
        why=judgement.why,
        reason=reason,
        champion=old,
        challenger=new,
        best=best[0],
        below_best=dict(best[1]),
        group=list(group),
        to_try=[*more, *(list(one) for one in to_try)],
        data=Data(
            batches=kept,
            withdrawn=data.withdrawn,
            on_trial=still_on_trial(judgement, data.on_trial, group),
        ),
        checks=[_flat(check) for check in judgement.checks],
        newest=len(holdout.newest) + len(holdout.newest_choices),
    )
    write_decision(project, decision)
    return decision


def _apart(project: Project, group: Sequence[str]) -> bool:
    """Whether the group is a part of one that the last decisions rejected."""
    last = last_decision(project)
    parts = last.to_try if last and group else []
    return any(set(group) <= set(one) for one in parts)


def to_be_tried_apart(group: Sequence[str], on_trial: Sequence[str]) -> list[list[str]]:
    """Return the halves of a rejected group: first what was held before for a loss.

    Tried after honest batches it would hide its loss behind what they gain.
    """
    return halves(sorted(group, key=lambda label: (label not in on_trial, label)))


def held_once(
    judgement: Judgement, group: Sequence[str], on_trial: Sequence[str], *, apart: bool
) -> Judgement:
    """Return the judgement, or REJECT where a loss that may be chance would be held again.

    A batch held for such a loss gets one more trial, with the next ones. Unless that promotes the
    challenger, they are tried apart: else a poisoned batch that was held would weigh on every
    honest one after it. Tried apart, a group that shows such a loss is set aside.
    """
    before = not set(on_trial).isdisjoint(group)
    again = (before and len(group) > 1) or ((before or apart) and judgement.unsure)
    if judgement.outcome != "HOLD" or not judgement.checks or not again:
        return judgement
    why = "held before for a loss that may be chance" if before else "rejected together before"
    return replace(judgement, outcome="REJECT", why=f"{judgement.why}; {why}")


def still_on_trial(
    judgement: Judgement, on_trial: Sequence[str], group: Sequence[str]
) -> list[str]:
    """Return the batches that stay on trial after this judgement of `group`."""
    if judgement.unsure:
        return sorted({*on_trial, *group})
    if judgement.outcome == "REJECT":
        return [label for label in on_trial if label not in group]
    return []


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


def _figures(judgement: Judgement) -> dict[str, str]:
    """Return the challenger's figures, of seen and unseen people, for its version's tags."""
    found: dict[str, str] = {}
    for check in judgement.checks:
        row = check.row
        if check.kind == "slice" and row.challenger is not None:
            for part, name in NAMES.items():
                if row.slice == name:
                    key = f"{part.removeprefix('test_')}_{row.metric}"
                    found.setdefault(key, f"{row.challenger:.3f}")
    return found


def _flat(check: Check) -> dict[str, Any]:
    return {"kind": check.kind, **asdict(check.row), "wanted": check.wanted, "result": check.result}
