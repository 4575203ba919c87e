"""Stage train: fit every model on every fold (``python -m flows.train``)."""

from __future__ import annotations

from flows.runtime import here, main, stage, step
from pamela.training import train as work

plan = step("plan")(work.plan_fits)
remove_old = step("remove old models")(work.remove_old)
fit = step("fit")(work.fit_fold)
refit = step("fit the champion on all ratings")(work.refit_champion)
write_training = step("write training.json")(work.write_training)
write_champion = step("bundle the champion")(work.write_champion)


@stage("train")
def train() -> None:
    """Fit every model in ``train.models`` on every fold, the champion on all, and bundle it."""
    project, params = here()
    todo = plan(project, params.train)
    remove_old(project, params.train)
    fitted = [fit(project, params.train, model, fold) for model, fold in todo]
    fitted.append(refit(project, params.train))
    write_training(project, params.train)
    write_champion(project, params.train)
    print(f"train: {work.fit_summary(fitted)}")


if __name__ == "__main__":
    main(train)
