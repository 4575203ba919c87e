"""New ratings retrain the model, in a project of their own.

The batch that makes the challenger better and the faults go by the real commands; what else the
gate decides is run in this process.

The slow part feeds a batch that truly makes the challenger better, then one that makes it worse.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from tests.conftest import must, override_params, run_in
from tests.helpers.stages import run_cycle
from tests.helpers.taste_project import TRAINED, Planted, first_run, write_tables

# --- the cycle --------------------------------------------------------------------------------


def champion(project: Path) -> str:
    """Return the version that the alias points at."""
    with sqlite3.connect(project / "mlflow.db") as db:
        ((version,),) = db.execute(
            "select version from registered_model_aliases where name = 'pamela' "
            "and alias = 'champion'"
        )
    return str(version)


def retrain(project: Path, **env: str) -> str:
    """Run a cycle and return its last line."""
    out = must(project, "python", "-m", "flows.retrain", "--once", **env)
    return out.strip().splitlines()[-1]


def record(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "reports" / "gate.json").read_text())
    return found


def actions(project: Path) -> list[str]:
    lines = (project / "reports" / "promotions.jsonl").read_text().splitlines()
    return [json.loads(line)["action"] for line in lines]


def gain(found: dict[str, Any], rows_of: str) -> dict[str, Any]:
    (row,) = [c for c in found["checks"] if c["kind"] == "gain" and c["rows_of"] == rows_of]
    return row


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def project(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ran once on few, random training ratings: version 1 is the champion."""
    return first_run(tmp_path_factory.mktemp("retrain"), planted)


def score_now(project: Path) -> float:
    """Score the challenger on the hold-out as imported, by scipy and nothing of the gate."""
    from pamela.core.dataset import Pairs, load_fold
    from pamela.core.paths import Project
    from pamela.training.bundle import load_evaluated

    fold = load_fold(Project(project), 0)  # every batch here is on training pictures
    pairs = Pairs.concat(fold["test_seen"], fold["test_unseen"])
    mean = load_evaluated(project / "challenger" / "bundle").model.predict(
        fold.items, fold.people, pairs
    ).mean  # fmt: skip
    per_user = [
        spearmanr(np.round(mean[pairs.user == u], 6), pairs.rating[pairs.user == u]).statistic
        for u in np.unique(pairs.user)
    ]
    return float(np.mean(per_user))


def trained_on(project: Path) -> dict[str, int]:
    """Return how many ratings of each batch the training tables hold, and of the import."""
    files = (project / "data" / "validated" / "ratings.parquet").glob("*.parquet")
    return {file.stem: pl.scan_parquet(file).select(pl.len()).collect().item() for file in files}


def head(project: Path) -> str:
    return must(project, "git", "rev-parse", "HEAD").strip()


