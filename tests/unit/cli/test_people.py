"""People who are adapted to and kept: the file, the shell, and the next champion."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import pamela
from pamela.cli import app
from pamela.cli.people import adapt as cli_people
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet, write_json
from pamela.features.embed import Features, write_features
from pamela.features.factory import get_encoder
from pamela.serving.types import CatalogImage
from pamela.training.bundle_files import write_sums
from tests.conftest import command_env
from tests.helpers.encoder_kit import write_open_clip
from tests.helpers.people_commands import (
    BUNDLE,
    FIRST,
    adapt,
    adapt_fault,
    fault,
    pamela_command,
    ratings_of,
)
from tests.helpers.small_model import NEW, fit_bundle
from tests.paths import ROOT


# --- adapt ----------------------------------------------------------------------------------------
def test_a_saved_person_scores_as_the_api_does(small_project):
    learned = adapt(FIRST, "anna", "--demographic", "gender=female")
    assert (learned["ratings"], learned["known"], learned["source"]) == (3, 1, "adapted")
    assert learned["mean"] == pytest.approx(10 / 3)
    assert learned["std"] < learned["std_before"]
    reward = pamela.load("models/bundle")
    me = reward.adapt(
        ratings=[
            ("barn.png", "a red barn", 5),
            ("lake.png", 1),
            (CatalogImage("synthetic", "i03"), 4),
        ],
        demographics={"gender": "female"},
    )
    expected = [x.rating for x in reward.score(user=me, images=list(NEW))]
    for user in ("anna", "people/anna"):
        assert ratings_of(user) == pytest.approx(expected, abs=1e-4)
    assert "people/anna" in reward.users
    rows = pamela_command("score", "--user", "anna", *NEW)
    assert [row["rating"] for row in rows] == pytest.approx(expected, abs=1e-4)
    assert {row["source"] for row in rows} == {"adapted"}
    assert expected != pytest.approx(ratings_of(None), abs=0.05)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_every_kind_of_file_says_the_same(small_project, suffix):
    rows = {"image": ["barn.png", None], "image_id": [None, "i03"], "rating": [5.0, 2.0]}
    path = Path(f"mine{suffix}")
    frame = pl.DataFrame(rows)
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[
        suffix
    ](path)
    pamela_command("adapt", "--ratings", str(path), "--name", "anna")
    saved = read_json(small_project.people / "anna.json")
    assert [(r["rating"], r["file"], r["image_id"]) for r in saved["ratings"]] == [
        (5.0, "barn.png", None),
        (2.0, "data/pictures/i03.png", "i03"),
    ]
    assert saved["ratings"][1]["prompt"] == "a portrait number 3"


def test_paths_are_relative_to_the_file_not_to_where_one_stands(small_project, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copyfile("boat.png", folder / "mine.png")
    adapt("image,rating\nmine.png,4\n", file=str(folder / "r.csv"))
    saved = read_json(small_project.people / "anna.json")["ratings"][0]
    assert saved["file"] == str(folder / "mine.png")  # outside the project: as it is
    assert "row 1 (barn.png)" in adapt_fault("image,rating\nbarn.png,4\n", str(folder / "r.csv"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,rating\nbarn.png,5\ngone.png,3\n", r"mine.csv row 2 \(gone.png\): No such file"),
        ("image,rating\nbarn.png,5\nmine.csv,3\n", r"row 2 \(mine.csv\): does not decode"),
        ("image,rating\nbarn.png,5\nlake.png,9\n", r"row 2: rating 9 is off the scale 1\.\.5"),
        ("image,rating\nbarn.png,5\nlake.png,good\n", r"row 2: rating 'good' is not a number"),
        ("image,rating\nbarn.png,\nlake.png, \n", r"mine.csv: no rating is filled in"),
        ("image,rating\nbarn.png,5\n,3\n", r"row 2: names no picture"),
        ("image_id,rating\ni01,5\ni99,3\n", r"row 2 \(i99\): no picture 'i99'"),
        ("image,image_id,rating\nbarn.png,i01,3\n", r"row 1: has both image and image_id"),
        (
            "image,rating\nbarn.png,5\nbarn.png,4\n",
            r"row 2 .*the same picture as in mine.csv row 1",
        ),
        ("image,stars\nbarn.png,5\n", r"no column rating"),
        ("file,rating\nbarn.png,5\n", r"neither a column image .* nor image_id"),
        ("image,rating\n", r"no rows"),
    ],
)
def test_a_fault_names_its_row_and_nobody_is_saved(small_project, text, says):
    said = adapt_fault(text)
    assert re.search(says, said), said
    assert "\n" not in said
    assert not small_project.people.exists()


def test_json_lines_name_the_line_that_is_none(small_project):
    good = '{"image": "barn.png", "rating": 5}\n'
    assert "mine.jsonl row 2: not readable as JSON" in adapt_fault(good + "{nope\n", "mine.jsonl")
    assert "mine.jsonl row 3: not a JSON object" in adapt_fault(good + "\n[1]\n", "mine.jsonl")
    assert "rating 'true' is not a number" in adapt_fault(
        '{"image": "barn.png", "rating": true}', "mine.jsonl"
    )
    assert "unknown suffix '.txt'" in adapt_fault(good, "mine.txt")


def test_a_sheet_that_is_filled_in_partly_is_taken_as_far_as_it_is(small_project):
    pamela_command("suggest", "-n", "5", "--csv", "sheet.csv")
    rows = Path("sheet.csv").read_text().splitlines()
    some = [rows[0], "", *(row.replace(",,", f",{n}," if n % 2 else ", ,", 1) for n, row in
                       enumerate(rows[1:], 1))]  # fmt: skip
    Path("sheet.csv").write_text("\n".join(some))
    done = CliRunner().invoke(
        app.app, ["adapt", "--ratings", "sheet.csv", "--name", "anna", *BUNDLE]
    )
    assert done.exit_code == 0, done.exception
    assert "rows left out, as they have no rating: 3, 5\n" in done.stderr
    saved = read_json(small_project.people / "anna.json")["ratings"]
    assert [one["rating"] for one in saved] == [1.0, 3.0, 5.0]


def test_a_line_of_json_may_hold_a_line_separator(small_project):
    prompt = "a barn\u2028at dusk"
    row = json.dumps({"image": "barn.png", "rating": 5, "prompt": prompt}, ensure_ascii=False)
    adapt(row, file="mine.jsonl")
    assert read_json(small_project.people / "anna.json")["ratings"][0]["prompt"] == prompt
    assert "not valid Unicode" in adapt_fault('{"image_id": "\\ud800", "rating": 1}', "mine.jsonl")


# --- several at once ------------------------------------------------------------------------------
def test_two_who_add_for_one_person_lose_no_rating(small_project, monkeypatch):
    """Another command saves while this one works: it starts again from what is there now."""
    adapt("image,rating\nbarn.png,5\n")
    real, at_work = cli_people._person, []

    def meanwhile(*given, **more):
        found = real(*given, **more)
        if not at_work:
            at_work.append(True)
            adapt("image,rating\nlake.png,4\n", "anna", "--add", file="other.csv")
        return found

    monkeypatch.setattr(cli_people, "_person", meanwhile)
    assert adapt("image,rating\nboat.png,1\n", "anna", "--add")["ratings"] == 3
    saved = read_json(small_project.people / "anna.json")["ratings"]
    assert sorted(one["file"] for one in saved) == ["barn.png", "boat.png", "lake.png"]


def test_two_who_take_one_new_name_are_told(small_project, monkeypatch):
    real = cli_people._person

    def meanwhile(*given, **more):
        monkeypatch.setattr(cli_people, "_person", real)
        adapt("image,rating\nlake.png,4\n", file="other.csv")
        return real(*given, **more)

    monkeypatch.setattr(cli_people, "_person", meanwhile)
    Path("mine.csv").write_text("image,rating\nboat.png,1\n")
    assert "is there already" in fault("adapt", "--ratings", "mine.csv", "--name", "anna")
    (saved,) = read_json(small_project.people / "anna.json")["ratings"]
    assert saved["file"] == "lake.png"


ADD = """
import sys
from pamela.cli.app import main
sys.argv[1:] = ["adapt", "--ratings", sys.argv[1], "--name", "anna", "--add", "--model",
                "models/bundle"]
