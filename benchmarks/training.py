"""Training time to `paper`'s best validation score: ``python -m benchmarks.training``.

`paper` and `hierarchical` are fitted on the same fold of a finished run, one after the other, in
one process. The score is the mean within-user SROCC on the fold's validation rows, seen and unseen
users together: `paper` stops early on these rows, `hierarchical` never reads them. `paper`'s time
ends with the epoch whose weights it keeps, `hierarchical`'s with its whole fit, every choice by
cross-validation included. It counts only if `hierarchical` reaches `paper`'s score.

`paper` is timed twice: with the search of its configuration, and with the configuration that was
found given beforehand. CPU seconds stand beside, as other work may run on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.run import Entry, entry
from benchmarks.timing import Clock, Taken, fold_of, run_alone
from pamela import schema as s
from pamela.data import Fold, Pairs
from pamela.errors import PamelaError
from pamela.metrics import mean_srocc
from pamela.models import create_model
from pamela.models.base import RewardModel
from pamela.models.paper import Paper
from pamela.models.selection import Trial
from pamela.params import TrainParams, load_params
from pamela.project import Project

GOAL = 10.0


@dataclass(frozen=True)
class Course:
    """When each epoch of a fit of `paper` ended, which was the best, and how good the fit is."""

    epochs: list[Taken]
    best: int
    score: float
    trial: Trial

    @property
    def to_best(self) -> Taken:
        """Time until the weights that are kept."""
        return self.epochs[self.best]


def validation_srocc(model: RewardModel, fold: Fold) -> float:
    """Return the mean within-user SROCC on the validation rows."""
    rows = Pairs.concat(fold[s.VAL_SEEN], fold[s.VAL_UNSEEN])
    if not len(rows):
        raise PamelaError(f"data/splits: fold {fold.number} has no validation rows to compare on")
    return mean_srocc(rows.user, rows.rating, model.predict(fold.items, fold.people, rows).mean)


def time_paper(fold: Fold, params: TrainParams, given: Trial | None = None) -> Course:
    """Fit `paper`, with its search unless a configuration is `given`."""
    model = Paper.from_params(params)
    if given is not None:
        model.search = replace(model.search, given=(given,))
    clock, epochs = Clock(), []

    def told(_share: float, what: str) -> None:
        if what.startswith("epoch "):
            epochs.append(clock.taken)

    history = model.fit(fold, seed=params.seed, progress=told)
    best = history["val_correlation"].arg_max()
    kept = {key: model.chosen[key] for key in Trial.__dataclass_fields__}
    return Course(epochs, best or 0, validation_srocc(model, fold), Trial(**kept))


def bench_training(project: Project) -> list[Entry]:
    """Time hierarchical against paper, to paper's best validation score."""
    params = load_params(project.params_file).train
    fold = fold_of(project)
    clock = Clock()
    ours = create_model("hierarchical", params)
    ours.fit(fold, seed=params.seed)
    taken = clock.taken
    score = validation_srocc(ours, fold)
    searched = time_paper(fold, params)
    given = time_paper(fold, params, searched.trial)
    reached = score >= searched.score
    rows = [
        entry("training, paper's best validation SROCC", searched.score, "SROCC"),
        entry("training, hierarchical's validation SROCC", score, "SROCC", searched.score),
        entry("training, hierarchical, whole fit", taken.wall_s, "s"),
        entry("training, hierarchical, whole fit, CPU", taken.cpu_s, "s"),
    ]
    for label, course in (("search included", searched), ("configuration given", given)):
        best = course.to_best
        rows += [
            entry(f"training, paper to its best epoch, {label}", best.wall_s, "s"),
            entry(f"training, paper to its best epoch, {label}, CPU", best.cpu_s, "s"),
        ]
        if reached:
            name = f"training, times faster than paper, {label}"
            rows += [
                entry(name, best.wall_s / taken.wall_s, "times", GOAL),
                entry(f"{name}, CPU", best.cpu_s / taken.cpu_s, "times", GOAL),
            ]
    return rows


if __name__ == "__main__":
    run_alone("training", bench_training)
