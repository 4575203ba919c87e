"""A small project for retraining: people who share one taste, and batches of their ratings.

The dataset is built on the spot: 8 planted picture features, precomputed, so that nothing is drawn;
its ratings say themselves who and what is held out, so that the hold-out stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.conftest import copy_project, merge, must
from tests.helpers import yaml
from tests.helpers.stages import run_pipeline

TRAINED, UNSEEN, TRAIN_IMAGES, VAL_IMAGES, TEST_IMAGES, DIM = 30, 10, 160, 30, 60, 8
SMALL: dict[str, Any] = {
    "ingest": {"datasets": ["planted"]},
    "embed": {"encoder": "precomputed"},
    # 36 people: two honest fits differ by .006
    "retrain": {"tolerance": 0.02, "max_total_loss": 0.04},
    "train": {
        "models": ["global_mean", "user_mean", "group_mean", "population"],
        "champion": "population",
        "cv_folds": 2,
        "cv_trials": 2,
    },
    "evaluate": {"bootstrap": 100, "shots": [0, 5], "margins": [0.0, 1.0]},
}


class Planted:
    """People who share one taste: how much a picture is liked is linear in its features."""

    def __init__(self) -> None:
        rng = np.random.default_rng(11)
        self.images = [f"i{k:03d}" for k in range(TRAIN_IMAGES + VAL_IMAGES + TEST_IMAGES)]
        self.features = rng.normal(size=(len(self.images), DIM)).astype(np.float32)
        liking = self.features @ rng.normal(size=DIM)
        self.liking = (liking - liking.mean()) / liking.std()
        self.rng = rng

    def rate(self, users: list[str], images: range, each: int, sign: float) -> pl.DataFrame:
        """Return `each` ratings per user; sign 1 is the taste, -1 its opposite, 0 chance."""
        item = np.concatenate([self.rng.choice(np.array(images), each, False) for _ in users])
        noise = self.rng.normal(size=len(item)) * (0.5 if sign else 1.0)
        rating = np.clip(np.round(3 + sign * self.liking[item] + noise), 1, 5)
        return pl.DataFrame(
            {
                "user_id": np.repeat(users, each),
                "image_id": [self.images[k] for k in item],
                "rating": rating,
            }
        )

    def dataset(self, folder: Path) -> Path:
        """Write the first ratings: few and by chance in training, honest where held out."""
        trained = [f"u{k:02d}" for k in range(TRAINED)]
        unseen = [f"u{k:02d}" for k in range(TRAINED, TRAINED + UNSEEN)]
        val = range(TRAIN_IMAGES, TRAIN_IMAGES + VAL_IMAGES)
        test = range(TRAIN_IMAGES + VAL_IMAGES, len(self.images))
        parts = {
            "train": self.rate(trained, range(TRAIN_IMAGES), 6, 0),
            "val_seen": self.rate(trained, val, 6, 1),
            "val_unseen": self.rate(unseen[:4], val, 10, 1),
            "test_seen": self.rate(trained, test, 15, 1),
            "test_unseen": self.rate(unseen[4:], test, 20, 1),
        }
        write_tables(folder, pl.concat(
            [frame.with_columns(split=pl.lit(part)) for part, frame in parts.items()]
        ), features="features.npz")  # fmt: skip
        pl.DataFrame({"user_id": trained + unseen}).write_csv(folder / "users.csv")
        pl.DataFrame(
            {
                "image_id": self.images,
                "file": [f"images/{i}.png" for i in self.images],
                "prompt": [f"picture {i}" for i in self.images],
                "group": [f"g{k % 5}" for k in range(len(self.images))],
            }
        ).write_csv(folder / "images.csv")
        np.savez(folder / "features.npz", image_id=self.images, features=self.features)
        return folder

    def batch(self, folder: Path, users: list[str], each: int, sign: float) -> Path:
        """Write a complete batch on training images."""
        write_tables(folder, self.rate(users, range(TRAIN_IMAGES), each, sign))
        (folder / "_DONE").touch()
        return folder


def write_tables(folder: Path, ratings: pl.DataFrame, **more: str) -> None:
    folder.mkdir(parents=True)
    ratings.write_csv(folder / "ratings.csv")
    (folder / "dataset.yaml").write_text(
        yaml.safe_dump({"name": "planted", "scale": [1, 5], **more})
    )


def first_run(home: Path, planted: Planted, overrides: Mapping[str, Any] | None = None) -> Path:
    """Make a project that ran once on few, random training ratings: version 1 is the champion."""
    folder = copy_project(home / "project", merge(SMALL, overrides or {}))
    source = planted.dataset(home / "planted")
    must(folder, "python", "-m", "pamela.cli", "import", "tables", str(source),
         "--name", "planted")  # fmt: skip
    run_pipeline(folder)
    must(folder, "git", "add", "-A")
    must(folder, "git", "commit", "-q", "-m", "first run")
    return folder
