"""A small made-up project: every file that the stages before `report` write, a few users big."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
from safetensors.numpy import save_file

from pamela.core import schema as s
from pamela.core.files import write_json, write_parquet
from pamela.core.paths import Project
from pamela.data.leakage import MEANING
from pamela.evaluation.choices.predictions import CHOICE_PREDICTIONS
from pamela.evaluation.evaluate import DIFFERENCES, EVALUATION
from pamela.evaluation.metrics.image_slices import SLICES
from pamela.evaluation.metrics.subgroup_gaps import GAPS, GROUPS
from pamela.params import Params, load_params
from pamela.training.bundle_files import write_sums
from tests.paths import ROOT

SKILL = {
    "global_mean": 0.0,
    "user_mean": 0.0,
    "group_mean": 0.27,
    "population": 0.36,
    "paper": 0.42,
}
CEILING = {"ideal_population": 0.46, "ideal_observer": 0.58}
MARGINS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SHOTS = (0, 5, 10, 20, 50, 100)


def make_project(root: Path, *, dataset: str = "synthetic", steered: bool = True) -> Project:
    """Write a whole made-up project below `root`."""
    root.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "params.yaml").read_text()
    for default, here in (
        ("datasets: [synthetic]", f"datasets: [{dataset}]"),
        ("champion: hierarchical", "champion: paper"),
    ):
        assert default in text
        text = text.replace(default, here)
    (root / "params.yaml").write_text(text)
    project = Project(root)
    rng = np.random.default_rng(0)
    _data(project, dataset, rng)
    _models(project, rng)
    write_parquet(project.reports / "evaluation.parquet", evaluation(dataset))
    write_parquet(project.reports / "differences.parquet", differences(dataset))
    write_parquet(project.reports / "predictions.parquet", predictions(dataset, rng))
    nothing = CHOICE_PREDICTIONS.to_frame()
    write_parquet(project.reports / "choice_predictions.parquet", nothing)
    write_parquet(project.reports / "slices.parquet", slices(dataset))
    write_parquet(project.reports / "groups.parquet", groups(dataset))
    write_parquet(project.reports / "gaps.parquet", gaps(dataset))
    write_json(project.metrics / "evaluation.json", {"srocc_seen": 0.42, "srocc_unseen": 0.39})
    write_json(project.metrics / "steering.json", steering() if steered else {"skipped": 1})
    write_json(project.reports / "validation.json", validation(dataset))
    return project


def params_of(project: Project) -> Params:
    """Load the made-up project's params."""
    return load_params(project.params_file)


def _row(
    dataset: str,
    model: str,
    population: str,
    shots: int | None,
    metric: str,
    value: float | None,
    margin: float | None = None,
    aggregation: str = "user",
    n: int = 40,
) -> tuple[object, ...]:
    half = 0.02 if population == "seen" else 0.035
    low, high = (None, None) if value is None else (value - half, value + half)
    pairs = 900 if metric == "pairwise_accuracy" else None
    return (
        dataset,
        model,
        population,
        shots,
        metric,
        aggregation,
        margin,
        value,
        low,
        high,
        n,
        pairs,
        "new",
    )


def evaluation(dataset: str) -> pl.DataFrame:
    """Return an evaluation frame of the exact schema with believable numbers."""
    rows = []
    for model, skill in (SKILL | CEILING).items():
        for shots in (None, *SHOTS):
            population = "seen" if shots is None else "unseen"
            gain = 0.0 if shots is None else -0.03 + 0.01 * np.log1p(shots) * (model == "paper")
            level = max(skill + gain, 0.0) if skill else None
            for margin in MARGINS:
                accuracy = 0.5 + (level or 0.0) * (0.42 + 0.09 * margin)
                rows.append(
                    _row(dataset, model, population, shots, "pairwise_accuracy", accuracy, margin)
                )
            rows.append(_row(dataset, model, population, shots, "srocc", level))
            rows.append(_row(dataset, model, population, shots, "plcc", level and level + 0.02))
            rows.append(
                _row(
                    dataset,
                    model,
                    population,
                    shots,
                    "plcc",
                    level and level + 0.1,
                    aggregation="image",
                )
            )
            rows.append(_row(dataset, model, population, shots, "rmse", 1.2 - (level or 0)))
            rows.append(_row(dataset, model, population, shots, "coverage_90", 0.88))
            rows.append(
                _row(
                    dataset,
                    model,
                    population,
                    shots,
                    "conflict_side",
                    0.5 + (level or 0) / 5,
                    aggregation="pooled",
                )
            )
        if model == "paper":
            rows += _people_rows(dataset)
    return pl.DataFrame(rows, schema=EVALUATION, orient="row")


