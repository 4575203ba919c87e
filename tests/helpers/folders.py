"""Small datasets on disk for the tests: the tables format, the release's layout, a project."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json, write_parquet
from pamela.core.paths import Project
from pamela.core.split_rows import KEPT, PART_TYPE, part_column, read_fold_rows
from pamela.data.formats import read_batch, read_folder
from pamela.splits.split import Split
from tests.helpers import yaml
from tests.paths import ROOT


def make_project(folder: Path, **sections: Mapping[str, Any]) -> Project:
    """Make a project of the repository's params and expectations, with some params changed."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, values in sections.items():
        params[section].update(values)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    shutil.copytree(ROOT / "expectations", folder / "expectations")
    return Project(folder)


def write_picture(path: Path, seed: int = 0) -> None:
    """Write a small picture of seeded noise; the suffix says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def ratings_of(users: int, images: int, seed: int = 0) -> pl.DataFrame:
    """Return a full users x images table of ratings 1..5."""
    values = np.random.default_rng(seed).integers(1, 6, users * images)
    return pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in range(users) for _ in range(images)],
            "image_id": [f"i{i}" for _ in range(users) for i in range(images)],
            "rating": [str(v) for v in values],
        }
    )


def write_tables(
    folder: Path,
    ratings: pl.DataFrame | None = None,
    users: pl.DataFrame | None = None,
    images: pl.DataFrame | None = None,
    *,
    header: str = "name: d\nscale: [1, 5]\n",
    pictures: bool = True,
) -> Path:
    """Write a dataset in the tables format: 4 users, 6 images in 3 prompts unless given."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(header)
    ratings = ratings_of(4, 6) if ratings is None else ratings
    if users is None:
        users = pl.DataFrame(
            {"user_id": [f"u{u}" for u in range(4)], "gender": ["f", "m", "", "f"]}
        )
    images = images_of(6) if images is None else images
    ratings.write_csv(folder / "ratings.csv")
    users.write_csv(folder / "users.csv")
    images.write_csv(folder / "images.csv")
    if pictures:
        for seed, file in enumerate(images.get_column("file").drop_nulls()):
            write_picture(folder / file, seed)
    return folder


def choices_of(users: int, images: int, seed: int = 0) -> pl.DataFrame:
    """Return every user's choice between any two of the images."""
    pairs = [(f"i{a}", f"i{b}") for a in range(images) for b in range(a + 1, images)]
    said = np.random.default_rng(seed).choice(["a", "b", "tie"], users * len(pairs))
    return pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in range(users) for _ in pairs],
            "image_a": [a for _ in range(users) for a, _ in pairs],
            "image_b": [b for _ in range(users) for _, b in pairs],
            "choice": said,
        }
    )


def write_choices(folder: Path, choices: pl.DataFrame | None = None) -> Path:
    """Write a dataset of choices alone: 4 users and 6 images, thus 60 choices, unless given."""
    write_tables(folder, header="name: d\n")
    (folder / "ratings.csv").unlink()
    (choices_of(4, 6) if choices is None else choices).write_csv(folder / "choices.csv")
    return folder


def images_of(n: int) -> pl.DataFrame:
    """Return an images table; two images share a prompt."""
    return pl.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(n)],
            "file": [f"images/i{i}.png" for i in range(n)],
            "prompt": [f"a picture of {i // 2}" for i in range(n)],
            "prompt_id": [f"p{i // 2}" for i in range(n)],
        }
    )


def release_row(participant: Any, image: Any, score: Any, **changes: Any) -> dict[str, Any]:
    """Return one rating as the release writes it."""
    return {
        "participant_id": participant,
        "image_id": image,
        "image_path": f"images/{image}.jpg",
        "original_score": score,
        "image_metadata": {"prompt": f"no {image}", "group": "food", "style": None, "type": "Art"},
        "user_demographics": {
            "age": 31,
            "age_binned": "30-39",
            "gender": "Female",
            "nationality": "Belgian",
        },
        **changes,
    }


def write_release(folder: Path) -> Path:
    """Write a miniature of the release: known users a and b, unseen c (val) and d (test)."""
    parts = {
        "train": [release_row(p, i, 1 + (i % 5)) for p in "ab" for i in range(4)],
        "val_seen": [release_row("a", 4, 3)],
        "val_unseen": [release_row("c", 4, 2)],
        "test_seen": [release_row("b", 5, 4)],
        "test_unseen": [release_row("d", 5, 5), release_row("d", 6, 1)],
    }
    for part, rows in parts.items():
        path = folder / "PAMELA" / "annotations" / f"pamela_{part}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    for image in range(7):
        write_picture(folder / "PAMELA" / "images" / f"{image}.jpg", image)
    return folder


def write_split(project: Project, rows: pl.DataFrame) -> None:
    """Write ``data/splits/`` of rows (dataset, fold, user_id, image_id, rating, part) as they are.

    A rating that a fold does not name is unused there.
    """
    folds = int(rows["fold"].max()) + 1  # type: ignore[arg-type]
    keys = ["dataset", "user_id", "image_id", "rating"]
    if "rating" not in rows.columns:
        rows = rows.with_columns(rating=pl.lit(3.0))
    wide = rows.pivot("fold", index=keys, values="part", maintain_order=True)
    parts = (
        pl.col(str(fold)).fill_null("unused").alias(part_column(fold)) for fold in range(folds)
    )
    frame = wide.select(*keys, *parts).with_columns(
        rated_at=pl.lit(None, pl.Datetime("us")), position=pl.lit(None, pl.Int64)
    )
    columns = [part_column(fold) for fold in range(folds)]
    write_parquet(
        project.splits / "ratings.parquet", frame.select(*KEPT, pl.col(columns).cast(PART_TYPE))
    )
    per_dataset = dict(rows.group_by("dataset").agg(pl.col("fold").max() + 1).iter_rows())
    record = {"folds": folds, "datasets": {n: {"folds": k} for n, k in per_dataset.items()}}
    write_json(project.splits / "splits.json", record)


def all_rows(split: Split) -> pl.DataFrame:
    """Return every rating of a split once per fold."""
    rows = split.ratings.rows.collect()
    return pl.concat(
        rows.select(
            *KEPT,
            pl.col(part_column(fold)).cast(pl.String).alias("part"),
            pl.lit(fold, pl.Int64).alias("fold"),
        )
        for fold in range(split.sides.folds)
    )


def split_rows_of(project: Project) -> pl.DataFrame:
    """Return what ``data/splits/`` says of every rating in every fold of its dataset."""
    datasets = read_json(project.splits / "splits.json")["datasets"]
    return pl.concat(
        read_fold_rows(project, fold).filter(dataset=name).with_columns(fold=pl.lit(fold, pl.Int64))
        for name, record in sorted(datasets.items())
        for fold in range(record["folds"])
    )


def reading_fault(folder: Path, *, batch: bool = False) -> str:
    """Return the one line that reading `folder` ends with."""
    with pytest.raises(PamelaError) as error:
        (read_batch if batch else read_folder)(folder, "d", folder.parent)
    message = str(error.value)
    assert "\n" not in message
    assert "Traceback" not in message
    return message
