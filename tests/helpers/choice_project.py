"""A small project for retraining on choices alone, and batches of choices of its people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tests.conftest import copy_project, merge, must
from tests.helpers import yaml
from tests.helpers.stages import run_pipeline, run_stages

NAME, DIM = "chosen", 6
PEOPLE, PROMPTS, OF_PROMPT = 50, 40, 5
SMALL: dict[str, Any] = {
    "ingest": {"datasets": [NAME]},
    "split": {"folds": 3},
    "embed": {"encoder": "precomputed"},
    # 50 people: two honest fits differ by more than those of the defaults' world
    "retrain": {"tolerance": 0.02, "max_total_loss": 0.04},
    "train": {"models": ["population"], "champion": "population", "cv_folds": 2, "cv_trials": 2},
    "evaluate": {"bootstrap": 100, "shots": [0, 5]},
}


class Choosers:
    """People of one taste, who choose between two pictures of one prompt."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)
        self.people = [f"u{k:02d}" for k in range(PEOPLE)]
        self.images = [f"i{k:03d}" for k in range(PROMPTS * OF_PROMPT)]
        self.features = self.rng.normal(size=(len(self.images), DIM)).astype(np.float32)
        liking = self.features @ self.rng.normal(size=DIM)
        self.liking = (liking - liking.mean()) / liking.std()

    def choose(self, users: list[str], each: int, sign: float, prompts: list[int]) -> pl.DataFrame:
        """Return `each` choices per user; sign 1 is the taste, -1 its opposite, 0 chance."""
        n = len(users) * each
        first = self.rng.choice(prompts, n) * OF_PROMPT
        a = self.rng.integers(OF_PROMPT, size=n)
        b = first + (a + self.rng.integers(1, OF_PROMPT, size=n)) % OF_PROMPT
        a = first + a
        seen = sign * (self.liking[a] - self.liking[b]) + 0.5 * self.rng.normal(size=n)
        names = np.array(self.images)
        said = np.where(seen > 0.1, "a", np.where(seen < -0.1, "b", "tie"))
        return pl.DataFrame(
            {
                "user_id": np.repeat(users, each),
                "image_a": names[a],
                "image_b": names[b],
                "choice": said,
            }
        )

    def dataset(self, folder: Path, choices: pl.DataFrame) -> Path:
        """Write a dataset of these choices alone."""
        write_choices(folder, choices, features="features.npz")
        prompt = np.arange(len(self.images)) // OF_PROMPT
        pl.DataFrame(
            {
                "image_id": self.images,
                "file": [f"images/{i}.png" for i in self.images],
                "prompt": [f"prompt {k}" for k in prompt],
                "prompt_id": [f"p{k:02d}" for k in prompt],
            }
        ).write_csv(folder / "images.csv")
        np.savez(folder / "features.npz", image_id=self.images, features=self.features)
        return folder

    def batch(self, folder: Path, users: list[str], each: int, sign: float,
              prompts: list[int]) -> Path:  # fmt: skip
        """Write a complete batch of choices."""
        write_choices(folder, self.choose(users, each, sign, prompts))
        (folder / "_DONE").touch()
        return folder


def write_choices(folder: Path, choices: pl.DataFrame, **more: str) -> None:
    folder.mkdir(parents=True)
    choices.write_csv(folder / "choices.csv")
    (folder / "dataset.yaml").write_text(yaml.safe_dump({"name": NAME, **more}))


def first_run(
    home: Path, choosers: Choosers, overrides: Mapping[str, Any] | None = None
) -> tuple[Path, list[str], list[int]]:
    """Make a project that ran once: honest where held out in fold 0, by chance in training.

    Returns
    -------
    The project, and the training people and training prompts of its fold 0.
    """
    folder = copy_project(home / "project", merge(SMALL, overrides or {}))
    told = choosers.choose(choosers.people, 40, 1, list(range(PROMPTS)))
    users, prompts = _trained(home, choosers, told)
    learned = told["user_id"].is_in(users) & told["image_a"].is_in(
        [f"i{k:03d}" for p in prompts for k in range(p * OF_PROMPT, (p + 1) * OF_PROMPT)]
    )
    chance = pl.Series(choosers.rng.choice(["a", "b"], told.height))
    few = learned & pl.Series(choosers.rng.random(told.height) > 0.2)
    told = told.with_columns(
        pl.when(learned).then(chance).otherwise(pl.col("choice")).alias("choice")
    ).filter(~few)
    source = choosers.dataset(home / "source", told)
    must(folder, "python", "-m", "pamela.cli", "import", "tables", str(source), "--name", NAME)
    run_pipeline(folder)
    must(folder, "git", "add", "-A")
    must(folder, "git", "commit", "-q", "-m", "first run")
    return folder, users, prompts


def _trained(home: Path, choosers: Choosers, told: pl.DataFrame) -> tuple[list[str], list[int]]:
    """Return who and what fold 0 trains on: sides depend on ids alone, not on what is said."""
    scratch = copy_project(home / "scratch", SMALL)
    choosers.dataset(scratch / "data/raw" / NAME, told)
    run_stages(scratch, "ingest", "validate", "split")
    rows = pl.read_parquet(scratch / "data/splits/choices.parquet").filter(part_0="train")
    pictures = pl.concat([rows["image_a"], rows["image_b"]]).str.slice(1).cast(pl.Int64)
    prompts = (pictures // OF_PROMPT).unique().sort().to_list()
    return rows["user_id"].unique().sort().to_list(), prompts
