"""What a challenger is held to beside the champion: the best champion so far.

So that many small losses do not add up. A version that learned from people who have withdrawn since
is no reference any more. What takes its place keeps how far it is below it, dataset by dataset, and
a challenger may lose that much less: no withdrawal gives away any of ``retrain.max_total_loss``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import Params
from pamela.registry import versions
from pamela.registry.sqlite_reader import Version
from pamela.registry.versions import BEST
from pamela.retraining.gate.comparison import compare_with_best
from pamela.retraining.gate.fairness import same_features
from pamela.retraining.gate.holdout import Holdout
from pamela.retraining.gate.judgement import Judgement, setting_of
from pamela.retraining.withdrawal import withdrawn_in
from pamela.training.bundle import Bundle, load_evaluated

BELOW: Final = "below_best"  # a tag of that version: JSON, {dataset: SROCC}
_BELOW: Final = TypeAdapter(dict[str, float])


@dataclass(frozen=True)
class Reference:
    """The best champion so far.

    Attributes
    ----------
    below : SROCC (accuracy of choices) by which it is itself below one that was best before, of
        each dataset.
    leaves : whether it learned from people who have withdrawn since.
    takes_over : whether it is the champion, in place of one that leaves.
    """

    version: str
    bundle: Bundle
    below: Mapping[str, float] = field(default_factory=dict)
    leaves: bool = False
    takes_over: bool = False


def best_so_far(
    project: Project, params: Params, champion: Reference, holdout: Holdout
) -> Reference:
    """Return what a challenger is held to: the champion itself, where no other was better."""
    known = versions.list_versions(project, params)
    best = next((v for v in known if BEST in v.aliases), None)
    if best is None or best.version == champion.version:
        return champion
    folder = versions.resolve(f"models:/{versions.NAME}/{best.version}", project, params)
    leaves = withdrawn_in(project, folder) > 0
    found = Reference(best.version, load_evaluated(folder), below_of(best), leaves)
    if not same_features(found.bundle, champion.bundle):  # another encoder: no score compares them
        return champion
    if not found.leaves or champion.leaves:
        return found
    rows = compare_with_best(
        found.bundle, champion.bundle, holdout, setting_of(params, holdout.kinds)
    )
    lost = {row.dataset: -row.difference for row in rows if row.difference is not None}
    below = _added(found.below, lost)
    return Reference(champion.version, champion.bundle, below, takes_over=True)


def below_of(version: Version) -> dict[str, float]:
    """Return how far the best champion so far is below an earlier one, by dataset; of its tag."""
    if BEST not in version.aliases:
        return {}
    try:
        return _BELOW.validate_json(version.tags.get(BELOW, "{}"))
    except ValidationError:
        raise PamelaError(
            f"version {version.version}: its tag {BELOW} is no {{dataset: number}}; delete it in "
            "`make ui`, or set it right"
        ) from None


def best_after(
    judgement: Judgement, reference: Reference, new: str
) -> tuple[str, Mapping[str, float]]:
    """Return the version of the best champion so far, and how far below an earlier one it is.

    Empty where it stays what it was.

    Parameters
    ----------
    new : version of the challenger.
    """
    if judgement.outcome != "PROMOTE":
        return (reference.version, reference.below) if reference.takes_over else ("", {})
    rows = [c.row for c in judgement.checks if c.kind == "best so far"]
    rows = rows or [c.row for c in judgement.checks if c.kind == "hold-out"]
    lost = {row.dataset: -row.difference for row in rows if row.difference is not None}
    if any(value > 0 for value in lost.values()) and not reference.leaves:
        return reference.version, reference.below
    return new, _added(reference.below, lost)


def _added(below: Mapping[str, float], lost: Mapping[str, float]) -> dict[str, float]:
    total = {name: below.get(name, 0.0) + lost.get(name, 0.0) for name in {*below, *lost}}
    return {name: round(value, 6) for name, value in sorted(total.items()) if value > 0}
