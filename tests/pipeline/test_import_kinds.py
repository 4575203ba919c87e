"""Every release layout, as a miniature made on the spot, from `pamela import` to the report."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pamela.cli.app import app
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from tests.conftest import copy_project, override_params, run_in
from tests.helpers.choice_releases import pick_a_pic
from tests.helpers.miniatures import MINIATURES, Planted
from tests.helpers.stages import run_stages
from tests.helpers.survey_exports import label_studio, long_csv

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALL = {
    "split": {"folds": 2},
    "train": {"models": ["group_mean", "population"], "champion": "population", "cv_folds": 2,
              "cv_trials": 2, "max_epochs": 2},
    "evaluate": {"bootstrap": 100, "shots": [0, 5]},
    "steer": {"bootstrap": 100},
}  # fmt: skip
NAME = "brought"
LONG = (
    "user_id=Participant id,image_id=Stimulus,file=Url,"
    "rating=How much do you like it, from 1 to 7?,rated_at=Answered at"
)


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as target:
        for file in sorted(folder.rglob("*")):
            target.write(file, file.relative_to(folder))
    return path


def bring(kind: str, source: Path) -> Result:
    return CliRunner().invoke(app, ["import", kind, str(source), "--name", NAME, "--use"])


@pytest.mark.parametrize("layout", sorted(MINIATURES))
def test_a_release_goes_from_import_to_report(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = MINIATURES[layout](tmp_path / "src", users=24, images=48)
    source = tmp_path / "src"
    if layout == "pamela":
        source = zipped(source, tmp_path / "PAMELA.zip")
    project = copy_project(tmp_path / "project", SMALL)
    before = (project / "params.yaml").read_text()

    monkeypatch.chdir(project)
    done = bring(planted.kind, source)
    assert done.exit_code == 0, done.output
    assert f"{planted.ratings} on a scale of" in done.output
    changed = set((project / "params.yaml").read_text().splitlines()) - set(before.splitlines())
    assert [line.strip() for line in changed] == [f"- {NAME}"]
    _check_tracked_once(project)
    run_stages(project)

    _check_quarantine(project, planted)
    _check_splits(project, planted)
    evaluation = pl.read_parquet(project / "reports/evaluation.parquet")
    assert evaluation["dataset"].unique().to_list() == [NAME]
    assert {"group_mean", "population"} <= set(evaluation["model"])
    told = evaluation.filter(model="population", metric="srocc", population="seen")
    assert told["value"].null_count() == 0
    assert NAME in (project / "reports/index.html").read_text()


@pytest.mark.parametrize("tool", ["label-studio", "survey"])
def test_an_export_goes_from_import_to_report(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tool == "survey":
        export = long_csv(tmp_path / "src", stimuli=40)
        said = ["tables", export.file, "--scale", "1,7", "--demographics", "Sex,Age", "--map", LONG]
    else:
        export = label_studio(tmp_path / "src", people=12, tasks=40)
        said = ["label-studio", export.file, "--scale", "1,5"]
    project = copy_project(tmp_path / "project", SMALL)
    monkeypatch.chdir(project)
    words = [*said, "--pictures", export.pictures, "--name", NAME, "--use"]
    done = CliRunner().invoke(app, ["import", *map(str, words)])
    assert done.exit_code == 0, done.output
    run_stages(project)
    kept = pl.read_parquet(project / "data/validated/ratings.parquet")
    assert sorted(kept.select(s.USER, s.IMAGE, s.RATING).rows()) == sorted(export.ratings)
    told = pl.read_parquet(project / "reports/evaluation.parquet").filter(model="population")
    assert told["value"].count() > 0
    assert NAME in (project / "reports/index.html").read_text()


def test_a_release_of_choices_goes_from_import_to_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = pick_a_pic(tmp_path / "src", users=12, prompts=12)
    project = copy_project(tmp_path / "project", SMALL)
    monkeypatch.chdir(project)
    done = bring("pick-a-pic", tmp_path / "src")
    assert done.exit_code == 0, done.output
    assert f"{len(told)} between two images" in done.output
    _check_tracked_once(project)
    run_stages(project, "ingest", "validate", "split", "embed", "train", "evaluate")
    kept = pl.read_parquet(project / "data/validated/choices.parquet")
    assert sorted(kept.select(s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE).rows()) == sorted(told)
    assert f"{len(told)} choices between two of" in (project / "reports/data.html").read_text()


def _check_tracked_once(project: Path) -> None:
    """Each file of the dataset is one with its copy in DVC's cache: the bytes are there once."""
    assert (project / "data/raw" / f"{NAME}.dvc").is_file()
    files = [p for p in (project / "data/raw" / NAME).rglob("*") if p.is_file()]
    assert files
    assert all(path.stat().st_nlink >= 2 for path in files if path.stat().st_size)


def _check_quarantine(project: Path, planted: Planted) -> None:
    """Nothing is lost: what went in is kept or quarantined, by the rules that were planted."""
    report = json.loads((project / "reports/validation.json").read_text())["datasets"][NAME]
    kept = pl.read_parquet(project / "data/validated/ratings.parquet")
    bad = pl.read_parquet(project / "data/quarantine" / NAME / "ratings.parquet")
    assert kept.height + bad.height == report["rows_in"] == planted.ratings
    assert dict(bad.group_by("rule").len().iter_rows()) == planted.faulty
    assert kept.height == planted.kept
    images = pl.read_parquet(project / "data/quarantine" / NAME / "images.parquet")
    assert dict(images.group_by("rule").len().iter_rows()) == planted.faulty_images
    named = {*kept["source_file"], *bad["source_file"]}
    assert all((project / file).is_file() for file in named)  # the original files, as imported


def _check_splits(project: Path, planted: Planted) -> None:
    record = json.loads((project / "data/splits/splits.json").read_text())["datasets"][NAME]
    assert record["own"] == bool(planted.splits)
    if not planted.splits:
        assert record["folds"] == SMALL["split"]["folds"]
        return
    bad = pl.read_parquet(project / "data/quarantine" / NAME / "ratings.parquet")
    lost = dict(bad.group_by(s.SPLIT).len().iter_rows())
    rows = {part: entry["rows"] for part, entry in record["parts"]["0"].items()}
    assert rows == {part: n - lost.get(part, 0) for part, n in planted.splits.items()}
    assert set(record["overlaps"]["0"].values()) == {0}


def test_the_command_fails_with_one_line_and_leaves_the_params_alone(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    before = (project / "params.yaml").read_bytes()
    (tmp_path / "src").mkdir()
    done = run_in(project, "python", "-m", "pamela.cli", "import", "para", str(tmp_path / "src"),
                  "--name", NAME, "--use")  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert (project / "params.yaml").read_bytes() == before
    assert sorted(p.name for p in (project / "data/raw").iterdir()) == [".gitkeep"]

    override_params(project, {"ingest": {"datasets": ["gone"]}})
    with pytest.raises(PamelaError, match="run `pamela import KIND SRC --name gone`"):
        run_stages(project, "ingest")
