"""A decision of the gate as a record: ``reports/gate.json`` holds the last one.

The record is written before anything is done about it, so that a cycle which was interrupted is
completed by the next (`pamela.retraining.promotion`). It also says which batches have been judged,
and which groups of rejected batches are still to be tried apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.core.paths import Project
from pamela.evaluation.provenance import stable_hash
from pamela.params import first_fault
from pamela.retraining.gate.judgement import Outcome

State = Literal["decided", "done"]
Kind = TypeVar("Kind", bound=BaseModel)
DECIDED: Final = "decided"
DONE: Final = "done"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Side(_Record):
    """One of the two models.

    Attributes
    ----------
    version : its number in the registry.
    model : its name.
    model_hash, evaluated_hash : of the model that serves, and of the one that the gate compares.
    srocc, choice_accuracy : on the frozen ratings, and the frozen choices of datasets of choices
        alone; None where nothing was compared.
    """

    version: str
    model: str
    model_hash: str
    evaluated_hash: str
    srocc: float | None = None
    choice_accuracy: float | None = None


class Data(_Record):
    """What the challenger was trained on beside the datasets as imported.

    Attributes
    ----------
    batches : ``{dataset/batch: hash of its contents}`` of every accepted batch.
    withdrawn : hash of the people in ``data/withdrawn.csv``; empty without any.
    on_trial : batches that are in the data and were held for a loss that may be chance.
    """

    batches: dict[str, str] = {}
    withdrawn: str = ""
    on_trial: list[str] = []


class Decision(_Record):
    """What was decided and why.

    Attributes
    ----------
    state : ``decided`` until everything that follows from it is done.
    why : in one line, with the figures.
    reason : why the challenger was trained.
    champion : who held the alias before; None where nobody did.
    best : version of the best champion so far, after this decision; empty where it stays.
    below_best : SROCC (accuracy of choices) by which that one is below one that was best before,
        of each dataset.
    group : the batches on trial.
    to_try : groups of rejected batches that are still to be tried apart.
    data : what has been judged with this decision.
    checks : the gate's table, a row per check.
    newest : how many ratings and choices were held out as the newest.
    """

    id: str
    state: State
    outcome: Outcome
    why: str
    reason: str
    champion: Side | None
    challenger: Side
    best: str
    below_best: dict[str, float] = {}
    group: list[str]
    to_try: list[list[str]]
    data: Data
    checks: list[dict[str, Any]]
    newest: int

    @property
    def line(self) -> str:
        """The decision in one line, for people."""
        new = self.challenger.version
        old = self.champion.version if self.champion else None
        if self.outcome == "PROMOTE":
            over = f" over version {old}" if old else ""
            return f"PROMOTE version {new}{over}: {self.why}"
        against = f" against version {new}" if new and new != old else ""
        aside = f"; set aside: {', '.join(self.group)}" if self.set_aside else ""
        return f"{self.outcome}: version {old} stays{against}: {self.why}{aside}"

    @property
    def set_aside(self) -> list[str]:
        """The batches that leave the training data with this decision."""
        return self.group if self.outcome == "REJECT" else []


def decision_id(challenger: Side, champion: Side | None, data: Data, before: str) -> str:
    """Return a short hash of what a decision is about.

    Parameters
    ----------
    before : id of the decision before it; empty for the first. A batch that is taken back and
        judged again is another decision on the same data.
    """
    serves = champion.version if champion else ""
    return stable_hash([challenger.model_hash, serves, data.model_dump(), before])[:12]


def record_file(project: Project) -> Path:
    """``reports/gate.json``: the last decision."""
    return project.reports / "gate.json"


def last_decision(project: Project) -> Decision | None:
    """Return the last decision, or None before the first.

    Raises
    ------
    PamelaError
        If the record is damaged.
    """
    remedy = "move it away, and the next retrain judges every batch again"
    return read_record(project, record_file(project), Decision, remedy)


def read_record(project: Project, path: Path, kind: type[Kind], remedy: str) -> Kind | None:
    """Return what a file holds, or None where there is none.

    Raises
    ------
    PamelaError
        If it is damaged, with the `remedy`.
    """
    if not path.is_file():
        return None
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        where = project.relative(path)
        raise PamelaError(f"{where}: {first_fault(error)}; {remedy}") from None


def write_decision(project: Project, decision: Decision) -> None:
    """Replace the last decision."""
    write_json(record_file(project), decision.model_dump())


def judged(project: Project) -> Data:
    """Return what was in the data when the gate last decided."""
    last = last_decision(project)
    return last.data if last else Data()


def news(batches: Mapping[str, str], before: Mapping[str, str]) -> dict[str, list[str]]:
    """Return which batches were added, changed or removed since `before`; empty kinds left out."""
    kinds = {
        "added": [b for b in batches if b not in before],
        "changed": [b for b in batches if b in before and batches[b] != before[b]],
        "removed": [b for b in before if b not in batches],
    }
    return {kind: sorted(names) for kind, names in kinds.items() if names}


def halves(group: Sequence[str]) -> list[list[str]]:
    """Return the two halves in which a rejected group is tried again; none for a single batch."""
    if len(group) < 2:
        return []
    middle = (len(group) + 1) // 2
    return [list(group[:middle]), list(group[middle:])]
