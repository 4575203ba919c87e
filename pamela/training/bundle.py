"""A bundle: one folder with everything that scoring needs, away from the pipeline's data.

``models/bundle/`` is the champion's and is what the registry stores. It holds two fits of one
configuration. The served model is fitted on every accepted rating. The evaluated model is that of
fold 0: its figures are published, and the gate compares it on what fold 0 held out::

    bundle.json          model, encoder, datasets with their scales; hash and rows of both fits
    model.json, model.safetensors          the served model
    fold_0/model.json, model.safetensors   the evaluated model
    catalog.parquet      every known picture: content hash, prompt, metadata, and whether each of
                         the two was trained on it
    catalog.safetensors  their features: image (n, d) and prompt (n, p), float32
    users.parquet        every known user: demographics, and whether trained on
    rated.parquet        who rated what, as rows of users and catalog, and whether that was learned
                         from; no ratings
    SHA256SUMS           the hash of every file above, compared before one is read
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import save_file

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Fold, Items, People
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, read_json, read_parquet, write_json, write_parquet
from pamela.core.paths import Project
from pamela.models.base import (
    CONFIG,
    WEIGHTS,
    RewardModel,
    load_model,
    model_hash,
    read_arrays,
)
from pamela.training.bundle_files import REPAIR, has_sums, require_intact, write_sums
from pamela.training.bundle_tables import (
    BUNDLE_FOLD,
    IN_FOLD,
    IN_TRAIN,
    STANDARDISED,
    datasets_of,
    flagged,
    rated_pairs,
    row_counts,
)
from pamela.training.folds import training_fold

FORMAT = 3
# 1: registered before a champion was fitted on all ratings; one model. 2: before SHA256SUMS
FORMATS = (1, 2, FORMAT)
ALL_ROWS = "all"  # the folder of the fit on every accepted rating
META, CATALOG, FEATURES = "bundle.json", "catalog.parquet", "catalog.safetensors"
USERS, RATED = "users.parquet", "rated.parquet"
SHARED = (META, CATALOG, FEATURES, USERS, RATED)  # by the two models
SERVED_ON, EVALUATED_ON = "all accepted ratings", f"part train of fold {BUNDLE_FOLD}"


def fold_name(number: int) -> str:
    """Return the name of the folder of a model's fit on one fold."""
    return f"fold_{number}"


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes
    ----------
    model : the fitted model.
    items, people : every known picture and user; a boolean column ``in_train`` beside.
    scales : ``{dataset: (low, high)}``.
    standardised : datasets of choices alone, whose scale is `schema.STANDARD_SCALE`.
    encoder : ``{"encoder": name, "fingerprint": ..., "image_dim": d, "prompt_dim": p}``.
    version : name and short hash of the model.
    evaluated_version : the same of the fit whose figures are published; its own for that fit.
    folder : where it was loaded from, if from a folder.
    """

    model: RewardModel
    items: Items
    people: People
    in_train_items: np.ndarray[Any, np.dtype[np.bool_]]
    in_train_people: np.ndarray[Any, np.dtype[np.bool_]]
    scales: dict[str, tuple[float, float]]
    encoder: dict[str, Any]
    version: str
    evaluated_version: str = ""
    folder: Path | None = None
    standardised: frozenset[str] = frozenset()

    def rated_by(self, user: str) -> tuple[Ints, Ints]:
        """Return catalog rows of the pictures that `user` (``dataset/user_id``) rated.

        Returns
        -------
        Those that the model learned from, and all others, held-out ones too.

        Raises
        ------
        PamelaError
            If the bundle does not say.
        """
        path = self.folder / RATED if self.folder else None
        if path is None or not path.is_file():
            raise PamelaError(
                f"{self.folder or 'this bundle'}: no {RATED}, so it is not known what {user} has "
                "rated; run `dvc repro train` and register it again"
            )
        row = self.people.keys.index(user)
        mine = pl.scan_parquet(path, glob=False).filter(pl.col(s.USER) == row).collect()
        learned = mine[IN_TRAIN].to_numpy()
        item = mine[s.IMAGE].to_numpy().astype(np.int64)
        return item[learned], item[~learned]


def write_bundle(
    project: Project,
    model_name: str,
    folder: Path,
    *,
    fits: Path | None = None,
    fold: Fold | None = None,
) -> None:
    """Write the bundle of ``models/<model_name>/{all,fold_0}`` to `folder`, replacing it.

    Parameters
    ----------
    fits : where the fits lie, in place of ``models/``.
    fold : what the evaluated model was fitted on, in place of the project's fold 0.

    Raises
    ------
    PamelaError
        If one of the two fits is not there.
    """
    home = fits or project.models
    served = home / model_name / ALL_ROWS
    evaluated = home / model_name / fold_name(BUNDLE_FOLD)
    for fit in (served, evaluated):
        if not (fit / CONFIG).is_file():
            raise PamelaError(f"{project.relative(fit)}: no model there; run `dvc repro train`")
    if fold is None:
        with training_fold(project, BUNDLE_FOLD) as whole:
            write_bundle(project, model_name, folder, fits=fits, fold=whole)
        return
    everything = fold.all_as_train()
    catalog = fold.items.frame.select(
        s.DATASET, s.IMAGE, s.SHA256, s.FILE, s.PROMPT, *s.METADATA, s.PROMPT_ID
    )
    with atomic_folder(folder) as aside:
        _copy_model(served, aside)
        _copy_model(evaluated, aside / evaluated.name)
        write_parquet(aside / CATALOG, flagged(catalog, everything, fold, "item"))
        save_file(
            {
                "image": np.ascontiguousarray(fold.items.image),
                "prompt": np.ascontiguousarray(fold.items.prompt),
            },
            aside / FEATURES,
        )
        people = flagged(fold.people.frame, everything, fold, "user")
        write_parquet(aside / USERS, people)
        write_parquet(aside / RATED, rated_pairs(everything))
        write_json(
            aside / META,
            {
                "format": FORMAT,
                "model": model_name,
                "model_hash": model_hash(served),
                "fitted_on": SERVED_ON,
                **row_counts(everything),
                "evaluated": {
                    "model_hash": model_hash(evaluated),
                    "fitted_on": EVALUATED_ON,
                    **row_counts(fold),
                },
                "encoder": read_json(project.features / "features.json"),
                "datasets": datasets_of(project),
            },
        )
        write_sums(aside)


def _copy_model(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(source / name, target / name)


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle's served model, which was fitted on every accepted rating.

    Raises
    ------
    PamelaError
        If the folder is no bundle, is one of another format, or a file of it is damaged.
    """
    meta = _read_meta(folder)
    return _load(folder, "", meta, meta["model_hash"], IN_TRAIN)


