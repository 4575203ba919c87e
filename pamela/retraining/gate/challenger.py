"""The challenger of a cycle: the champion's kind of model, fitted on the data as they are now.

``challenger/bundle`` is what the gate compares and the registry takes. Only this model is fitted;
``models/`` and the reports stay those of the last ``make repro``. A cycle that was interrupted
does not fit again what it has fitted on the same rows with the same params.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pamela.core.files import read_json, write_json
from pamela.core.paths import Project
from pamela.params import Params
from pamela.retraining.gate.holdout import Holdout
from pamela.training import train

RECORD: Final = "challenger.json"


def challenger_bundle(project: Project) -> Path:
    """Return the folder of the challenger, ready to load."""
    return project.challenger / train.BUNDLE


def fit_challenger(project: Project, params: Params, holdout: Holdout) -> str:
    """Fit the challenger unless it is there; return a line on what was done.

    Its fit of fold 0 has seen neither part of the hold-out; the model that would serve is fitted
    on all rows, with what that fit chose.
    """
    inputs = _inputs(params, holdout)
    path = project.challenger / RECORD
    if path.is_file() and read_json(path)["inputs"] == inputs:
        return "challenger: fitted already"
    path.unlink(missing_ok=True)  # written last: with it, everything else is there
    fitted = train.fit_challenger(project, params.train, holdout.fold, project.challenger)
    write_json(path, {"model": params.train.champion, "inputs": inputs})
    return f"challenger: {train.fit_summary(fitted)}"


def _inputs(params: Params, holdout: Holdout) -> list[str]:
    folds = (holdout.fold, holdout.fold.all_as_train())
    return [train.fit_hash(params.train, fold) for fold in folds]
