"""The README's commands in a fresh clone, with the default params on a smaller world.

The world of the release's size is drawn, encoded and learned by `test_correlations.py`.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pamela.params import load_params
from tests.conftest import command_env, must, override_params
from tests.paths import ROOT
from tests.pipeline.test_readme import commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Everything else is the default.
SIZE = {
    "synthetic": {
        "train_users": 20,
        "unseen_users": 8,
        "train_images": 240,
        "heldout_images": 120,
        "ratings": 3_600,
    },
    "steer": {"users": 2, "prompts": 2},
}


@dataclass(frozen=True)
class FullRun:
    """A fresh clone in which `make repro` ran, and what that printed."""

    clone: Path
    make: tuple[str, ...]
    printed: str


@pytest.fixture(scope="module")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> FullRun:
    """Clone the repository and run `make repro`; the clone shares this environment."""
    clone = tmp_path_factory.mktemp("full") / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    override_params(clone, SIZE)
    venv = Path(sys.prefix)
    make = ("make", f"VENV={venv}", "-o", f"{venv}/.installed")  # never installed anew from here
    return FullRun(clone, make, must(clone, *make, "repro", timeout=1500, COLUMNS="80"))


def test_the_readmes_commands_work_in_a_fresh_clone(full_run):
    """`make repro`, then scoring."""
    assert "make repro" in commands()
    for word in ("paper", "population", "noise_ceiling", "Elo", "make ui"):
        assert word in full_run.printed
    table = pl.read_parquet(full_run.clone / "reports/evaluation.parquet")
    models = load_params(ROOT / "params.yaml").train.models
    told = table.filter(
        pl.col("model").is_in(models), population="unseen", metric="srocc", pictures="new"
    )
    assert set(told["model"]) == set(models)
    assert told.filter(shots=5, aggregation="user")["value"].null_count() == 0
    assert "0 stages" in must(full_run.clone, *full_run.make, "repro", timeout=300)
    _scores_as_the_readme_says(full_run.clone)


def _scores_as_the_readme_says(clone: Path) -> None:
    code = """
import pamela
from pathlib import Path
reward = pamela.load("models:/pamela@champion")
pictures = sorted(Path("data/synthetic").rglob("*.jpg"))[:100]
user = reward.users[0]
one = reward.score(user=user, prompt="a red barn at dusk", images=pictures)
assert one == reward.score(user=user.split("/")[1], prompt="a red barn at dusk", images=pictures)
assert one[:3] != reward.score(user=None, images=pictures[:3])
print(len(one), user)
"""
    count, user = must(clone, "python", "-c", code).split()
    assert count == "100"
    line = next(c for c in commands() if c.startswith("pamela score"))
    picture = next(iter(sorted((clone / "data/synthetic").rglob("*.jpg"))))
    words = line.replace("synthetic/USER", user).replace("picture.png", str(picture))
    done = subprocess.run(
        ["bash", "-c", words], cwd=clone, env=command_env(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert '"percentile"' in done.stdout