def add_known_pictures(project: Project, dataset: str, people: int = 30) -> None:
    """Add numbers on pictures that others rated: `paper` gains .02 a step over `image_mean`."""
    rows, gaps = [], []
    for step, shots in enumerate(SHOTS):
        levels = {"population": 0.4, "paper": 0.42 + 0.02 * step, "image_mean": 0.42}
        for model, level in levels.items():
            row = _row(dataset, model, "unseen", shots, "srocc", level, n=people)
            rows.append((*row[:-1], "known"))
            if model != "image_mean":
                gain = level - 0.42
                gaps.append((dataset, "unseen", shots, "srocc", model, "image_mean", gain,
                             gain - 0.015, gain + 0.015, people, "known"))  # fmt: skip
    for name, schema, more in (
        ("evaluation", EVALUATION, rows),
        ("differences", DIFFERENCES, gaps),
    ):
        path = project.reports / f"{name}.parquet"
        added = pl.DataFrame(more, schema=schema, orient="row")
        write_parquet(path, pl.concat([pl.read_parquet(path), added]))


def add_choices(project: Project, dataset: str, *, alone: bool = False, people: int = 30) -> None:
    """Add numbers and predictions of choices; with `alone`, in place of those of ratings."""
    places = [("seen", None, "new"), ("unseen", 0, "new"), ("unseen", 5, "new"),
              ("unseen", 0, "known"), ("unseen", 5, "known"), ("unseen", 50, "known")]  # fmt: skip
    level = {"population": 0.6, "paper": 0.64, "bradley_terry": 0.62}
    rows, gaps = [], []
    for population, shots, pictures in places:
        for model, value in level.items():
            if model == "bradley_terry" and pictures == "new":
                continue
            nobody = shots == 50
            for metric, own in (("choice_accuracy", value), ("choice_log_loss", 1.3 - value)):
                for aggregation in ("user", "pooled"):
                    row = _row(dataset, model, population, shots, metric, None if nobody else own,
                               aggregation=aggregation, n=0 if nobody else people)  # fmt: skip
                    rows.append((*row[:-1], pictures))
            if model == "paper" and not nobody:
                gaps.append((dataset, population, shots, "choice_accuracy_pooled", model,
                             "population", 0.04, 0.01, 0.07, people, pictures))  # fmt: skip
    gaps.append((dataset, "unseen", 0, "choice_accuracy_pooled", "paper", "bradley_terry", 0.02,
                 -0.01, 0.05, people, "known"))  # fmt: skip
    for name, schema, more in (
        ("evaluation", EVALUATION, rows),
        ("differences", DIFFERENCES, gaps),
    ):
        path = project.reports / f"{name}.parquet"
        before = pl.read_parquet(path)
        added = pl.DataFrame(more, schema=schema, orient="row")
        write_parquet(path, pl.concat([before.clear() if alone else before, added]))
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, 200)
    chosen = pl.DataFrame(
        {
            "dataset": dataset, "fold": 0, "population": "unseen", "shots": 0,
            "user_id": [f"p{i % 20}" for i in range(200)], "image_a": "1", "image_b": "2",
            "outcome": (rng.random(200) < p).astype(float), "p_a": 0.9 * p, "p_b": 0.9 * (1 - p),
            "p_tie": 0.1, "pictures": "known",
        }
    )  # fmt: skip
    both = [chosen.with_columns(model=pl.lit(m)) for m in ("paper", "bradley_terry")]
    frame = pl.concat(both).select(
        pl.col(name).cast(kind) for name, kind in CHOICE_PREDICTIONS.items()
    )
    write_parquet(project.reports / "choice_predictions.parquet", frame)
    if alone:
        path = project.reports / "predictions.parquet"
        write_parquet(path, pl.read_parquet(path).clear())
        path = project.validated / "ratings.parquet"
        write_parquet(path, pl.read_parquet(path).clear())
    table = project.validated / "choices.parquet"
    given = {s.DATASET: dataset, s.USER: [f"p{i % 20}" for i in range(60)], s.CHOICE: "a"}
    given |= {s.IMAGE_A: [str(i) for i in range(60)], s.IMAGE_B: [str(i - 1) for i in range(60)]}
    rows_of = pl.concat(
        [pl.DataFrame(schema=s.CHOICES_SCHEMA), pl.DataFrame(given)], how="diagonal"
    )
    write_parquet(table / f"{dataset}.parquet", rows_of.select(s.CHOICES_SCHEMA.names()))


def _people_rows(dataset: str) -> list[tuple[object, ...]]:
    """Return what was found by asking `paper` as somebody else."""
    rows = []
    for population, shots in (("seen", None), ("unseen", 20)):
        for metric, own in (("srocc", 0.42), ("pairwise_accuracy", 0.676)):
            for prefix, value in (("generic_", own - 0.05), ("swapped_", own - 0.07),
                                  ("swap_loss_", 0.07)):  # fmt: skip
                rows.append(_row(dataset, "paper", population, shots, prefix + metric, value))
    rows.append(_row(dataset, "paper", "unseen", 20, "share_of_seen_gain", 0.31))
    return rows


