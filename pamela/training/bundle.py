"""A bundle: one folder with everything that scoring needs, away from the pipeline's data.

``models/bundle/`` is the champion's (fold 0's: what it held out stays held out, so that the gate
can compare on it) and is what the registry stores::

    bundle.json          model, its hash, encoder, datasets with their scales
    model.json, model.safetensors
    catalog.parquet      every known picture: content hash, prompt, metadata, whether trained on
    catalog.safetensors  their features: image (n, d) and prompt (n, p), float32
    users.parquet        every known user: demographics, whether trained on
    rated.parquet        who rated what, as rows of users and catalog, and whether that was learned
                         from; no ratings
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from pamela.core import schema as s
from pamela.core.arrays import Ints
from pamela.core.dataset import Fold, Items, People, load_fold, load_scales
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, read_json, read_parquet, write_json, write_parquet
from pamela.core.paths import Project
from pamela.models.base import CONFIG, WEIGHTS, RewardModel, load_model, model_hash

FORMAT = 1
IN_TRAIN = "in_train"
BUNDLE_FOLD = 0
RATED = "rated.parquet"


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes
    ----------
    model : the fitted model.
    items, people : every known picture and user; a boolean column ``in_train`` beside.
    scales : ``{dataset: (low, high)}``.
    encoder : ``{"encoder": name, "fingerprint": ..., "image_dim": d, "prompt_dim": p}``.
    version : short hash of the model.
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
    folder: Path | None = None

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


def write_bundle(project: Project, model_name: str, folder: Path) -> None:
    """Write the bundle of ``models/<model_name>/fold_0`` to `folder`, replacing what is there."""
    fitted = project.models / model_name / f"fold_{BUNDLE_FOLD}"
    fold = load_fold(project, BUNDLE_FOLD)
    train = fold[s.TRAIN]
    trained_items = np.isin(np.arange(len(fold.items)), train.item)
    trained_people = np.isin(np.arange(len(fold.people)), train.user)
    catalog = fold.items.frame.select(
        s.DATASET, s.IMAGE, s.SHA256, s.FILE, s.PROMPT, *s.METADATA, s.PROMPT_ID
    )
    with atomic_folder(folder) as aside:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(fitted / name, aside / name)
        write_parquet(
            aside / "catalog.parquet", catalog.with_columns(pl.Series(IN_TRAIN, trained_items))
        )
        save_file(
            {
                "image": np.ascontiguousarray(fold.items.image),
                "prompt": np.ascontiguousarray(fold.items.prompt),
            },
            aside / "catalog.safetensors",
        )
        write_parquet(
            aside / "users.parquet",
            fold.people.frame.with_columns(pl.Series(IN_TRAIN, trained_people)),
        )
        write_parquet(aside / RATED, _rated(fold))
        write_json(
            aside / "bundle.json",
            {
                "format": FORMAT,
                "model": model_name,
                "model_hash": model_hash(fitted),
                "encoder": read_json(project.features / "features.json"),
                "datasets": {k: {"scale": list(v)} for k, v in load_scales(project).items()},
            },
        )


def _rated(fold: Fold) -> pl.DataFrame:
    """Return the rows of user and item of every rated pair, once, and whether it was trained on."""
    rated = pl.concat(
        pl.DataFrame({s.USER: pairs.user, s.IMAGE: pairs.item}).select(
            pl.all().cast(pl.Int32), pl.lit(part == s.TRAIN).alias(IN_TRAIN)
        )
        for part, pairs in sorted(fold.parts.items())
    )
    return rated.group_by(s.USER, s.IMAGE).agg(pl.col(IN_TRAIN).any()).sort(s.USER, s.IMAGE)


def load_bundle(folder: Path) -> Bundle:
    """Load a bundle; a folder that is none, or of another format, is an error that says so."""
    if not (folder / "bundle.json").is_file():
        raise PamelaError(f"{folder}: no bundle.json, so not a model bundle; see models/bundle/")
    meta = read_json(folder / "bundle.json")
    if meta.get("format") != FORMAT:
        raise PamelaError(f"{folder}/bundle.json: format {meta.get('format')!r}, not {FORMAT}")
    catalog = read_parquet(folder / "catalog.parquet")
    users = read_parquet(folder / "users.parquet")
    features = load_file(folder / "catalog.safetensors")
    return Bundle(
        model=load_model(folder),
        items=Items(catalog.drop(IN_TRAIN), features["image"], features["prompt"]),
        people=People(users.drop(IN_TRAIN)),
        in_train_items=catalog[IN_TRAIN].to_numpy(),
        in_train_people=users[IN_TRAIN].to_numpy(),
        scales={k: (v["scale"][0], v["scale"][1]) for k, v in meta["datasets"].items()},
        encoder=meta["encoder"],
        version=f"{meta['model']}-{meta['model_hash'][:8]}",
        folder=folder,
    )
