"""A small reward on eight pictures, for people of two datasets with scales of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from pamela.core import schema as s
from pamela.core.dataset import Fold, Items, Pairs, People
from pamela.models import create_model
from pamela.params import load_params
from pamela.serving.api import Reward
from pamela.training.bundle import Bundle
from tests.paths import ROOT

USERS = ["ann", "bob", "eve", "new"]  # `new` is known, but was not in training
SCALES = {"wide": (0.0, 100.0), "other": (1.0, 5.0)}


def make_pictures(folder: Path) -> list[Path]:
    paths = [folder / f"{i}.png" for i in range(8)]
    for i, path in enumerate(paths):
        Image.new("RGB", (8, 8), (30 * i, 10, 200)).save(path)
    return paths


def make_reward(pictures: list[Path], model_name: str) -> Reward:
    n = len(pictures)
    frame = pl.DataFrame(
        {
            s.DATASET: ["wide"] * n,
            s.IMAGE: [p.stem for p in pictures],
            s.SHA256: [hashlib.sha256(p.read_bytes()).hexdigest() for p in pictures],
            s.PROMPT: [f"picture {i}" for i in range(n)],
            s.TYPE: ["a", "b"] * (n // 2),
            s.GROUP: ["g"] * n,
            s.STYLE: [None] * n,
            s.PROMPT_ID: [p.stem for p in pictures],
        },
        schema_overrides={s.STYLE: pl.String},
    )
    rng = np.random.default_rng(0)
    items = Items(frame, rng.normal(size=(n, 4)).astype(np.float32), np.zeros((n, 0), np.float32))
    people = People(
        pl.DataFrame(
            {
                s.DATASET: ["wide"] * 4 + ["other"],
                s.USER: [*USERS, "ann"],
                "gender": ["f", "m", None, "f", "f"],
            }
        )
    )
    user, item = np.meshgrid(np.arange(3), np.arange(n), indexing="ij")
    liking = np.where(item % 2 == 0, 4.0, 2.0) + np.array([0.5, -0.5, 0.0])[user]
    train = Pairs(user.ravel(), item.ravel(), liking.ravel().astype(np.float32))
    model = create_model(model_name, load_params(ROOT / "params.yaml").train)
    model.fit(Fold(0, items, people, {s.TRAIN: train}), seed=0)
    encoder = {"encoder": "precomputed", "fingerprint": "x", "image_dim": 4, "prompt_dim": 0}
    return Reward(
        Bundle(
            model=model,
            items=items,
            people=people,
            in_train_items=np.ones(n, bool),
            in_train_people=np.array([True] * 3 + [False] * 2),
            scales=SCALES,
            encoder=encoder,
            version="test-0",
        )
    )
