"""Are explanations true? Where the raters' tastes are known: ``python -m benchmarks.explanations``.

In a project whose champion was trained on the embedded world: every training rater is explained
(`pamela.explain.explainer`: model, features and encoder alone), and each concept's effect is
compared with the same effect in the truth (`data/truth`). Prints a table; ``--here`` also writes
``reports/explanations_truth.json``.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet, write_json
from pamela.core.paths import Project
from pamela.core.progress import progress
from pamela.explain.item_properties import USUAL
from pamela.serving.api import Reward
from pamela.synthetic import vocabulary as v
from pamela.synthetic.raters import utility
from pamela.synthetic.raters.world import World, scenes_of
from pamela.training.bundle import load_bundle
from pamela.training.train import BUNDLE

DATASET = "synthetic"
SHUFFLES = 1000
LIGHTING_OF = {phrases[0]: name for name, phrases in v.LIGHTINGS.items()}


def true_effects(world: World, images: pl.DataFrame, users: list[str]) -> dict[str, Floats]:
    """Return the effect of every attribute and lighting on each rater's personal part, (users,).

    Parameters
    ----------
    images : rows of ``data/truth/images.parquet``, the pictures that are explained on.

    Notes
    -----
    The personal part is the rater's noise-free opinion on their own use of the scale less what
    people think on average. An attribute's effect is its slope over the pictures that show it,
    times the way from its 10th to its 90th percentile; a lighting's is the mean under it less the
    mean under the others, times the share of pictures that a word for it would move (none is
    needed for a correlation).
    """
    scenes = scenes_of(images)
    shared = world.shared_utility(scenes)
    rows = world.rows_of(users)
    stretch = rows.get_column("stretch").to_numpy()[:, None]
    own = np.stack(rows.get_column("weights").to_list()) @ utility.design(scenes).T
    part = stretch * (shared + own) - shared
    found = {}
    for name in v.ATTRIBUTES:
        value = images[name].to_numpy().astype(float)
        shown = np.isfinite(value)
        low, high = np.quantile(value[shown], USUAL)
        found[name] = (high - low) * _slopes(part[:, shown], value[shown])
    lit = images["lighting"].is_not_null().to_numpy()
    for name in v.LIGHTINGS:
        under = (images["lighting"] == name).fill_null(False).to_numpy().astype(float)
        found[f"lighting:{name}"] = _slopes(part[:, lit], under[lit])
    return found


def _slopes(part: Floats, value: Floats) -> Floats:
    centred = value - value.mean()
    found: Floats = part @ centred / (centred @ centred)
    return found


def explained_effects(reward: Reward, users: list[str]) -> pl.DataFrame:
    """Return user, name (of the attribute or lighting) and the explained effect with interval."""
    tables = []
    with progress("explain raters", len(users)) as advance:
        for user in users:
            concepts = reward.explain(user=f"{DATASET}/{user}").concepts
            lit = "lighting:" + pl.col("high").replace_strict(LIGHTING_OF, default="")
            name = pl.when(pl.col("theme") == "lighting").then(lit).otherwise("theme")
            tables.append(concepts.with_columns(name=name, user=pl.lit(user)))
            advance(1)
    return pl.concat(tables)


def compare(explained: pl.DataFrame, truth: dict[str, Floats], users: list[str]) -> pl.DataFrame:
    """Return per concept: correlation over raters; how often it is named right.

    Returns
    -------
    DataFrame: name, correlation, alone (that of one-at-a-time effects), chance (95 % of shuffled
    raters correlate less), slope (explained per true point), clear (share of raters whose interval
    leaves out zero), right (share of those whose sign is the true one), covered (share of
    intervals that hold the true effect; attributes only).
    """
    rng = np.random.default_rng(0)
    rows = []
    for name, true in truth.items():
        mine = explained.filter(pl.col("name") == name)
        order = pl.DataFrame({"user": users}).join(
            mine, on="user", how="left", maintain_order="left"
        )
        effect, low, high = (order[c].to_numpy() for c in ("effect", "ci_low", "ci_high"))
        shuffled = [np.corrcoef(rng.permutation(effect), true)[0, 1] for _ in range(SHUFFLES)]
        sure = (low > 0) | (high < 0)
        rows.append(
            {
                "name": name,
                "correlation": float(np.corrcoef(effect, true)[0, 1]),
                "alone": float(np.corrcoef(order["alone"].to_numpy(), true)[0, 1]),
                "chance": float(np.quantile(shuffled, 0.95)),
                "slope": float(_slopes(effect[None, :], true)[0]),
                "spread": float(true.std()),
                "clear": float(sure.mean()),
                "right": float((np.sign(effect) == np.sign(true))[sure].mean())
                if sure.any() else None,
                "covered": float(((low <= true) & (true <= high)).mean())
                if not name.startswith("lighting") else None,
            }
        )  # fmt: skip
    return pl.DataFrame(rows)


def measure(project: Project) -> pl.DataFrame:
    """Explain every training rater of the project's champion and compare with the truth."""
    if not (project.truth / "world.json").is_file():
        raise PamelaError(f"{project.truth}: no embedded world; set ingest.datasets: [synthetic]")
    bundle = load_bundle(project.models / BUNDLE)
    reward = Reward(bundle)
    own = (bundle.people.frame[s.DATASET] == DATASET).to_numpy() & bundle.in_train_people
    users = bundle.people.frame.filter(pl.Series(own))[s.USER].to_list()
    pictures = reward.explainer.image_properties(DATASET).items.frame.select(s.IMAGE)
    images = pictures.join(
        read_parquet(project.truth / "images.parquet"), on=s.IMAGE, how="left",
        maintain_order="left",
    )  # fmt: skip
    truth = true_effects(World.load(project.truth), images, users)
    return compare(explained_effects(reward, users), truth, users)


def main() -> None:
    """Print the table; with ``--here`` write it beside the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true", help="write reports/explanations_truth.json")
    here = parser.parse_args().here
    project = Project.here()
    found = measure(project)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=120, float_precision=2):
        print(found)
    if here:
        rows: list[dict[str, Any]] = found.to_dicts()
        write_json(project.reports / "explanations_truth.json", rows)


if __name__ == "__main__":
    main()