def differences(dataset: str) -> pl.DataFrame:
    """Return paired differences of the champion to the baselines."""
    rows = [
        (
            dataset,
            population,
            shots,
            metric,
            "paper",
            baseline,
            0.42 - SKILL[baseline],
            0.40 - SKILL[baseline],
            0.44 - SKILL[baseline],
            40,
            "new",
        )
        for population, shots in (("seen", None), ("unseen", 0))
        for metric in ("srocc", "pairwise_accuracy", "rmse_pooled_relative")
        for baseline in ("population", "group_mean")
    ]
    for part, value in (("_generic", 0.01), ("_personal", 0.05)):
        for metric in ("srocc", "pairwise_accuracy"):
            rows.append((dataset, "seen", None, metric + part, "paper", "population", value,
                         value - 0.02, value + 0.02, 40, "new"))  # fmt: skip
    return pl.DataFrame(rows, schema=DIFFERENCES, orient="row")


def predictions(dataset: str, rng: np.random.Generator, n: int = 400) -> pl.DataFrame:
    """Return calibrated predictions of every model."""
    frames = []
    for model, skill in SKILL.items():
        mean = 3.1 + 1.1 * skill * rng.standard_normal(n)
        rating = np.clip(np.rint(mean + 0.9 * rng.standard_normal(n)), 1, 5)
        frames.append(
            pl.DataFrame(
                {
                    "dataset": dataset,
                    "fold": 0,
                    "model": model,
                    "population": "seen",
                    "shots": pl.Series([None] * n, dtype=pl.Int64),
                    "user_id": [f"p{i % 20}" for i in range(n)],
                    "image_id": [str(i) for i in range(n)],
                    "rating": rating,
                    "mean": mean,
                    "std": np.full(n, 0.95),
                    "pictures": "new",
                }
            )
        )
    return pl.concat(frames)


def slices(dataset: str) -> pl.DataFrame:
    """Return accuracy by type of picture."""
    rows = [
        (dataset, model, "seen", None, "type", level, "pairwise_accuracy", "pooled", 0.0, value,
         value - 0.02, value + 0.02, 20, 500, "new")
        for level, add in (("Art", 0.0), ("Photorealism", 0.03))
        for model, skill in SKILL.items()
        for value in (0.5 + skill / 2 + add,)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=SLICES, orient="row")


def groups(dataset: str) -> pl.DataFrame:
    """Return accuracy by gender."""
    rows = [
        (dataset, "paper", "seen", None, "gender", level, metric, value, value - 0.03,
         value + 0.03, 10, "new")
        for metric in ("srocc", "pairwise_accuracy")
        for level, value in (("female", 0.45), ("male", 0.39))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=GROUPS, orient="row")


def gaps(dataset: str) -> pl.DataFrame:
    """Return the gap between the genders, beyond chance in SROCC alone."""
    rows = [
        (dataset, "paper", "seen", None, "gender", metric, "female", "male", 0.06, 0.03, 0.09,
         0.02, 0.04, p, 2, 20, "new")
        for metric, p in (("srocc", 0.01), ("pairwise_accuracy", 0.4))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=GAPS, orient="row")


def steering() -> dict[str, float]:
    """Return the flat steering metrics."""
    flat: dict[str, float] = {"n_judgments": 1296, "skipped": 0}
    for arm, value in {"none": 951, "population": 1009, "self": 1041, "other": 999}.items():
        flat |= {
            f"elo_{arm}": value,
            f"elo_{arm}_ci_low": value - 18,
            f"elo_{arm}_ci_high": value + 18,
        }
    for arm, value in {"none": 0.63, "population": 0.546, "other": 0.561}.items():
        flat |= {
            f"win_self_{arm}": value,
            f"win_self_{arm}_ci_low": value - 0.04,
            f"win_self_{arm}_ci_high": value + 0.04,
        }
    for name, value in {"generic": 0.72, "personal_other": 0.31, "self": 1.03}.items():
        flat |= {
            f"gain_{name}": value,
            f"gain_{name}_ci_low": value - 0.1,
            f"gain_{name}_ci_high": value + 0.1,
        }
    return flat


def validation(dataset: str) -> dict[str, object]:
    """Return a validation report with a few quarantined rows."""
    return {
        "datasets": {
            dataset: {
                "rows_in": 405,
                "rows_kept": 400,
                "rows_quarantined": 5,
                "quarantined": {"rating_on_scale": 3, "image_known": 2},
                "users": {"rows_in": 20, "rows_kept": 20, "rows_quarantined": 0, "quarantined": {}},
            }
        }
    }


