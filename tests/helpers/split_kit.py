"""Ratings to be split, and who lies where."""

from __future__ import annotations

import polars as pl

from pamela.core import schema as s
from pamela.core.paths import Project
from pamela.params import SplitParams
from pamela.splits.split import (
    Split,
    split_dataset,
)

NO_CHOICES = pl.LazyFrame(schema=s.CHOICES_SCHEMA)
PARAMS = SplitParams(folds=5, val_share=0.1, seed=0)


def table(schema: dict[str, object], rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return rows as a canonical table; what is not given is null."""
    return pl.DataFrame(rows, schema=schema, orient="row")  # type: ignore[arg-type]


def write(
    project: Project, ratings: list[dict[str, object]], prompts: dict[str, str | None] | None = None
) -> None:
    """Write validated tables of dataset ``d`` that hold `ratings`; users and images follow."""
    users = sorted({str(r["user_id"]) for r in ratings})
    images = sorted({str(r["image_id"]) for r in ratings} | set(prompts or {}))
    d = {"dataset": "d"}
    project.validated.mkdir(parents=True, exist_ok=True)
    table(dict(s.RATINGS_SCHEMA), [{**d, "rating": 3.0, **r} for r in ratings]).write_parquet(
        project.validated / "ratings.parquet"
    )
    pl.DataFrame({"dataset": "d", "user_id": users}).write_parquet(
        project.validated / "users.parquet"
    )
    rows = [{**d, "image_id": i, "prompt_id": (prompts or {}).get(i), "sha256": i} for i in images]
    table(dict(s.IMAGES_SCHEMA), rows).write_parquet(project.validated / "images.parquet")


def full(users: int, images: int, **more: object) -> list[dict[str, object]]:
    """Return a rating of every user for every image."""
    return [
        {"user_id": f"u{u}", "image_id": f"i{i}", "rating": 1.0 + (u * i) % 5, **more}
        for u in range(users)
        for i in range(images)
    ]


def split(project: Project, params: SplitParams = PARAMS) -> Split:
    return split_dataset(project, "d", params)


def side_of(sides: pl.DataFrame, key: str) -> dict[tuple[int, str], str]:
    """Return ``{(fold, id): side}``."""
    return {(row["fold"], row[key]): row["side"] for row in sides.iter_rows(named=True)}


def stay(before: pl.DataFrame, after: pl.DataFrame, key: str) -> bool:
    """Tell whether everyone is where they were before."""
    return side_of(after, key).items() >= side_of(before, key).items()


def released() -> list[dict[str, object]]:
    """Users a, b known; c unseen in validation, d in test; images 0..3 train, 4 val, 5 test."""
    rows = [(u, str(i), "train") for u in "ab" for i in range(4)]
    rows += [("a", "4", "val_seen"), ("c", "4", "val_unseen")]
    rows += [("b", "5", "test_seen"), ("d", "5", "test_unseen")]
    return [{"user_id": u, "image_id": i, "split": part} for u, i, part in rows]
