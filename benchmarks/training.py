"""Training time to `paper`'s best validation score: ``python -m benchmarks.training``.

`paper` and `hierarchical` are fitted on the same fold of a finished run, one after the other, in
one process. The score is the mean within-user SROCC on the fold's validation rows, seen and unseen
users together: `paper` stops early on these rows; its time ends with the epoch whose weights it
keeps. Three comparisons, each of like with like, which count only where `hierarchical` reaches
`paper`'s score:

- to the score: `hierarchical` climbs from its smallest configuration, failures counted, until its
  score on the validation rows is `paper`'s; against `paper` with the search of its configuration.
- search included: the whole fit of `hierarchical`, every choice by cross-validation, validation
  rows never read; against `paper` with its search.
- configuration given: both with the configuration that their search found, given beforehand.

CPU seconds stand beside, as other work may run on the machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.entries import Entry, entry
from benchmarks.timing import Clock, Taken, fold_of, run_alone
from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.evaluation.metrics.definitions import mean_srocc
from pamela.models.base import RewardModel
from pamela.models.gaussian_process.model import Population, forget_fits
from pamela.models.gaussian_process.selection import COMPONENT_CHOICES
from pamela.models.hierarchical.features.item_features import Sizes
from pamela.models.hierarchical.model import Hierarchical
from pamela.models.hierarchical.selection import TasteSearch
from pamela.models.transformer.model import Paper
from pamela.models.transformer.selection import Configuration
from pamela.params import TrainParams, load_params

GOAL = 10.0


@dataclass(frozen=True)
class Course:
    """When each epoch of a fit of `paper` ended, which was the best, and how good the fit is."""

    epochs: list[Taken]
    best: int
    score: float
    trial: Configuration

    @property
    def to_best(self) -> Taken:
        """Time until the weights that are kept."""
        return self.epochs[self.best]


@dataclass(frozen=True)
class Reached:
    """What a fit of `hierarchical` took, and its score on the validation rows."""

    taken: Taken
    score: float


def validation_srocc(model: RewardModel, fold: Fold) -> float:
    """Return the mean within-user SROCC on the validation rows."""
    rows = Pairs.concat(fold[s.VAL_SEEN], fold[s.VAL_UNSEEN])
    if not len(rows):
        raise PamelaError(f"data/splits: fold {fold.number} has no validation rows to compare on")
    return mean_srocc(rows.user, rows.rating, model.predict(fold.items, fold.people, rows).mean)


def time_paper(fold: Fold, params: TrainParams, given: Configuration | None = None) -> Course:
    """Fit `paper`, with its search unless a configuration is `given`."""
    model = Paper.from_params(params)
    if given is not None:
        model.search = replace(model.search, given=(given,))
    clock, epochs = Clock(), []

    def report(_share: float, what: str) -> None:
        if what.startswith("epoch "):
            epochs.append(clock.taken)

    history = model.fit(fold, seed=params.seed, progress=report)
    best = history["val_correlation"].arg_max()
    kept = {key: model.chosen[key] for key in Configuration.__dataclass_fields__}
    return Course(epochs, best or 0, validation_srocc(model, fold), Configuration(**kept))


def _fit(
    fold: Fold, params: TrainParams, search: TasteSearch, components: tuple[tuple[int, ...], ...]
) -> Hierarchical:
    """Fit `hierarchical` with these choices offered."""
    population = Population.from_params(params)
    population.components = components
    model = Hierarchical(params.cv_folds, population, params.inputs, params.device)
    model.search = search
    model.fit(fold, seed=params.seed)
    return model


def time_climb(fold: Fold, params: TrainParams, score: float) -> Reached | None:
    """Fit ever larger configurations until one reaches `score`; None: none does."""
    clock, rank = Clock(), TasteSearch().first_rank
    for sizes in TasteSearch().sizes:
        model = _fit(fold, params, TasteSearch.given(sizes, rank), COMPONENT_CHOICES[:1])
        reached = validation_srocc(model, fold)
        if reached >= score:
            return Reached(clock.taken, reached)
    return None


def time_hierarchical(
    fold: Fold, params: TrainParams, given: Hierarchical | None = None
) -> tuple[Hierarchical, Reached]:
    """Fit `hierarchical`, with its search unless one with a configuration is `given`."""
    clock = Clock()
    if given is None:
        model = _fit(fold, params, TasteSearch(), COMPONENT_CHOICES)
    else:
        chosen = given.chosen
        sizes = (*TasteSearch().sizes, *TasteSearch().learned)
        of_name = {one.name: one for one in (*sizes, *(_plain(one) for one in sizes))}
        search = TasteSearch.given(of_name[chosen["taste"]], chosen["rank"])
        model = _fit(fold, params, search, (tuple(chosen["population"]["components"]),))
    taken = clock.taken
    return model, Reached(taken, validation_srocc(model, fold))


def _plain(sizes: Sizes) -> Sizes:
    return replace(sizes, metadata=False)


def bench_training(project: Project) -> list[Entry]:
    """Time hierarchical against paper, to paper's best validation score."""
    params = load_params(project.params_file).train
    fold = fold_of(project)
    forget_fits()
    ours, whole = time_hierarchical(fold, params)
    searched = time_paper(fold, params)
    forget_fits()
    _, chosen = time_hierarchical(fold, params, ours)
    given = time_paper(fold, params, searched.trial)
    forget_fits()
    climbed = time_climb(fold, params, searched.score)
    rows = [entry("training, paper's best validation SROCC", searched.score, "SROCC")]
    for label, found, course in (
        ("to the score", climbed, searched),
        ("search included", whole, searched),
        ("configuration given", chosen, given),
    ):
        rows += _compared(label, found, course)
    return rows


def _compared(label: str, found: Reached | None, course: Course) -> list[Entry]:
    best = course.to_best
    rows = [
        entry(f"training, {label}, paper", best.wall_s, "s"),
        entry(f"training, {label}, paper, CPU", best.cpu_s, "s"),
    ]
    if found is None:
        return rows
    rows += [
        entry(f"training, {label}, hierarchical", found.taken.wall_s, "s"),
        entry(f"training, {label}, hierarchical, CPU", found.taken.cpu_s, "s"),
        entry(f"training, {label}, hierarchical's SROCC", found.score, "SROCC", course.score),
    ]
    if found.score >= course.score:
        ratios = best.wall_s / found.taken.wall_s, best.cpu_s / found.taken.cpu_s
        rows += [
            entry(f"training, {label}, times faster", ratios[0], "times", GOAL),
            entry(f"training, {label}, times faster, CPU", ratios[1], "times", GOAL),
        ]
    return rows


if __name__ == "__main__":
    run_alone("training", bench_training)
