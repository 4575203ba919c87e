"""Stage train: fit every named model on every fold and write ``models/``.

``models/<model>/fold_<k>/`` holds ``model.json``, ``model.safetensors``, ``history.parquet``
(``step`` and curves) and ``fit.json`` (what fitting chose). ``models/<champion>/all/`` is one more
fit of the champion, on every accepted rating, with the choices of fold 0: it serves, the fits of
the folds give the figures. ``models/training.json`` says what was trained; ``models/bundle/`` is
the champion, ready to load. Run by ``python -m flows.train``.

A fit that is interrupted resumes: checkpoints lie in a git-ignored folder of the project, named
after everything that the fit depends on, and go when the fit is done.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pamela.compute.processes import in_pieces
from pamela.core import schema as s
from pamela.core import timeline
from pamela.core.dataset import Fold, count_folds
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, read_json, write_json, write_parquet
from pamela.core.paths import Project
from pamela.core.progress import share_bar
from pamela.core.shards.fold import count_rows, shards_of
from pamela.models import create_model, list_models
from pamela.models.base import RewardModel, load_model
from pamela.params import TrainParams
from pamela.training.bundle import ALL_ROWS, fold_name, write_bundle
from pamela.training.bundle_tables import BUNDLE_FOLD
from pamela.training.folds import training_fold

if TYPE_CHECKING:
    from pamela.models.gaussian_process.model import MadeFits

HISTORY = "history.parquet"
FIT = "fit.json"
TRAINING = "training.json"
BUNDLE = "bundle"


@dataclass(frozen=True)
class FoldFit:
    """One model on one fold (None: on all rows): where it lies and how long it took."""

    model: str
    fold: int | None
    folder: Path
    seconds: float


def plan_fits(project: Project, params: TrainParams) -> list[tuple[str, int]]:
    """Return every (model, fold) to fit, after checking that the names are known.

    Raises
    ------
    PamelaError
        On an unknown model, on ``train.device: gpu`` without one, on more GPUs than there are.
    """
    unknown = [name for name in params.models if name not in list_models()]
    if unknown:
        raise PamelaError(
            f"params.yaml: train.models: unknown model {unknown[0]!r}; "
            f"choose from {', '.join(list_models())}"
        )
    import torch  # here: what only reads results imports this module too

    if params.device == "gpu" and not torch.cuda.is_available():
        raise PamelaError("params.yaml: train.device is gpu but there is none; set it to auto")
    here = torch.cuda.device_count()
    asked = params.devices
    if params.device != "cpu" and here and isinstance(asked, int) and asked > here:
        raise PamelaError(
            f"params.yaml: train.devices is {asked} but there are {here} GPUs; set it to auto"
        )
    return [(name, fold) for fold in range(count_folds(project)) for name in params.models]


def fit_fold(project: Project, params: TrainParams, model_name: str, fold_number: int) -> FoldFit:
    """Fit one model on one fold and write its folder, all of it or nothing.

    Raises
    ------
    PamelaError
        If the fold has no training rows.
    """
    with training_fold(project, fold_number) as fold:
        if not count_rows(fold, s.TRAIN) and not len(fold.choices_of(s.TRAIN)):
            raise PamelaError(f"data/splits: fold {fold_number} has no rows in part train")
        model = create_model(model_name, params)
        return _fit(project, params, model, fold, fold_number, project.models)


def fit_fold_and_lend(
    project: Project, params: TrainParams, model_name: str, fold_number: int
) -> tuple[FoldFit, MadeFits]:
    """Fit as `fit_fold` does, and return what `fit_fold_upon` takes over elsewhere."""
    from pamela.models.gaussian_process.model import lend_fits

    fitted = fit_fold(project, params, model_name, fold_number)
    return fitted, lend_fits()


def fit_fold_upon(
    lent: MadeFits, project: Project, params: TrainParams, model_name: str, fold_number: int
) -> FoldFit:
    """Fit as `fit_fold` does, upon what was fitted in another process of this stage."""
    from pamela.models.gaussian_process.model import borrow_fits

    borrow_fits(lent)
    return fit_fold(project, params, model_name, fold_number)


def refit_champion(project: Project, params: TrainParams) -> FoldFit:
    """Fit the champion on every accepted rating, with what its fit on fold 0 chose."""
    with training_fold(project, BUNDLE_FOLD) as fold:
        return _refit(project, params, fold, project.models)


def fit_challenger(project: Project, params: TrainParams, fold: Fold, home: Path) -> list[FoldFit]:
    """Fit the champion's kind of model on `fold`, and on all of its rows, as stage train does.

    Parameters
    ----------
    fold : fold 0, with or without rows that are held out for another reason.
    home : where ``<model>/fold_0``, ``<model>/all`` and ``bundle`` go, in place of ``models/``.
    """
    model = create_model(params.champion, params)
    fitted = [
        _fit(project, params, model, fold, BUNDLE_FOLD, home),
        _refit(project, params, fold, home),
    ]
    write_bundle(project, params.champion, home / BUNDLE, fits=home, fold=fold)
    return fitted


def _refit(project: Project, params: TrainParams, fold: Fold, home: Path) -> FoldFit:
    chosen = load_model(home / params.champion / fold_name(BUNDLE_FOLD))
    fresh = chosen.refit(params)
    fresh.choosing = chosen.choosing  # nothing is held out to measure it again
    return _fit(project, params, fresh, fold.all_as_train(), None, home)


def _fit(
    project: Project,
    params: TrainParams,
    model: RewardModel,
    fold: Fold,
    number: int | None,
    home: Path,
) -> FoldFit:
    """Fit `model` and write its folder below `home`, all of it or nothing."""
    name = ALL_ROWS if number is None else fold_name(number)
    folder = home / model.name / name
    workdir = work_folder(project, params, f"{model.name}-{name}", fold)
    start = time.monotonic()
    label, alone = f"train {model.name} {name.replace('_', ' ')}", not in_pieces()
    with share_bar(label, quiet=not alone) as report, timeline.fitting(model.name, number):
        history = model.fit(fold, seed=params.seed, progress=report, workdir=workdir)
    seconds = time.monotonic() - start
    with atomic_folder(folder) as aside:
        model.save(aside)
        write_parquet(aside / HISTORY, history)
        write_json(
            aside / FIT,
            {
                "model": model.name,
                "fold": number,
                "seed": params.seed,
                "rows": _rows(fold),
                "chosen": model.chosen,
            },
        )
    shutil.rmtree(workdir, ignore_errors=True)
    return FoldFit(model.name, number, folder, seconds)


def _rows(fold: Fold) -> dict[str, int]:
    """Return the rows to learn from by part, and those held out because another dataset tests
    on their picture (only where there are any).
    """
    rows = {part: count_rows(fold, part) for part in (s.TRAIN, s.VAL_SEEN, s.VAL_UNSEEN)}
    chosen = len(fold.choices_of(s.TRAIN))
    rows |= {"choices": chosen} if chosen else {}
    elsewhere = count_rows(fold, s.HELD_OUT_ELSEWHERE)
    return {**rows, s.HELD_OUT_ELSEWHERE: elsewhere} if elsewhere else rows


def work_folder(project: Project, params: TrainParams, fit: str, fold: Fold) -> Path:
    """Return the folder of a fit's checkpoints, named after all that the fit depends on."""
    return project.checkpoints / f"{fit}-{fit_hash(params, fold)[:16]}"


