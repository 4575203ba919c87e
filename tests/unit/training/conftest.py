"""A project that is ready for stage train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.files import write_json, write_parquet
from pamela.core.paths import Project
from tests.helpers.folders import write_split
from tests.helpers.planted import DATASET, make_world


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose split and embed stages are done, on a scale of 0..10, two folds."""
    fold = make_world(seed=1, seen=16, unseen=4, train_items=40, test_items=16).fold
    found = Project(tmp_path)
    write_json(found.tables / "datasets.json", {DATASET: {"scale": [0, 10]}})
    extra = {name: pl.lit(None, pl.String) for name in (s.FILE, s.SHA256, s.GENERATOR)}
    write_parquet(found.validated / "images.parquet", fold.items.frame.with_columns(**extra))
    write_parquet(found.validated / "users.parquet", fold.people.frame)
    index = fold.items.frame.select(s.DATASET, s.IMAGE, pl.lit("").alias(s.SHA256))
    write_parquet(found.features / "index.parquet", index)
    np.save(found.features / "image.npy", fold.items.image)
    np.save(found.features / "prompt.npy", fold.items.prompt)
    write_json(
        found.features / "features.json",
        {"encoder": "none", "fingerprint": "f", "image_dim": 12, "prompt_dim": 5},
    )
    rows = [
        fold.items.frame[pairs.item]
        .select(s.DATASET, s.IMAGE)
        .with_columns(
            fold.people.frame[pairs.user][s.USER],
            pl.lit(number).cast(pl.Int64).alias(s.FOLD),
            pl.Series(s.RATING, (pairs.rating.astype(float) - 1) * 2.5),
            pl.lit(part).alias(s.PART),
        )
        for number in (0, 1)
        for part, pairs in fold.parts.items()
    ]
    write_split(found, pl.concat(rows))
    return found
