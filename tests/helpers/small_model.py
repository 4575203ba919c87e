"""A small project with a real model: pictures on disk, real features, planted tastes, a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from pamela.core import schema as s
from pamela.core.files import file_sha256, read_json, write_json, write_parquet
from pamela.core.paths import Project
from pamela.features.embed import Features, write_features
from pamela.features.factory import get_encoder
from pamela.params import load_params
from pamela.training import train
from tests.helpers.encoder_kit import picture
from tests.paths import ROOT

DATASET = "synthetic"
PICTURES, USERS = 60, 24
UNSEEN = 2  # users who rated nothing: what serves is fitted on whoever did
NEW = ("barn.png", "lake.png", "street.png", "apple.png", "boat.png", "tower.png")
SUBJECTS = ("barn", "lake", "street", "portrait", "forest", "harbour")


def make_small_project(root: Path, model: str = "hierarchical") -> Project:
    """Write a project whose ``models/bundle`` is `model`, fitted on planted tastes.

    In its root lie six pictures that the model has not seen (`NEW`).
    """
    root.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    project = Project(root)
    for number, name in enumerate(NEW):
        Image.fromarray(picture(1000 + number)).save(root / name)
    images = _images(project)
    features = _features(project, images)
    _ratings(project, features)
    fit_bundle(project, model)
    return project


def copy_project(template: Project, root: Path) -> Project:
    """Copy a project to `root`, without what others who read `template` left in its caches."""
    return Project(shutil.copytree(template.root, root, ignore=shutil.ignore_patterns(".cache")))


def _images(project: Project) -> pl.DataFrame:
    folder = project.root / "data" / "pictures"
    folder.mkdir(parents=True)
    names = [f"i{number:02d}" for number in range(PICTURES)]
    for number, name in enumerate(names):
        Image.fromarray(picture(number)).save(folder / f"{name}.png")
    files = [f"data/pictures/{name}.png" for name in names]
    frame = pl.DataFrame(
        {
            s.DATASET: [DATASET] * PICTURES,
            s.IMAGE: names,
            s.FILE: files,
            s.SHA256: [file_sha256(project.root / file) for file in files],
            s.PROMPT: [f"a {SUBJECTS[n % 6]} number {n}" for n in range(PICTURES)],
            s.TYPE: ["Photorealism"] * PICTURES,
            s.GROUP: [SUBJECTS[n % 3] for n in range(PICTURES)],
            s.PROMPT_ID: names,
        }
    )
    frame = pl.concat([s.IMAGES_SCHEMA.to_frame(), frame], how="diagonal")
    write_parquet(project.validated / "images.parquet", frame)
    meta = {"scale": [1, 5], "features": None, "has_images": True, "own_splits": False}
    write_json(project.tables / "datasets.json", {DATASET: meta})
    return frame


def _features(project: Project, images: pl.DataFrame) -> Features:
    encoder = get_encoder("embedded", batch_size=64, workers=0)
    features = Features(
        encoder.encode_images([project.root / file for file in images[s.FILE]]),
        encoder.encode_prompts(images[s.PROMPT].to_list()),
        encoder.name,
        encoder.fingerprint,
        encoder.precision,
    )
    write_features(project, images, features)
    return features


def _ratings(project: Project, features: Features) -> None:
    """Two directions of the features: everybody likes the one, people differ over the other."""
    rng = np.random.default_rng(0)
    left, values, _ = np.linalg.svd(features.image - features.image.mean(0), full_matrices=False)
    views = left[:, :3] * np.sqrt(PICTURES)
    assert values[2] > 0
    taste = rng.normal(size=(USERS, 3)) * [0.3, 0.9, 0.5]
    liking = 3.0 + 0.5 * views[:, 0] + taste @ views.T + rng.normal(size=(USERS, PICTURES)) * 0.4
    stars = np.clip(np.rint(liking), 1, 5)
    user, item = np.meshgrid(np.arange(USERS), np.arange(PICTURES), indexing="ij")
    keep = (rng.random(user.shape) < 0.7) & (user < USERS - UNSEEN)
    user, item = user[keep], item[keep]
    ids = np.array([f"p{number:03d}" for number in range(USERS)])
    people = pl.DataFrame(
        {
            s.DATASET: [DATASET] * USERS,
            s.USER: ids,
            "gender": np.where(np.arange(USERS) % 2, "female", "male"),
            "age_binned": np.array(["19-25", "26-35", "36-45"])[np.arange(USERS) % 3],
        }
    )
    write_parquet(project.validated / "users.parquet", people)
    part = np.where(item >= PICTURES - 6, s.TEST_SEEN, s.TRAIN)
    rows: dict[str, Any] = {
        s.DATASET: [DATASET] * len(user),
        s.USER: ids[user],
        s.IMAGE: np.array([f"i{n:02d}" for n in range(PICTURES)])[item],
        s.RATING: stars[user, item],
        "part_0": part,
    }
    frame = pl.DataFrame(rows).with_columns(
        pl.lit(None, pl.Datetime("us")).alias(s.RATED_AT), pl.lit(None, pl.Int64).alias(s.POSITION)
    )
    write_parquet(project.splits / "ratings.parquet", frame)
    write_json(project.splits / "splits.json", {"folds": 1, "datasets": {DATASET: {"folds": 1}}})


def fit_bundle(project: Project, name: str, seed: int = 0) -> None:
    """Fit `name` as the train stage does, on fold 0 and then on all rows, and bundle it."""
    changes = {"cv_folds": 2, "champion": name, "seed": seed}
    params = load_params(project.params_file).train.model_copy(update=changes)
    train.fit_fold(project, params, name, 0)
    train.refit_champion(project, params)
    train.write_champion(project, params)


def register(project: Project) -> None:
    """Register ``models/bundle`` as the champion of a registry of the project's own."""
    from pamela.registry import copies, sqlite_reader, versions
    from pamela.registry.tracking.publish import client_of
    from pamela.registry.version_facts import model_tags

    params = load_params(project.params_file)
    bundle = project.models / "bundle"
    digest = copies.content_hash(bundle)
    kept = copies.keep_copy(project, bundle, digest)
    client = client_of(project, params)
    client.create_registered_model(versions.NAME)
    tags = model_tags(read_json(kept / "bundle.json"))
    tags |= {sqlite_reader.PATH: project.relative(kept), copies.BUNDLE_HASH: digest}
    version = client.create_model_version(versions.NAME, kept.as_uri(), tags=tags)
    client.set_registered_model_alias(versions.NAME, versions.CHAMPION, version.version)
