"""End to end on the smoke-sized world: one run of everything, then what must follow from it.

The run takes about a minute and a half; the tests after it change one thing each and see what
reruns. They run in the order written. No more is run than answers the question.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import polars as pl
import pytest

import pamela
from pamela.core.paths import Project
from pamela.core.split_rows import read_fold_rows
from tests.conftest import copy_project, must, override_params, run_in
from tests.helpers import yaml
from tests.helpers.smoke import SMOKE

pytestmark = pytest.mark.timeout(900)
SECRET = "made:up-secret-7d1f"  # noqa: S105, a name and a password, as Prefect wants it
SECRETS = (
    "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY",
)  # fmt: skip
STAGES = ["ingest", "validate", "split", "embed", "train", "evaluate", "steer", "report"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("smoke") / "project", SMOKE)


@pytest.fixture(scope="module")
def first_run(project) -> str:
    must(project, "git", "remote", "add", "origin", f"https://ann:{SECRET}@git.example/x.git")
    remote = f"['remote \"elsewhere\"']\n    url = webdavs://ann:{SECRET}@data.example/x\n"
    (project / ".dvc" / "config.local").write_text(remote)
    return must(
        project, "python", "-m", "flows.pipeline", COLUMNS="80", **dict.fromkeys(SECRETS, SECRET)
    )


def stages_run(output: str) -> list[str]:
    return [name for name in STAGES if f"Running stage '{name}'" in output]


def test_one_command_ends_with_the_tables(project, first_run):
    assert stages_run(first_run) == STAGES
    for word in ("population", "paper", "seen", "unseen", "Elo", "make ui"):
        assert word in first_run
    assert max(len(line) for line in first_run.splitlines() if "│" in line or "─" in line) <= 80


def test_what_the_environment_keeps_secret_is_written_nowhere(project, first_run):
    """Nor what git and DVC know of their remotes: not in pages, databases, records and logs."""
    known = {project / ".git" / "config", project / ".dvc" / "config.local"}
    files = [path for path in project.rglob("*") if path.is_file() and path not in known]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert SECRET not in first_run


def test_every_table_of_the_design_is_there(project, first_run):
    ratings = pl.read_parquet(project / "data/tables/ratings.parquet")
    assert abs(ratings.height / SMOKE["synthetic"]["ratings"] - 1) < 0.02
    evaluation = pl.read_parquet(project / "reports/evaluation.parquet")
    assert evaluation.columns == [
        "dataset", "model", "population", "shots", "metric", "aggregation", "margin",
        "value", "ci_low", "ci_high", "n_users", "n_pairs", "pictures",
    ]  # fmt: skip
    models = {"global_mean", "user_mean", "group_mean", "population", "paper", "noise_ceiling"}
    assert models <= set(evaluation["model"])
    seen = evaluation.filter(pl.col("population") == "seen")
    unseen = evaluation.filter(pl.col("population") == "unseen")
    assert set(unseen["pictures"]) == {"new", "known"}
    assert seen["shots"].null_count() == seen.height
    assert set(unseen["shots"]) == {0, 5, 10, 20, 50, 100}
    headline = json.loads((project / "metrics/evaluation.json").read_text())
    assert 0 < len(headline) < 25
    steering = json.loads((project / "metrics/steering.json").read_text())
    names = {f"win_self_{x}{y}" for x in ("none", "population", "other")
             for y in ("", "_ci_low", "_ci_high")}  # fmt: skip
    assert names <= set(steering)
    judged = pl.read_parquet(project / "reports/steering.parquet").filter(kind="judgment")
    assert judged.height == steering["n_judgments"]
    assert (project / "reports/index.html").stat().st_size > 50_000
    assert (project / "MODEL_CARD.md").read_text().startswith("#")


def test_nothing_stays_running_and_every_stage_left_flow_and_task_runs(project, first_run):
    for pid in Path("/proc").glob("[0-9]*"):
        try:
            cwd = str((pid / "cwd").readlink())
        except OSError:
            continue
        assert not cwd.startswith(str(project)), (pid / "cmdline").read_text()
    with sqlite3.connect(project / ".prefect" / "prefect.db") as db:
        rows = db.execute(
            "select f.name, count(t.id) from flow f join flow_run r on r.flow_id = f.id "
            "left join task_run t on t.flow_run_id = r.id "
            "where r.state_type = 'COMPLETED' group by f.name"
        )
        flows = dict(rows.fetchall())
    assert set(STAGES) <= set(flows)
    assert all(flows[name] >= 1 for name in STAGES), flows


def test_a_second_run_does_nothing_and_starts_no_server(project, first_run):
    before = (project / ".prefect" / "server.log").stat().st_mtime_ns
    assert "0 stages" in must(project, "python", "-m", "flows.pipeline")
    assert (project / ".prefect" / "server.log").stat().st_mtime_ns == before


def test_scores_from_elsewhere_are_a_row_beside_the_same_numbers(project, first_run, prefect_api):
    """No model is fitted again; a bare `dvc repro` against a server that runs already."""
    before = pl.read_parquet(project / "reports/evaluation.parquet")
    images = pl.read_parquet(project / "data/validated/images.parquet")["image_id"]
    (project / "scores").mkdir()
    scores = pl.DataFrame({"image_id": images, "score": range(images.len())})
    scores.write_csv(project / "scores/hps.csv")
    override_params(project, {"evaluate": {"external": {"hps": "scores/hps.csv"}}})
    repro = ("python", "-m", "dvc", "repro", "report")
    output = must(project, *repro, PREFECT_API_URL=prefect_api)
    assert stages_run(output) == ["evaluate", "report"]
    assert f"hps: {images.len()} scores of {images.len()} pictures" in output
    after = pl.read_parquet(project / "reports/evaluation.parquet")
    assert after.filter(pl.col("model") != "hps").equals(before)
    for table in ("evaluation", "slices", "predictions"):
        rows = pl.read_parquet(project / f"reports/{table}.parquet").filter(model="hps")
        assert rows.height, table
    differences = pl.read_parquet(project / "reports/differences.parquet")
    assert differences.filter(model="hierarchical", baseline="hps", metric="srocc").height
    assert "| `hps` |" in (project / "MODEL_CARD.md").read_text()
    assert "Against scores from elsewhere" in (project / "reports/index.html").read_text()
    assert must(project, "python", "-m", "dvc", "status", "--json").strip() == "{}"


def test_the_champion_scores(project, first_run):
    picture = sorted((project / "data/synthetic/PAMELA/images").rglob("*.jpg"))[0]
    users = pl.read_parquet(project / "data/splits/users.parquet")
    seen = users.filter(pl.col("side") == "train")["user_id"][0]
    out = must(project, "python", "-m", "pamela.cli", "score", "--user", seen, str(picture))
    score = json.loads(out)
    names = {"image", "rating", "std", "percentile", "source", "model_version", "prompt_cut"}
    assert set(score) == names | {"standardised", "evaluated_version"}
    assert score["model_version"] != score["evaluated_version"]
    assert score["source"] == "seen"
    assert 1 <= score["rating"] <= 5
    assert score["std"] > 0
    assert 0 <= score["percentile"] <= 100
    for words, says in [
        (["--user", "nobody", str(picture)], "unknown user 'nobody'"),
        (["--user", seen, str(picture), "gone.jpg"], "image 2 (gone.jpg): No such file"),
        (["--model", "models:/pamela@best", str(picture)], "best"),
    ]:
        done = run_in(project, "python", "-m", "pamela.cli", "score", *words)
        assert done.returncode == 1
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_deleted_registry_heals_without_running_a_stage(project, first_run, monkeypatch):
    (project / "mlflow.db").unlink()
    shutil.rmtree(project / "mlartifacts")
    assert "0 stages" in must(project, "python", "-m", "flows.pipeline")
    champion = yaml.safe_load((project / "params.yaml").read_text())["train"]["champion"]
    monkeypatch.chdir(project)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert pamela.load("models:/pamela@champion").version.startswith(f"{champion}-")


def test_new_rows_are_not_encoded_again(project, first_run, prefect_api):
    """A batch of more ratings on known training pictures; `train` is then stale and `embed` not.

    By a bare `dvc repro` against a server that runs already.
    """
    server = (project / ".prefect" / "server.log").stat().st_mtime_ns
    splits = read_fold_rows(Project(project), 0)
    rated = splits.filter(pl.col("part") == "train")
    user = rated["user_id"][0]
    fresh = rated.filter(~pl.col("image_id").is_in(
        rated.filter(pl.col("user_id") == user)["image_id"].implode()
    ))["image_id"].unique().sort()[:5]  # fmt: skip
    batch = project / "data/batches/synthetic/b1"
    batch.mkdir(parents=True)
    (batch / "dataset.yaml").write_text(yaml.safe_dump({"name": "synthetic", "scale": [1, 5]}))
    pl.DataFrame({"user_id": [user] * 5, "image_id": fresh, "rating": [3] * 5}).write_csv(
        batch / "ratings.csv"
    )
    encoded = (project / "data/features/image.npy").stat().st_mtime_ns
    repro = ("python", "-m", "dvc", "repro", "split", "embed")
    output = must(project, *repro, PREFECT_API_URL=prefect_api)
    assert (project / ".prefect" / "server.log").stat().st_mtime_ns == server
    assert stages_run(output) == ["ingest", "validate", "split"]
    stale = json.loads(must(project, "python", "-m", "dvc", "status", "--json"))
    assert "train" in stale
    assert "embed" not in stale
    assert (project / "data/features/image.npy").stat().st_mtime_ns == encoded
    grown = read_fold_rows(Project(project), 0)
    assert grown.height == splits.height + 5
    assert grown.filter(pl.col("part") != "train").equals(splits.filter(pl.col("part") != "train"))


def test_a_fault_stops_the_run_with_one_line(project, first_run, prefect_api):
    override_params(project, {"ingest": {"datasets": ["elsewhere"]}})
    done = run_in(project, "python", "-m", "flows.pipeline", PREFECT_API_URL=prefect_api)
    assert done.returncode == 1
    assert "error: data/raw/elsewhere: no such folder" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