@pytest.mark.slow
@pytest.mark.timeout(1800)
class TestCycle:
    """The tests run in the order written, each on what the one before left."""

    def test_empty_inbox_is_said_and_starts_nothing(self, project: Path) -> None:
        assert retrain(project) == "nothing to do: no complete batch in data/inbox"
        assert not (project / ".prefect" / "server.log").exists()
        assert champion(project) == "1"

    def test_batch_that_makes_it_better_moves_the_alias(
        self, project: Path, planted: Planted
    ) -> None:
        users = [f"u{k:02d}" for k in range(TRAINED)]
        batch = planted.batch(project / "data/inbox/planted/good", users, 60, 1)
        (batch / "_DONE").unlink()
        assert "left there: planted/good (without _DONE)" in retrain(project)
        assert batch.is_dir()
        (batch / "_DONE").touch()
        commit, models = head(project), (project / "models/training.json").stat().st_mtime_ns
        line = retrain(project)
        assert line.startswith("PROMOTE version 2 over version 1: SROCC ")
        assert champion(project) == "2"
        found = record(project)
        assert (found["outcome"], found["state"], found["group"]) == (
            "PROMOTE", "done", ["planted/good"],
        )  # fmt: skip
        row = gain(found, "frozen hold-out")
        assert row["ci_low"] > 0.1
        assert row["challenger"] == pytest.approx(score_now(project), abs=1e-6)
        newest = gain(found, "newest")
        assert 0.1 < newest["rows"] / (TRAINED * 60) < 0.3
        assert newest["rows"] == found["newest"]
        assert (project / ".prefect" / "server.log").is_file()
        for side in ("champion", "challenger"):
            assert f"{found[side]['srocc']:.3f}" in line
        drift = json.loads((project / "reports/drift.json").read_text())
        assert (drift["champion"], drift["batches"]) == ("1", ["planted/good"])
        assert {"ratings", "pictures", "srocc"} <= {one["kind"] for one in drift["measures"]}
        assert "planted/good" in (project / "reports/retraining.html").read_text()
        assert not batch.exists()
        assert (project / "data/batches/planted/good.dvc").is_file()
        assert head(project) == commit, "retrain.commit is false"
        assert (project / "models/training.json").stat().st_mtime_ns == models
        assert actions(project)[-1] == "promote"

    def test_of_two_batches_the_one_that_makes_it_worse_is_set_aside(
        self, project: Path, planted: Planted, capsys: pytest.CaptureFixture[str]
    ) -> None:
        earlier = record(project)
        spoilt = {**earlier, "challenger": {**earlier["challenger"], "srocc": 0.999}}
        (project / "reports" / "gate.json").write_text(json.dumps(spoilt))
        users = [f"u{k:02d}" for k in range(TRAINED)] + [f"new{k:02d}" for k in range(60)]
        planted.batch(project / "data/inbox/planted/bad", users, 100, -1)
        more = [f"more{k}" for k in range(20)]
        honest = planted.batch(project / "data/inbox/planted/honest", more, 60, 1)
        chosen = "user_id,image_a,image_b,choice\nmore0,i000,i001,tie\nmore0,i000,i001,a\n"
        (honest / "choices.csv").write_text(chosen)
        capsys.readouterr()
        run_cycle(project)
        out = capsys.readouterr().out
        both, bad, last = [line for line in out.splitlines() if ": " in line][-3:]
        assert both.startswith("REJECT: version 2 stays against version 3: SROCC")
        assert "; worse: planted: SROCC -" in both
        assert both.endswith("; set aside: planted/bad, planted/honest")
        assert bad.startswith("REJECT: version 2 stays")
        assert bad.endswith("; set aside: planted/bad")
        assert last.startswith(("HOLD: version 2 stays", "PROMOTE version 5"))
        found = record(project)
        assert (found["group"], found["to_try"]) == (["planted/honest"], [])
        # the same hold-out, scored again: what the challenger had then, the champion has now
        champion_now = found["champion"]
        assert champion_now["srocc"] == pytest.approx(earlier["challenger"]["srocc"])
        assert champion_now["model_hash"] == earlier["challenger"]["model_hash"]
        assert gain(found, "frozen hold-out")["rows"] == gain(earlier, "frozen hold-out")["rows"]
        assert set(trained_on(project)) == {"planted", "planted@good", "planted@honest"}
        choices = pl.read_parquet(project / "data/splits/choices.parquet")
        assert choices["part_0"].to_list() == ["train", "train"]
        assert (project / "data/set_aside/planted/bad.dvc").is_file()
        aside = json.loads((project / "data/set_aside/planted/bad.json").read_text())
        assert "worse: planted: SROCC -" in aside["why"]
        assert actions(project)[-3:-1] == ["reject", "reject"]
        assert retrain(project) == "nothing to do: no complete batch in data/inbox"

    def test_refused_batch_changes_nothing(self, project: Path, prefect_api: str) -> None:
        before = record(project)
        write_tables(
            project / "data/inbox/planted/off",
            pl.DataFrame({"user_id": ["u00"], "image_id": ["i000"], "rating": [9]}),
        )
        (project / "data/inbox/planted/off/_DONE").touch()
        env = {"PREFECT_API_URL": prefect_api}
        done = run_in(project, "python", "-m", "flows.retrain", "--once", **env)
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "rating_off_scale" in errors[0]
        assert "Traceback" not in done.stdout + done.stderr
        assert (project / "data/inbox/planted/off/_REFUSED").is_file()
        assert not (project / "data/batches/planted/off").exists()
        assert record(project) == before
        assert "planted/off (refused, see its _REFUSED)" in retrain(project)

    def test_failed_stage_leaves_the_champion_and_is_finished_later(
        self, project: Path, planted: Planted, prefect_api: str
    ) -> None:
        env = {"PREFECT_API_URL": prefect_api}
        planted.batch(project / "data/inbox/planted/last", [f"last{k}" for k in range(20)], 60, 1)
        stage = project / "flows" / "split.py"
        code = stage.read_text()
        stage.write_text(
            "import sys\nprint('error: a planted fault', file=sys.stderr)\nsys.exit(1)\n"
        )
        before, serves = record(project), champion(project)
        done = run_in(project, "python", "-m", "flows.retrain", "--once", **env)
        assert done.returncode == 1
        assert "error: a planted fault" in done.stderr
        assert "`pamela retrain --once` again" in done.stderr
        assert (project / "data/batches/planted/last.dvc").is_file()
        assert (champion(project), record(project)) == (serves, before)

        stage.write_text(code)
        override_params(project, {"retrain": {"commit": True}})
        commit = head(project)
        line = retrain(project, **env)  # the inbox is empty now: the cycle is finished all the same
        found = record(project)
        assert found["group"] == ["planted/last"]
        promoted = f"PROMOTE version {champion(project)} over version {serves}"
        assert line.split(":")[0] in ("HOLD", promoted), line
        assert head(project) != commit
        assert line.split(":")[0] in must(project, "git", "log", "-1", "--format=%s")
        changed = must(project, "git", "show", "--name-only", "--format=", "HEAD").split()
        assert {"dvc.lock", "data/batches/planted/last.dvc"} <= set(changed)
        assert "data/set_aside/planted/bad.dvc" in changed
        assert "params.yaml" not in changed

    def test_changed_batch_is_an_error(
        self, project: Path, planted: Planted, prefect_api: str
    ) -> None:
        accepted = project / "data/batches/planted/good/ratings.csv"
        text = accepted.read_text()
        planted.batch(project / "data/inbox/planted/late", ["u00"], 5, 1)
        accepted.unlink()
        accepted.write_text(text + "u00,i000,1\n")
        env = {"PREFECT_API_URL": prefect_api}
        done = run_in(project, "python", "-m", "flows.retrain", "--once", **env)
        assert done.returncode == 1
        assert "data/batches/planted/good" in done.stderr
        assert "checkout --force" not in done.stderr  # E5: it would delete the only copy
