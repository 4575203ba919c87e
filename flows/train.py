"""Stage train: fit every model on every fold (``python -m flows.train``)."""

from __future__ import annotations

from functools import partial

from flows.ahead import start_processes
from pamela.compute.sizing import LEARNING

if __name__ == "__main__":
    start_processes(LEARNING)

from flows.runtime import here, main, stage, step
from pamela.compute.processes import in_threads
from pamela.training import train as work
from pamela.training.side_by_side import Fits, open_fits

plan = step("plan")(work.plan_fits)
remove_old = step("remove old models")(work.remove_old)
write_training = step("write training.json")(work.write_training)
write_champion = step("bundle the champion")(work.write_champion)


@step("fit")
def fit(fits: Fits, model: str, fold: int) -> work.FoldFit:
    """Fit one model on one fold."""
    return fits.fit(model, fold)


@step("fit the champion on all ratings")
def refit(fits: Fits) -> work.FoldFit:
    """Fit what serves."""
    return fits.refit()


@stage("train")
def train() -> None:
    """Fit every model in ``train.models`` on every fold, the champion on all, and bundle it."""
    project, params = here()
    todo = plan(project, params.train)
    remove_old(project, params.train)
    with open_fits(project, params.train, todo) as fits:
        calls = [partial(fit, fits, *one) for one in fits.order(todo)]
        fitted = in_threads([*calls, partial(refit, fits)], threads=fits.threads)
    write_training(project, params.train)
    write_champion(project, params.train)
    print(f"train: {work.fit_summary(fitted)}")


if __name__ == "__main__":
    main(train)
