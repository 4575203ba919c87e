"""The choices of a fold as arrays, and what is held out of them in joint training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Choices, Fold, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json, write_parquet
from pamela.core.paths import Project
from pamela.core.shards.loading import load_sharded_fold
from pamela.core.split_rows import CHOICES_KEPT, KEPT, PART_TYPE

# dataset, user, image_a, image_b, choice, part; d and e share the picture that is called x in both
Row = tuple[str, str, str, str, str, str]
ROWS: list[Row] = [
    ("d", "u1", "i1", "i0", "b", "train"),
    ("d", "u1", "i0", "i1", "tie", "train"),
    ("d", "u0", "i1", "i0", "a", "train"),
    ("d", "u0", "i1", "i0", "b", "train"),
    ("d", "u0", "x", "i0", "a", "test_seen"),
    ("e", "u0", "i0", "i1", "a", "train"),
    ("e", "u0", "i0", "x", "a", "train"),
    ("e", "u0", "x", "i1", "a", "context_unseen"),
]


def write(project: Project, rows: list[Row], pictures: tuple[str, ...] = ("i0", "i1", "x")) -> None:
    """Write what `load_fold` reads: two datasets of the same ids, and choices alone."""
    keys = [(name, one) for name in "de" for one in pictures]
    images = pl.DataFrame(keys, schema=[s.DATASET, s.IMAGE], orient="row").with_columns(
        sha256=pl.when(pl.col(s.IMAGE) == "x")
        .then(pl.lit("same"))
        .otherwise(pl.concat_str(s.DATASET, s.IMAGE))
    )
    write_parquet(project.validated / "images.parquet", images)
    write_parquet(project.features / "index.parquet", images)
    for name in ("image", "prompt"):
        np.save(project.features / f"{name}.npy", np.zeros((images.height, 1), np.float32))
    users = [(name, user) for name in "de" for user in ("u0", "u1")]
    people = pl.DataFrame(users, schema=[s.DATASET, s.USER], orient="row")
    write_parquet(project.validated / "users.parquet", people)
    choices = pl.DataFrame(
        rows, schema=[s.DATASET, s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE, "part_0"], orient="row"
    ).with_columns(
        pl.col("part_0").cast(PART_TYPE),
        pl.lit(None, pl.Datetime("us")).alias(s.CHOSEN_AT),
        pl.lit(None, pl.Int64).alias(s.POSITION),
    )
    write_parquet(project.splits / "choices.parquet", choices.select(*CHOICES_KEPT, "part_0"))
    none = {c: s.RATINGS_SCHEMA[c] for c in KEPT}
    write_parquet(
        project.splits / "ratings.parquet", pl.DataFrame(schema={**none, "part_0": PART_TYPE})
    )
    record = {name: {"folds": 1} for name in "de"}
    write_json(project.splits / "splits.json", {"folds": 1, "datasets": record})
    scales = {name: {"scale": [-4, 4], "standardised": True} for name in "de"}
    write_json(project.tables / "datasets.json", scales)


@pytest.fixture
def fold(tmp_path: Path) -> Fold:
    project = Project(tmp_path)
    write(project, ROWS)
    return load_fold(project, 0)


def told(fold: Fold, choices: Choices) -> list[tuple[str, str, str, float]]:
    images = fold.items.frame[s.IMAGE]
    users = [fold.people.keys[n] for n in choices.user]
    pictures = images[choices.a.tolist()], images[choices.b.tolist()]
    return list(zip(users, *pictures, choices.outcome.tolist(), strict=True))


def test_choices_are_sorted_by_user_images_and_outcome(fold: Fold) -> None:
    assert told(fold, fold.choices_of("train")) == [
        ("d/u0", "i1", "i0", 0.0),
        ("d/u0", "i1", "i0", 1.0),
        ("d/u1", "i0", "i1", 0.5),
        ("d/u1", "i1", "i0", 0.0),
        ("e/u0", "i0", "i1", 1.0),
    ]
    assert fold.parts == {}
    assert len(fold.all_as_train().choices_of("train")) == len(ROWS)
    assert len(fold.choices_of("val_seen")) == 0


def test_what_one_dataset_tests_on_no_other_trains_on(fold: Fold) -> None:
    assert told(fold, fold.choices_of("test_seen")) == [("d/u0", "x", "i0", 1.0)]
    assert told(fold, fold.choices_of(s.HELD_OUT_ELSEWHERE)) == [("e/u0", "i0", "x", 1.0)]
    assert len(fold.choices_of("context_unseen")) == 1  # shown, not learned


def test_the_order_of_rows_does_not_matter(tmp_path: Path, fold: Fold) -> None:
    project = Project(tmp_path / "other")
    write(project, ROWS[::-1])
    again = load_fold(project, 0)
    for part, choices in fold.choices.items():
        assert told(again, again.choices_of(part)) == told(fold, choices)


def test_a_picture_without_features_is_an_error(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write(project, ROWS, pictures=("i0", "i1"))
    with pytest.raises(PamelaError, match=r"choices\.parquet: 3 rows .* first d/u0 on x and i0"):
        load_fold(project, 0)


def test_a_split_of_before_there_were_choices_has_none(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write(project, ROWS)
    (project.splits / "choices.parquet").unlink()
    assert load_fold(project, 0).choices == {}


# --- in shards ------------------------------------------------------------------------------------
def rate(project: Project, repeats: str | None) -> None:
    """Add random ratings of everybody in both datasets: repeats, and twins that one tests on."""
    rng = np.random.default_rng(0)
    n = 60
    parts = ["train", "val_seen", "test_seen", "context_unseen"]
    rows = pl.DataFrame(
        {
            s.DATASET: rng.choice(["d", "e"], n),
            s.USER: rng.choice(["u0", "u1"], n),
            s.IMAGE: rng.choice(["i0", "i1", "x"], n),
            s.RATING: rng.integers(-4, 5, n).astype(np.float64),
            s.RATED_AT: pl.Series(rng.integers(0, 9, n)).cast(pl.Datetime("us")),
            s.POSITION: rng.integers(0, 9, n),
            "part_0": pl.Series(rng.choice(parts, n)).cast(PART_TYPE),
        }
    )
    write_parquet(project.splits / "ratings.parquet", rows)
    meta = read_json(project.tables / "datasets.json")
    meta["d"] |= {"repeats": repeats}
    write_json(project.tables / "datasets.json", meta)


@pytest.mark.parametrize("repeats", [None, "mean", "last"])
def test_a_fold_in_shards_is_the_fold_in_memory(tmp_path: Path, repeats: str | None) -> None:
    project = Project(tmp_path)
    write(project, ROWS)
    rate(project, repeats)
    whole = load_fold(project, 0)
    sharded = load_sharded_fold(project, 0, tmp_path / "shards", size=10)
    assert len(list((tmp_path / "shards").iterdir())) > 2
    assert dict(sharded.parts.counts) == {part: len(rows) for part, rows in whole.parts.items()}
    assert s.HELD_OUT_ELSEWHERE in sharded.parts
    for part, rows in whole.parts.items():
        for name, column in vars(rows).items():
            np.testing.assert_array_equal(getattr(sharded[part], name), column)
    assert {part: told(whole, one) for part, one in whole.choices.items()} == {
        part: told(sharded, one) for part, one in sharded.choices.items()
    }


def test_a_rating_of_a_picture_without_features_is_an_error_in_shards(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write(project, [row for row in ROWS if "x" not in row], pictures=("i0", "i1"))
    rate(project, None)
    with pytest.raises(PamelaError, match=r"ratings\.parquet: \d+ rows without a user or features"):
        load_sharded_fold(project, 0, tmp_path / "shards")
