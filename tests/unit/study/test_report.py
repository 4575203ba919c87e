"""The figures of a study, from planted answers; the page says nothing that participants can run."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.study.closing import close_study
from pamela.study.participant import LEFT, RIGHT, Choose, Wait
from pamela.study.report.figures import count_wins, study_figures
from pamela.study.report.judgments import JUDGMENTS_SCHEMA, judgment_table
from pamela.study.report.page import StudyReport
from tests.helpers.study_kit import choose_all, make_study, rate_all, wait_for

ATTACK = "<script>alert(1)</script> & 'quoted'"


@pytest.fixture
def study(tmp_path):
    found = make_study(tmp_path)
    yield found
    found.stop()


def planted(people: int, pairs: int, left: float, same: float, rng: np.random.Generator):
    """Return answers of people who take the left picture, and repeat themselves, so often."""
    rows = []
    for person in range(people):
        first = rng.random(pairs) < left
        for number, took_left in enumerate(first.tolist(), 1):
            rows.append((f"p{person}", f"q{number}", number, "a", "b", took_left, None))
        for number, took_left in enumerate(first[: pairs // 2].tolist(), 1):
            again = (not took_left) if rng.random() < same else took_left  # sides are changed
            rows.append((f"p{person}", f"q{number}", pairs + number, "b", "a", again, number))
    names = ["user_id", "prompt_id", "number", "left", "right", "took_left", "repeat_of"]
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        answer=pl.when("took_left").then(pl.lit("left")).otherwise(pl.lit("right")),
        winner=pl.when("took_left").then("left").otherwise("right"),
    )
    return pl.concat([JUDGMENTS_SCHEMA.to_frame(), table.drop("took_left")], how="diagonal")


def value(results: pl.DataFrame, metric: str, **at: str) -> dict:
    return results.filter(metric=metric, **at).row(0, named=True)


def test_planted_order_bias_and_test_retest_are_found():
    table = planted(60, 20, left=0.7, same=0.9, rng=np.random.default_rng(0))
    results = study_figures(table, 0)
    win = value(results, "win_rate", arm="a", opponent="b")
    assert win["n"] == 60 * 20  # repeats do not count
    assert win["ci_low"] < 0.7 < win["ci_high"]
    retest = value(results, "retest_agreement")
    assert retest["ci_low"] < 0.9 < retest["ci_high"]
    assert value(results, "retest_by_chance")["value"] == pytest.approx(0.5)
    assert value(results, "left_share")["ci_low"] > 0.5
    assert (
        value(results, "elo", arm="a")["ci_low"] > 1000 > value(results, "elo", arm="b")["ci_high"]
    )


def test_the_figures_of_one_person_have_no_interval_over_people():
    results = study_figures(planted(1, 6, 0.5, 1.0, np.random.default_rng(0)), 0)
    assert value(results, "left_share")["ci_low"] is None
    assert study_figures(JUDGMENTS_SCHEMA.to_frame(), 0).filter(pl.col("n") > 0).is_empty()


def test_a_tie_is_half_a_win_for_each():
    row = {"user_id": "p", "prompt_id": "q", "left": "a", "right": "b", "winner": "tie"}
    wins, user, prompt = count_wins(pl.DataFrame([row]), ["a", "b"])
    assert wins.tolist() == [[[0.0, 0.5], [0.5, 0.0]]]
    assert (user.tolist(), prompt.tolist()) == ([0], [0])


def test_a_study_is_reported_while_it_goes_on(study, tmp_path):
    for name in ("ann", "bob"):
        person = study.join(name)
        rate_all(study, person)
        wait_for(lambda person=person: not isinstance(person.step, Wait))
    ann, bob = study.who("ann"), study.who("bob")
    choose_all(study, ann)
    study.say(ann, ATTACK)
    step = bob.step
    assert isinstance(step, Choose)
    study.choose(bob, 0, RIGHT if step.pair.left.arm == "self" else LEFT, 500)
    study.join("cid")
    report = StudyReport(Project(tmp_path), "pilot")
    assert report.sentences[0] == (
        "3 people took part, 1 to the end; not (yet) at the end: 1 while rating, 1 while comparing."
    )
    close_study(Project(tmp_path), "pilot")
    assert StudyReport(Project(tmp_path), "pilot").sentences[0] == (
        "3 people took part, 1 to the end; not at the end: 1 while rating, 1 while comparing; "
        "the study is closed."
    )
    same = report.judgments.filter(answer="same")
    assert set(same["user_id"]) == {ann.id}  # whoever is not through has none yet
    assert set(same["winner"]) == {"tie"}
    assert judgment_table([ann, bob]).height == 12 + 2 + 1
    page = report.write().read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert study.code(ann) not in page
    for name in ("judgments", "people", "results"):
        assert (report.folder / f"{name}.parquet").is_file()


def test_the_command_prints_lines_of_json_and_names_what_there_is(study, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from pamela.cli.app import app

    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    study.join("ann")
    done = CliRunner().invoke(app, ["study", "report", "--name", "pilot"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["metric"] for row in rows} == {"ties", "left_share", "retest_agreement"}
    with pytest.raises(PamelaError, match=r"study other: .*there are: pilot"):
        StudyReport(Project(tmp_path), "other")
    with pytest.raises(PamelaError, match=r"--name \.\./x: give small letters"):
        StudyReport(Project(tmp_path), "../x")