def fit_hash(params: TrainParams, fold: Fold) -> str:
    """Return a hash of everything that a fit on `fold` depends on but the code."""
    import torch

    digest = hashlib.sha256(json.dumps(params.model_dump(), sort_keys=True).encode())
    digest.update(torch.__version__.encode())
    for frame in (fold.items.frame, fold.people.frame):
        digest.update(np.ascontiguousarray(frame.hash_rows(seed=0).to_numpy()).data)
    for matrix in (fold.items.image, fold.items.prompt):
        digest.update(np.ascontiguousarray(matrix).data)
    for part in (s.TRAIN, s.VAL_SEEN, s.VAL_UNSEEN):
        chosen = fold.choices_of(part)
        for pairs in (shard.read() for shard in shards_of(fold, part).every):
            for column in (pairs.user, pairs.item, pairs.rating):
                digest.update(np.ascontiguousarray(column).data)
        for column in (chosen.user, chosen.a, chosen.b, chosen.outcome):
            digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def remove_old(project: Project, params: TrainParams) -> list[str]:
    """Remove models and folds that are no longer trained; return what went."""
    gone: list[str] = []
    folds = {fold_name(number) for number in range(count_folds(project))}
    for folder in sorted(p for p in project.models.glob("*") if p.is_dir()):
        if folder.name == BUNDLE:
            continue
        if folder.name not in params.models:
            shutil.rmtree(folder)
            gone.append(folder.name)
            continue
        kept = folds | {ALL_ROWS} if folder.name == params.champion else folds
        for old in sorted(p for p in folder.iterdir() if p.name not in kept):
            shutil.rmtree(old)
            gone.append(f"{folder.name}/{old.name}")
    return gone


def write_training(project: Project, params: TrainParams) -> None:
    """Write ``models/training.json``: what was trained, on which features, on which device."""
    import torch

    features = read_json(project.features / "features.json")
    gpu = params.device != "cpu" and torch.cuda.is_available()
    write_json(
        project.models / TRAINING,
        {
            "encoder": features["encoder"],
            "fingerprint": features["fingerprint"],
            "folds": count_folds(project),
            "models": list(params.models),
            "champion": params.champion,
            "seed": params.seed,
            "device": "gpu" if gpu else "cpu",
        },
    )


def write_champion(project: Project, params: TrainParams) -> None:
    """Write ``models/bundle/``: the champion with everything that scoring needs."""
    write_bundle(project, params.champion, project.models / BUNDLE)


def fit_summary(fitted: Sequence[FoldFit]) -> str:
    """Return one line: seconds per model over all folds."""
    seconds: dict[str, float] = {}
    for one in fitted:
        seconds[one.model] = seconds.get(one.model, 0.0) + one.seconds
    return ", ".join(f"{model} {taken:.1f} s" for model, taken in seconds.items())