def _data(project: Project, dataset: str, rng: np.random.Generator, n: int = 400) -> None:
    users, images = 20, 60
    ratings = pl.DataFrame(
        {
            s.DATASET: [dataset] * n,
            s.USER: [f"p{i % users}" for i in range(n)],
            s.IMAGE: [str(i % images) for i in range(n)],
            s.RATING: np.clip(np.rint(3.2 + 1.1 * rng.standard_normal(n)), 1, 5),
            s.RATED_AT: None,
            s.POSITION: None,
            s.SPLIT: None,
            s.SOURCE_FILE: "made_up.csv",
            s.SOURCE_ROW: list(range(n)),
        },
        schema=s.RATINGS_SCHEMA,
    )
    kinds = ["Art" if i % 3 == 0 else "Photorealism" for i in range(images)]
    pictures = pl.DataFrame(
        {
            s.DATASET: [dataset] * images,
            s.IMAGE: [str(i) for i in range(images)],
            s.FILE: None,
            s.SHA256: [f"{i:064x}" for i in range(images)],
            s.PROMPT: "a barn",
            s.TYPE: kinds,
            s.GROUP: "landscape",
            s.STYLE: None,
            s.GENERATOR: None,
            s.PROMPT_ID: [str(i) for i in range(images)],
        },
        schema=s.IMAGES_SCHEMA,
    )
    people = pl.DataFrame(
        {
            s.DATASET: [dataset] * users,
            s.USER: [f"p{i}" for i in range(users)],
            "gender": ["female", "male"] * (users // 2),
        }
    )
    for name, frame in (("ratings", ratings), ("images", pictures), ("users", people)):
        write_parquet(project.validated / f"{name}.parquet", frame)
    write_json(
        project.tables / "datasets.json",
        {
            dataset: {
                "scale": [1, 5],
                "features": None,
                "has_images": True,
                "own_splits": True,
                "root": "data/x",
            }
        },
    )
    parts = {
        part: {"rows": rows, "users": count, "images": 20, "sha256": "ab" * 32}
        for part, rows, count in (
            ("train", 250, 16),
            ("val_seen", 40, 16),
            ("val_unseen", 10, 2),
            ("test_seen", 70, 16),
            ("test_unseen", 30, 4),
        )
    }
    write_json(
        project.splits / "splits.json",
        {
            "folds": 1,
            "datasets": {
                dataset: {
                    "folds": 1,
                    "own": True,
                    "parts": {"0": parts},
                    "overlaps": {"0": dict.fromkeys(MEANING, 0) | {"images_in_val_and_test": 3}},
                }
            },
        },
    )
    write_json(
        project.features / "features.json",
        {
            "encoder": "embedded",
            "fingerprint": "f" * 16,
            "image_dim": 8,
            "prompt_dim": 8,
        },
    )


def _models(project: Project, rng: np.random.Generator) -> None:
    for model in SKILL:
        folder = project.models / model / "fold_0"
        folder.mkdir(parents=True)
        write_json(folder / "model.json", {"model": model, "config": {}})
        save_file({"w": rng.standard_normal(4)}, folder / "model.safetensors")
        chosen = {"rank": 8, "cv_correlation": {"rank 4": 0.4, "rank 8": 0.5}}
        write_json(folder / "fit.json", {"rows": {"train": 400}, "chosen": chosen})
        steps = np.arange(0, 500, 50)
        curves = {
            "step": steps,
            "train_loss": 1.2 * np.exp(-steps / 200) + 0.6,
            "val_loss": 1.1 * np.exp(-steps / 150) + 0.7,
            "val_srocc": 0.4 * (1 - np.exp(-steps / 100)),
        }
        frame = (
            pl.DataFrame(curves) if model == "paper" else pl.DataFrame(schema={"step": pl.Int64})
        )
        write_parquet(folder / "history.parquet", frame)
    write_bundle(project, "paper")
    write_json(
        project.models / "training.json",
        {
            "encoder": "f" * 16,
            "folds": 1,
            "models": list(SKILL),
            "champion": "paper",
            "device": "cpu",
        },
    )


def write_bundle(project: Project, model: str) -> Path:
    """Write a stand-in for ``models/bundle`` (the registry treats it as an opaque folder)."""
    from pamela.models.base import model_hash

    bundle = project.models / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(project.models / model / "fold_0", bundle)
    write_json(
        bundle / "bundle.json",
        {
            "format": 3,
            "model": model,
            "model_hash": model_hash(bundle),
            "encoder": {"encoder": "embedded", "fingerprint": "f" * 16},
            "datasets": {"synthetic": {"scale": [1, 5]}},
        },
    )
    learned = {"dataset": "synthetic", "user_id": ["u00", "u01", "u02"]}
    pl.DataFrame(learned).with_columns(in_train=pl.col("user_id") != "u02").write_parquet(
        bundle / "users.parquet"
    )
    write_sums(bundle)
    return bundle