def load_evaluated(folder: Path) -> Bundle:
    """Load a bundle's evaluated model, that of fold 0, to be compared on what it did not see.

    Raises
    ------
    PamelaError
        As `load_bundle`.
    """
    meta = _read_meta(folder)
    if "evaluated" not in meta:
        return load_bundle(folder)
    digest = meta["evaluated"]["model_hash"]
    return _load(folder, f"{fold_name(BUNDLE_FOLD)}/", meta, digest, IN_FOLD)


def _read_meta(folder: Path) -> dict[str, Any]:
    if not (folder / META).is_file():
        raise PamelaError(f"{folder}: no {META}, so not a model bundle; see models/bundle/")
    if has_sums(folder):
        require_intact(folder, [META])
    meta: dict[str, Any] = read_json(folder / META)
    if not isinstance(meta, dict) or meta.get("format") not in FORMATS:
        raise PamelaError(f"{folder}/{META}: not a bundle of format {FORMAT} or before")
    if meta["format"] == FORMAT:  # also where the list is gone
        require_intact(folder, [META])
    return meta


def _load(folder: Path, where: str, meta: dict[str, Any], digest: str, flag: str) -> Bundle:
    """Load one of a bundle's two models with what both share.

    Parameters
    ----------
    where : before the names of the model's files.
    digest : of the model.
    """
    if meta["format"] == FORMAT:
        require_intact(folder, [*SHARED, where + CONFIG, where + WEIGHTS])
    elif (folder / where / WEIGHTS).is_file() and model_hash(folder / where) != digest:
        raise PamelaError(
            f"{folder / where / WEIGHTS}: not the model that {folder.name}/{META} names (hash "
            f"{digest}), {REPAIR}"
        )
    model = load_model(folder / where)
    catalog = read_parquet(folder / CATALOG)
    users = read_parquet(folder / USERS)
    features = read_arrays(folder / FEATURES)
    flags = [name for name in (IN_TRAIN, IN_FOLD) if name in catalog.columns]
    evaluated = meta.get("evaluated", meta)["model_hash"]
    return Bundle(
        model=model,
        items=Items(catalog.drop(flags), features["image"], features["prompt"]),
        people=People(users.drop(flags)),
        in_train_items=catalog[flag].to_numpy(),
        in_train_people=users[flag].to_numpy(),
        scales={k: (v["scale"][0], v["scale"][1]) for k, v in meta["datasets"].items()},
        standardised=frozenset(k for k, v in meta["datasets"].items() if v.get(STANDARDISED)),
        encoder=meta["encoder"],
        version=_version(meta["model"], digest),
        evaluated_version=_version(meta["model"], evaluated),
        folder=folder,
    )


def _version(model: str, digest: str) -> str:
    return f"{model}-{digest[:8]}"
