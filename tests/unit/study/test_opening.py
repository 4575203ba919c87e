"""A study with a real, small model: what people rate, whom it steers for, what it refuses."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import pamela
from pamela.cli.study.serve import serve_command
from pamela.core.errors import PamelaError
from pamela.params import load_params
from pamela.study.closing import close_study
from pamela.study.opening import Wishes, open_study
from pamela.study.participant import Choose
from pamela.study.study import Study
from tests.conftest import override_params, run_in
from tests.helpers.study_kit import CONSENT, choose_all, rate_all, wait_for
from tests.paths import ROOT

PROMPTS = ["A photo of a burger, in plain daylight", "A palm beach, photograph, highly saturated."]
WISHES = Wishes("pilot", Path("consent.md"), None, 4, 2, 0, Path("prompts.txt"), None)


@pytest.fixture
def project(small_project):
    override_params(small_project.root, {"steer": {"variants": 3, "rounds": 1}})
    (small_project.root / "consent.md").write_text(CONSENT)
    (small_project.root / "prompts.txt").write_text("\n".join(PROMPTS))
    return small_project


@contextmanager
def opened(project, wishes: Wishes = WISHES) -> Iterator[Study]:
    reward = pamela.load(project.models / "bundle")
    with open_study(project, load_params(project.params_file), reward, wishes) as study:
        yield study


def test_a_person_is_adapted_to_and_steered_for(project):
    with opened(project) as study:
        suggested = pamela.load(project.models / "bundle").suggest(user=None, n=4)
        assert set(study.to_rate) == {one.image_id for one in suggested}
        ann = study.join("ann")
        rate_all(study, ann)
        wait_for(lambda: isinstance(ann.step, Choose), 60)
        assert {(one.prompt_id, one.arm) for one in ann.shown} == {
            (f"pilot-prompt-{n:02d}", arm)
            for n in (1, 2)
            for arm in ("none", "other", "population", "self")
        }
        assert {one.prompt for one in ann.shown if one.arm == "none"} == set(PROMPTS)
        assert {one.whose for one in ann.shown if one.arm == "self"} == {ann.id}
        assert ann.other.startswith("synthetic/p0")
        kept = sorted((study.folder / "steered" / "pictures").rglob("*.png"))
        bob = study.join("bob")
        rate_all(study, bob)  # with the same ratings: what is drawn for ann is drawn for bob
        wait_for(lambda: isinstance(bob.step, Choose), 60)
        assert bob.other == ann.id
        assert sorted((study.folder / "steered" / "pictures").rglob("*.png")) == kept
        choose_all(study, ann)
        names = sorted(path.name for path in (project.inbox / "synthetic").iterdir())
        assert names == [f"pilot-{who.id}-{what}" for who, what in sorted(
            ((ann, "choices"), (ann, "ratings"), (bob, "ratings")),
            key=lambda one: (one[0].id, one[1]),
        )]  # fmt: skip


def made_pictures(folder: Path, arms: int = 3) -> Path:
    """Write a table of pictures whose files tell where they come from."""
    rows = []
    for prompt in range(2):
        for arm in range(arms):
            note = PngInfo()
            note.add_text("parameters", "a secret arm")
            file = f"self_user_{prompt}_{arm}.png"
            pixels = np.full((9, 7, 3), (prompt * 40, arm * 60, 99), np.uint8)
            Image.fromarray(pixels).save(folder / file, pnginfo=note)
            rows.append({"prompt_id": f"q{prompt}", "arm": f"arm{arm}", "file": file})
    pl.DataFrame(rows).write_csv(folder / "made.csv")
    return folder / "made.csv"


def test_pictures_made_elsewhere_are_compared_without_what_their_files_tell(project):
    wishes = replace(WISHES, pairs=made_pictures(project.root), prompts=None, ratings=0)
    with opened(project, wishes) as study:
        ann = study.join("ann")
        assert isinstance(ann.step, Choose)
        assert ann.step.of == 2 * 3 + 2
        content, kind = study.picture("ann", study.token(ann, ann.step, "left"))
        assert (kind, b"secret" in content) == ("image/png", False)
        shown = np.asarray(Image.open(io.BytesIO(content)))
        arm, prompt = int(ann.step.pair.left.arm[-1]), int(ann.step.pair.left.prompt_id[-1])
        assert shown.shape == (9, 7, 3)
        assert shown[0, 0].tolist() == [prompt * 40, arm * 60, 99]


def test_pictures_of_ones_own_come_once_they_are_made(project):
    table = made_pictures(project.root)
    frame = pl.read_csv(table)
    frame.clear().with_columns(user_id=pl.lit("")).write_csv(table)  # a header alone
    wishes = replace(WISHES, pairs=table, prompts=None, ratings=0)
    with opened(project, wishes) as study:
        ann = study.join("ann")
        assert not ann.pairs
        name = f"pilot-{ann.id}"
    both = [frame.with_columns(user_id=pl.lit(who)) for who in ("somebody-else", name)]
    pl.concat(both).write_csv(table)
    with opened(project, wishes) as study:  # the table has grown: the study goes on
        assert isinstance(study.who("ann").step, Choose)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("prompt_id,arm,file\nq,a,barn.png\nq,a,lake.png\n", "row 2: arm a of prompt q stands"),
        ("prompt_id,arm,file\nq,a,barn.png\n", "no prompt has two arms"),
        ("prompt_id,arm,file\nq,a,barn.png\nq,,lake.png\n", "row 2: fill in prompt_id, arm, file"),
        ("prompt_id,arm,file\nq,a,barn.png\nq,b,gone.png\n", "row 2: no such image file"),
        ("prompt_id,file\nq,barn.png\n", "arm"),
    ],
)
def test_a_table_of_pictures_is_held_to_its_form(project, rows, says):
    (project.root / "bad.csv").write_text(rows)
    wishes = replace(WISHES, pairs=Path("bad.csv"), prompts=None)
    with pytest.raises(PamelaError, match=says), opened(project, wishes):
        pass


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dataset": "nosuch"}, "nosuch"),
        ({"consent": Path("gone.md")}, "--consent gone.md: No such file"),
        ({"ratings": 0}, "--ratings 0: nobody can be steered for"),
        ({"ratings": 400}, "--ratings 400: dataset synthetic has only 60"),
        ({"prompts": Path("consent.md")}, "the embedded generator cannot draw it"),
        ({"name": "Pilot"}, "--name Pilot: give small letters"),
    ],
)
def test_what_cannot_be_served_is_a_line(project, change, says):
    with pytest.raises(PamelaError, match=says), opened(project, replace(WISHES, **change)):
        pass
    assert not (project.studies / "pilot" / "study.json").exists()


def test_a_study_is_served_once(project):
    with (
        opened(project),
        pytest.raises(PamelaError, match="another process serves it"),
        opened(project),
    ):
        pass


def test_a_closed_study_is_not_served(project):
    with (
        opened(project),
        pytest.raises(PamelaError, match="another process serves it"),
    ):
        close_study(project, "pilot")
    close_study(project, "pilot")
    with pytest.raises(PamelaError, match="study pilot: it is closed"), opened(project):
        pass


def test_a_port_that_is_taken_is_a_line_and_begins_nothing(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PamelaError, match=rf"127.0.0.1:{port}: cannot listen .* --port"):
            serve_command("x", project.root / "consent.md", host="127.0.0.1", port=port)
    assert not project.studies.exists()


def test_without_a_champion_the_command_says_so_in_a_line(project):
    (project.root / "mlflow.db").unlink()
    words = ("-m", "pamela.cli", "study", "serve", "--name", "x", "--consent", "consent.md")
    done = run_in(project.root, "python", *words, PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*champion.*\n", done.stderr)


def test_without_the_extra_the_command_says_how_to_install_it(project, monkeypatch):
    monkeypatch.setattr("pamela.core.errors.find_spec", lambda name: None)
    with pytest.raises(PamelaError, match=r"pamela study serve needs .*'pamela\[study\]'"):
        serve_command("x", project.root / "consent.md")