main()
"""


def test_processes_that_add_at_once_lose_no_rating(small_project):
    adapt("image,rating\nbarn.png,5\n")
    for n in range(2):
        Path(f"{n}.csv").write_text(f"image_id,rating\ni{n:02d},3\ni{n + 10},4\n")
    words = [sys.executable, "-c", ADD]
    env = command_env(PYTHONPATH=str(ROOT))
    running = [subprocess.Popen([*words, f"{n}.csv"], env=env) for n in range(2)]
    assert [process.wait(timeout=200) for process in running] == [0] * 2
    assert len(read_json(small_project.people / "anna.json")["ratings"]) == 5
    assert [path.name for path in small_project.people.iterdir()] == ["anna.json"]


def test_what_a_killed_writer_left_is_removed(small_project):
    adapt("image,rating\nbarn.png,5\n")
    (small_project.people / ".anna.99999999.json").write_text("half a f")
    adapt("image,rating\nlake.png,5\n", "bob")
    assert sorted(path.name for path in small_project.people.iterdir()) == ["anna.json", "bob.json"]


def test_a_person_who_cannot_be_saved_is_one_line(small_project):
    small_project.people.write_text("a file where the folder belongs")
    assert "data/people/bob.json: cannot be written" in adapt_fault(FIRST)


def test_names_that_clash_are_refused(small_project):
    adapt()
    mine = ("adapt", "--ratings", "mine.csv", "--name")
    assert "'p001' is the user synthetic/p001" in fault(*mine, "p001")
    assert "'anna' is there already (data/people/anna.json)" in fault(*mine, "anna")
    for name in ("../anna", "a/b", "", ".x", "x" * 65, "x" * 254, "\u3042" * 64 + "a", "\udcff",
                 "a\0b", "-x", "people/anna"):  # fmt: skip
        assert "give up to 64 letters" in fault(*mine, f"--name={name}")
    assert "nobody is saved as 'bob'" in fault(*mine, "bob", "--add")
    assert "either --replace or --add" in fault(*mine, "anna", "--add", "--replace")
    for facts, says in (
        ("gender", "write NAME=VALUE"),
        ("shoe=42", "unknown demographic 'shoe'"),
        ("gender=femal", "unknown gender 'femal' in dataset synthetic: known are female, male"),
        ("gender=male", "--demographic gender: both male and female; say one"),
    ):
        twice = ("--demographic", "gender=female") if "both" in says else ()
        assert says in fault(*mine, "bob", "--demographic", facts, *twice)
    assert [p.name for p in small_project.people.iterdir()] == ["anna.json"]


@pytest.mark.parametrize(
    "name", ["x.dvc", "x.json", "x.", "Jos\u00e9", "Jose\u0301", "\u3042" * 60]
)
def test_a_name_is_found_as_it_was_given(small_project, name):
    adapt("image,rating\nbarn.png,5\n", name)
    (row,) = pamela_command("score", "--user", name, "barn.png")
    assert row["source"] == "adapted"
    assert adapt("image,rating\nlake.png,5\n", name, "--add")["ratings"] == 2


def test_replace_forgets_and_add_remembers(small_project):
    adapt(FIRST, "anna", "--demographic", "gender=female")
    more = "image,rating\nbarn.png,2\nboat.png,3\n"  # the barn without its prompt: another question
    assert adapt(more, "anna", "--add")["ratings"] == 5
    again = "image,rating\nboat.png,1\n"
    assert adapt(again, "anna", "--add")["ratings"] == 5
    saved = read_json(small_project.people / "anna.json")
    assert [r["rating"] for r in saved["ratings"]] == [5.0, 1.0, 4.0, 2.0, 1.0]
    assert saved["demographics"] == {"gender": "female"}
    assert adapt(again, "anna", "--replace")["ratings"] == 1
    assert read_json(small_project.people / "anna.json")["demographics"] == {}


def test_a_reward_that_is_kept_sees_the_new_ratings(small_project):
    adapt("image,rating\nbarn.png,5\n")
    reward = pamela.load("models/bundle")
    before = reward.score(user="anna", images=["barn.png"])
    adapt("image,rating\nbarn.png,1\nlake.png,1\n", "anna", "--replace")
    after = reward.score(user="anna", images=["barn.png"])
    assert after[0].rating < before[0].rating


# --- later ----------------------------------------------------------------------------------------
def retrain(project, encoder_name: str | None, model: str = "hierarchical") -> None:
    """Fit another champion, on the features of another encoder if one is named."""
    if encoder_name:
        images = read_parquet(project.validated / "images.parquet")
        encoder = get_encoder(encoder_name, batch_size=8, workers=0)
        features = Features(
            encoder.encode_images([project.root / f for f in images[s.FILE]]),
            encoder.encode_prompts(images[s.PROMPT].to_list()),
            encoder.name, encoder.fingerprint, encoder.precision,
        )  # fmt: skip
        write_features(project, images, features)
    fit_bundle(project, model, seed=1)


def test_a_saved_person_outlives_the_encoder(small_project, tmp_path):
    adapt()
    me = pamela.load("models/bundle").person("anna")
    retrain(small_project, write_open_clip(tmp_path / "clip"))
    reward = pamela.load("models/bundle")
    anew = reward.adapt(
        ratings=[
            ("barn.png", "a red barn", 5),
            ("lake.png", 1),
            (CatalogImage("synthetic", "i03"), 4),
        ]
    )
    expected = [x.rating for x in reward.score(user=anew, images=list(NEW))]
    assert ratings_of("anna") == pytest.approx(expected, abs=1e-4)
    with pytest.raises(PamelaError, match="made by a model with another encoder"):
        reward.score(user=me, images=["barn.png"])


def test_pictures_that_are_gone_are_missed_only_when_they_are_needed(small_project, tmp_path):
    adapt()
    before = ratings_of("anna", ["tower.png"])
    Path("barn.png").unlink()
    assert ratings_of("anna", ["tower.png"]) == before  # its features are kept
    shutil.rmtree(small_project.people_cache)
    with pytest.raises(PamelaError, match=r"data/people/anna.json: rating 1 \(barn.png\): No such"):
        ratings_of("anna")
    shutil.copyfile("lake.png", "barn.png")
    with pytest.raises(PamelaError, match=r"rating 1 .* is not the picture that was rated"):
        ratings_of("anna")


def test_a_champion_that_cannot_adapt_says_so(small_project):
    adapt()
    retrain(small_project, None, "group_mean")
    with pytest.raises(PamelaError, match=r"anna.json: the model 'group_mean' cannot learn"):
        ratings_of("anna")


def test_a_name_that_became_a_user_must_be_told_apart(small_project):
    adapt()
    path = small_project.models / "bundle" / "users.parquet"
    users = pl.read_parquet(path)
    users.with_columns(pl.col(s.USER).replace("p001", "anna")).write_parquet(path)
    write_sums(path.parent)
    with pytest.raises(PamelaError, match="say people/anna or synthetic/anna"):
        ratings_of("anna")
    assert ratings_of("people/anna") != ratings_of("synthetic/anna")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("dataset", "other", "does not know dataset other, only synthetic"),
        ("scale", [0.0, 10.0], r"rated on 0\.\.10, but synthetic has the scale 1\.\.5"),
        ("format", 9, "format 9, not 1"),
        ("shoe", 42, "unknown key shoe"),
        ("ratings", [{"rating": 5.0}], "missing key ratings.0.image_id"),
        ("demographics", {"shoe": "42"}, "unknown demographic 'shoe'"),
    ],
)
def test_a_file_that_no_longer_fits_is_named(small_project, key, value, says):
    adapt()
    path = small_project.people / "anna.json"
    write_json(path, read_json(path) | {key: value})
    with pytest.raises(PamelaError, match=f"anna.json: .*{says}"):
        ratings_of("anna")
