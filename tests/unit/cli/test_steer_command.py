"""``pamela steer``: what it prints, and that a killed one goes on where it was."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pamela
from pamela.cli import app
from pamela.steer.generators.embedded import EmbeddedGenerator
from tests.conftest import command_env
from tests.helpers.people_commands import adapt, fault, pamela_command
from tests.helpers.small_model import copy_project
from tests.paths import ROOT

STEER = ("steer", "--prompt", "A photo of a pizza", "--no-track")
FEW = (*STEER, "--rounds", "2", "--variants", "4")


def test_a_saved_person_is_steered_for(small_project):
    adapt()
    [found] = pamela_command(*FEW, "--user", "anna")
    assert found["path"][-1]["score"]["source"] == "adapted"
    assert Path(found["folder"], "best.png").is_file()
    assert found["folder"].startswith("steering/anna-A-photo-of-a-pizza-")
    [again] = pamela_command(*FEW, "--user", "anna")
    assert (again["best"], again["drawn"]) == (found["best"], 0)
    adapt("image_id,rating\ni07,1\n", "anna", "--add", file="more.csv")
    [other] = pamela_command(*FEW, "--user", "anna")  # they are known better now
    assert other["folder"] != found["folder"]


def test_a_fault_is_one_line(small_project):
    assert "'embedded' knows the 78 subjects" in fault("steer", "--prompt", "the sky")
    assert "unknown user 'nobody'" in fault(*FEW, "--user", "nobody")


def test_ctrl_c_is_one_line_that_says_how_to_go_on(small_project, monkeypatch):
    class Interrupted(EmbeddedGenerator):
        def generate(self, prompts, seeds):
            if len(prompts) > 1:
                raise KeyboardInterrupt
            return super().generate(prompts, seeds)

    monkeypatch.setattr(
        "pamela.serving.steering.person_run.get_generator", lambda params: Interrupted(64, 1)
    )
    done = CliRunner().invoke(app.app, [*FEW, "--model", "models/bundle"])
    assert done.exit_code == 130
    original, stopped = done.stderr.splitlines()
    assert original.startswith("original: ")
    assert stopped.startswith("stopped in round 1 of 2 (steering/population-A-photo-of-a-pizza-")
    assert stopped.endswith("): the same command goes on from there")


@pytest.mark.timeout(600)
def test_a_killed_command_goes_on_as_if_nothing_had_been(
    small_project, small_template, tmp_path, monkeypatch
):
    """The real command, killed with SIGKILL in round 2 of 3; against a run that was not."""
    words = (*STEER, "--user", "p001", "--rounds", "3", "--variants", "20")
    command, root = [sys.executable, "-m", "pamela.cli", *words], small_project.root

    def start():
        env = command_env(PYTHONPATH=str(ROOT))
        return subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.PIPE, text=True)

    def kept():
        return {path: path.stat().st_mtime_ns for path in root.glob(".cache/steering/*/*/[!.]*")}

    process = start()
    while len(kept()) < 25 and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = kept()
    process = start()
    found = json.loads(process.communicate(timeout=300)[0])
    after = kept()
    assert 25 <= len(before) < len(after)
    assert {path: after[path] for path in before} == before
    assert found["drawn"] == len(after) - len(before)

    peaceful = copy_project(small_template, tmp_path / "peaceful").root
    monkeypatch.chdir(peaceful)
    expected = pamela.load("models/bundle").steer(
        user="p001", prompt="A photo of a pizza", rounds=3, variants=20, track=False
    )
    assert expected.drawn == len(after)
    for file in (path for path in expected.folder.rglob("*") if path.is_file()):
        assert (root / file.relative_to(peaceful)).read_bytes() == file.read_bytes(), file.name
