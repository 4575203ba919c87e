"""`pamela score` and `pamela suggest`: what they say, and their faults in a line."""

from __future__ import annotations

import json
import re
import time
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import pamela
from flows.server import free_port
from pamela.cli import app
from pamela.cli.people.suggest import print_suggestions
from pamela.cli.people.summary import AdaptationSummary, print_learned
from pamela.cli.recommend import print_ranked
from pamela.params import load_params
from pamela.serving.types import Score
from tests.helpers.people_commands import (
    BUNDLE,
    adapt,
    fault,
    pamela_command,
)


def test_a_prompt_that_is_cut_is_one_line(small_project, monkeypatch, capfd):
    words = ["pamela", "score", *BUNDLE, "--prompt", "a red barn at dusk, " * 12, "barn.png"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 0
    out, err = capfd.readouterr()
    assert err.startswith("warning: 1 of 1 new prompts is longer than the 52 tokens")
    assert len(err.splitlines()) == 1
    assert json.loads(out)["prompt_cut"] is True


def test_a_missing_package_is_one_line(small_project, monkeypatch, capfd):
    monkeypatch.setattr("sys.argv", ["pamela", "retrain", "--once"])
    monkeypatch.setattr("pamela.core.errors.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert "pamela retrain needs the package prefect" in line
    assert "pip install 'pamela[pipeline]'" in line


def test_score_names_what_is_unknown(small_project):
    adapt()
    assert "did you mean anna?" in fault("score", "--user", "ana", "barn.png")
    assert "did you mean synthetic/p0" in fault("score", "--user", "synthetic/p01", "barn.png")
    said = fault("score", "--user", "p001", "barn.png", "gone.png", "lake.png")
    assert said.startswith("image 2 (gone.png)")
    done = CliRunner().invoke(app.app, ["score", "--model", "models:/pamela@best", "barn.png"])
    assert "no alias 'best'; there are versions 1 and aliases champion" in str(done.exception)


PYTHON = re.compile(r"Reward|None|user=|pamela\.(?!yaml)|`adapt`|Traceback|\(str\)|\(int\)")


@pytest.mark.parametrize(
    "words",
    [
        ("score", "--user", "nobody", "barn.png"),
        ("score", "--user", "", "barn.png"),
        ("score", "--user", "people/zoe", "barn.png"),
        ("score", "--user", "\udcff", "barn.png"),
        ("score", "--user", "p001", "--dataset", "zzz", "barn.png"),
        ("score", "--dataset", "zzz", "barn.png"),
        ("score", "--user", "p001", "--prompt", "\udcff", "barn.png"),
        ("score", "--user", "p001", "gone.png"),
        ("score", "--user", "p001", "data"),
        ("score", "--user", "p001", "params.yaml"),
        ("score", "--user", "p001", "/dev/zero"),
        ("suggest", "--user", "nobody"),
        ("suggest", "--dataset", "zzz"),
        ("suggest", "--csv", "gone/sheet.csv"),
        ("recommend", "--user", "nobody"),
        ("recommend", "--dataset", "zzz"),
        ("recommend", "--sheet", "sheet.pdf"),
        ("recommend", "--sheet", "params.yaml/sheet.png"),
        ("explain", "--user", "nobody"),
        ("explain", "--user", "p001", "--plot", "plot.pdf"),
        ("explain", "--user", "p001", "--plot", "params.yaml/plot.png"),
        ("adapt", "--ratings", "gone.csv", "--name", "anna"),
        ("adapt", "--ratings", "data", "--name", "anna"),
        ("adapt", "--ratings", "barn.png", "--name", "anna"),
        ("adapt", "--ratings", "params.yaml", "--name", "anna"),
    ],
)
def test_a_fault_is_told_in_the_words_of_the_command(small_project, words):
    said = fault(*words)
    assert "\n" not in said
    assert not PYTHON.search(said), said


def test_a_folder_is_nobody(small_project):
    (small_project.people / "zoe.json").mkdir(parents=True)
    assert fault("score", "--user", "zoe", "barn.png").startswith(
        "unknown user 'zoe': 24 are known"
    )


def test_an_unknown_user_is_shown_some(small_project):
    said = "unknown user 'nobody': 24 are known, such as synthetic/p000, synthetic/p001"
    assert fault("score", "--user", "nobody", "barn.png") == f"{said}, synthetic/p002"


def test_a_champion_without_its_alias_is_told_how_to_set_it(small_project):
    from pamela.registry.tracking.publish import client_of

    client = client_of(small_project, load_params(small_project.params_file))
    client.delete_registered_model_alias("pamela", "champion")
    done = CliRunner().invoke(app.app, ["score", "barn.png"])
    said = str(done.exception)
    assert "no alias 'champion'; there are versions 1 and aliases (none); ask for models:/" in said
    assert "set the alias again: `make ui`, Models, pamela, a version, Aliases, champion" in said


def test_a_tracking_server_that_is_off_is_told_within_seconds(small_project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:secret@127.0.0.1:{free_port()}")
    began = time.monotonic()
    done = CliRunner().invoke(app.app, ["score", "barn.png"])
    said = str(done.exception)
    assert said.startswith("MLFLOW_TRACKING_URI: no MLflow server answers at http://127.0.0.1:")
    assert "secret" not in said
    assert "start it, or unset the variable" in said
    assert time.monotonic() - began < 30


def test_suggest_writes_a_sheet_once(small_project):
    rows = pamela_command("suggest", "-n", "4", "--csv", "sheet.csv")
    sheet = pl.read_csv("sheet.csv")
    assert sheet["image_id"].to_list() == [row["image_id"] for row in rows]
    assert all(Path(file).is_file() for file in sheet["file"])
    assert sheet["rating"].null_count() == 4
    assert "sheet.csv: there already" in fault("suggest", "--csv", "sheet.csv")
    assert "unknown user 'nobody'" in fault("suggest", "--user", "nobody")


def test_recommend_names_the_best_not_yet_rated_and_draws_them(small_project):
    adapt()
    found = pamela_command("recommend", "--user", "anna", "-n", "6", "--sheet", "best.png")
    assert len(found) == 6
    assert "i03" not in [one["image_id"] for one in found]  # anna rated it
    ratings = [one["rating"] for one in found]
    assert ratings == sorted(ratings, reverse=True)
    assert found[0]["source"] == "adapted"
    assert Path(found[0]["file"]).is_file()
    with Image.open("best.png") as sheet:
        assert sheet.size == (5 * 208 + 8, 2 * 242 + 8)
    assert len(pamela_command("recommend", "--user", "p001")) == 20
    assert Path("reports/recommended/p001.png").is_file()
    for picture in Path("data/pictures").iterdir():
        picture.unlink()
    assert pamela_command("recommend", "-n", "3")[0]["source"] == "population"
    assert not Path("reports/recommended/population.png").exists()
    said = fault("recommend", "--sheet", "none.png")
    assert said == "--sheet none.png: none of these pictures has a file here to draw"


def test_tables_fit_narrow_terminals_and_hide_no_path(small_project):
    """60 columns: long paths are folded, never cut."""
    adapt()
    path = "a/very/long/path/" + "of/many/folders/" * 8 + "picture.png"
    score = Score(3.456, 0.789, 71.2, "adapted", "hierarchical-12345678")
    reward = pamela.load("models/bundle")
    learned = AdaptationSummary(
        "anna", "synthetic", "adapted", 20, 18, 3.4, 3.1, 0.9, 1.0, "v", "data/people/anna.json"
    )
    for show in (
        lambda c: app.print_table([(path, score)], "anna", c),
        lambda c: print_learned(learned, c),
        lambda c: print_suggestions(reward.suggest(user="anna", n=3), "anna", c),
        lambda c: print_ranked(reward.rank(user="anna", n=3), "anna", c),
    ):
        written = StringIO()
        show(Console(file=written, width=60, force_terminal=True, color_system=None))
        lines = written.getvalue().splitlines()
        assert max(map(len, lines)) <= 60
        assert len(lines) > 4
        if "picture.png" in written.getvalue().replace("\n", ""):
            column = [re.split("[│┃]", line)[1].strip() for line in lines if "│" in line]
            assert "".join(column) == path


def test_score_table_says_how_many_rows_were_set_apart(small_project):
    rows = pl.DataFrame({"user_id": ["p001", "nobody"], "image_id": ["i03", "i03"]})
    rows.write_parquet("in.parquet")
    words = ["score-table", "in.parquet", "out.parquet", *BUNDLE]
    done = CliRunner().invoke(app.app, words)
    assert done.exit_code == 3, done.exception
    assert done.stdout == (
        "out.parquet: 1 of 2 rows scored, 1 set apart in out.rejected.parquet (unknown user 1)\n"
    )
    rows[:1].write_parquet("in.parquet")
    done = CliRunner().invoke(app.app, [*words, "--overwrite"])
    assert (done.exit_code, done.stdout) == (0, "out.parquet: 1 of 1 rows scored\n")
    assert "exists already" in fault("score-table", "in.parquet", "out.parquet")
