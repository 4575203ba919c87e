"""docs/api.md: every snippet runs, on a small real model, in the order it stands there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import pamela
from pamela.cli.app import app
from pamela.registry.mlflow_model import TEXTS
from pamela.serving.pyfunc import Served
from pamela.serving.requests.pictures import PictureDoor
from pamela.serving.types import Score
from tests.helpers import http_kit
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCKS if name == kind]


def run_shell(block: str) -> list[str]:
    outputs = []
    for line in block.strip().splitlines():
        words = shlex.split(line)
        assert words[0] == "pamela"
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, (line, done.output, done.exception)
        outputs.append(done.stdout)
    return outputs


def test_the_page_has_the_parts_that_are_run_here():
    assert {name: len(blocks(name)) for name, _ in BLOCKS} == {
        "python": 5, "bash": 3, "csv": 1, "json": 1, "text": 2, "sh": 1,
    }  # fmt: skip


def test_the_python_snippets_run_one_after_the_other(small_project, capsys):
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/api.md", "exec"), names)  # noqa: S102, our own page
    assert all(isinstance(score, Score) for score in names["scores"])
    assert names["reward"].score(user=names["me"], images=["apple.png"])[0].source == "adapted"
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6 + 20
    assert printed[-1].endswith("False")  # not rated yet
    assert printed[0].endswith("seen")


def test_the_shell_snippets_do_what_the_page_says(small_project):
    Path("my.csv").write_text(blocks("csv")[0])
    first, second, third = blocks("bash")
    learned, scored = run_shell(first)
    assert json.loads(learned)["source"] == "adapted"
    rows = [json.loads(line) for line in scored.splitlines()]
    assert [row["image"] for row in rows] == ["barn.png", "lake.png"]
    reward = pamela.load("models:/pamela@champion")
    expected = reward.score(
        user=reward.person("anna"), prompt="a red barn at dusk", images=["barn.png", "lake.png"]
    )
    assert [row["rating"] for row in rows] == [score.rating for score in expected]
    (suggested,) = run_shell(second)
    assert len(suggested.splitlines()) == 5
    assert "i03" not in suggested  # anna rated it
    sheet = pd.read_csv("sheet.csv")
    sheet.assign(rating=4).to_csv("sheet.csv", index=False)
    add = PAGE.partition("Fill in the column `rating`, then `")[2].partition("`")[0]
    (learned,) = run_shell(add)
    assert json.loads(learned)["ratings"] == 8
    (best,) = run_shell(third)
    assert len(best.splitlines()) == 20
    assert Path("reports/recommended/anna.png").is_file()


def test_the_request_of_the_page_is_answered(small_project):
    Path("my.csv").write_text(blocks("csv")[0])
    run_shell(blocks("bash")[0])
    reward = pamela.load("models:/pamela@champion")
    records = json.loads(blocks("json")[0])["dataframe_records"]
    answer = Served(reward, PictureDoor(small_project.root)).predict(pd.DataFrame(records))
    assert answer["source"].to_list() == ["seen", "adapted", "adapted"]
    prompt = "a red barn at dusk"
    seen = reward.score(user="synthetic/p001", prompt=prompt, images=["barn.png"])
    assert answer["rating"][0] == seen[0].rating


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_curl_commands_are_answered(small_project):
    with http_kit.served(small_project.root) as here:
        for line in blocks("sh")[0].strip().splitlines():
            command = shlex.split(line.replace("http://127.0.0.1:8000", here.url))
            assert command[0] == "curl"
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert "model_version" in done.stdout, (line, done.stdout, done.stderr)


@pytest.mark.parametrize("field", list(Score.__dataclass_fields__))
def test_every_field_of_a_score_is_explained(field):
    assert f"| `{field}` |" in PAGE


def test_every_text_column_of_a_request_is_named():
    json_block = blocks("json")[0] + PAGE
    assert [name for name in TEXTS if name not in json_block] == []
