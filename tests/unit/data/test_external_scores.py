"""Files of scores from elsewhere: what is read, which rows count, and one line for each fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import write_parquet
from pamela.core.paths import Project
from pamela.data.external_scores import ExternalScores, check_scores, scaled

FILE = "scores/hps.csv"
ONE, TWO = ["1", "007", "7", "x", "y"], ["7", "a b"]


@pytest.fixture
def project(tmp_path) -> Project:
    project = Project(tmp_path / "project")
    names = ["one"] * len(ONE) + ["two"] * len(TWO)
    images = pl.DataFrame({s.DATASET: names, s.IMAGE: ONE + TWO})
    users = pl.DataFrame({s.DATASET: ["one", "one", "two"], s.USER: ["u", "12", "u"]})
    write_parquet(project.validated / "images.parquet", images)
    write_parquet(project.validated / "users.parquet", users)
    (project.root / "scores").mkdir()
    return project


def check(
    project: Project, content: str | bytes | pl.DataFrame, file: str = FILE
) -> ExternalScores:
    path = project.root / file
    if isinstance(content, pl.DataFrame):
        content.write_parquet(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return check_scores(project, "hps", file)


def rows(scores: ExternalScores) -> list[tuple]:
    return scores.rows.drop(s.SCALED).rows()


def test_ids_are_text_and_the_dataset_is_found(project):
    found = check(project, "image_id,score\n007,1.5\n 1 ,-2e3\na b,0\n")
    assert rows(found) == [
        ("one", None, "007", 1.5), ("one", None, "1", -2000.0), ("two", None, "a b", 0.0),
    ]  # fmt: skip
    assert found.rows.schema == s.SCORES_SCHEMA
    assert pl.read_parquet(project.external / "hps.parquet").equals(found.rows)
    assert found.told("hps") == "hps: 3 scores of 3 pictures"
    assert not found.personal


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfimage_id,score\r\n1,2\r\n",  # a byte-order mark, lines of Windows
        'score,image_id\n"2","1"\n\n\n',
        "image_id,score,dataset\n1,2,one\n1,2,one\n",  # the same said twice
    ],
)
def test_forms_of_csv_that_mean_the_same(project, content):
    assert rows(check(project, content)) == [("one", None, "1", 2.0)]


def test_parquet_has_the_same_columns(project):
    frame = pl.DataFrame({s.IMAGE: [1.0, 7.0], s.SCORE: [3, 4], s.DATASET: ["one", "two"]})
    found = check(project, frame, "scores/hps.parquet")
    assert rows(found) == [("one", None, "1", 3.0), ("two", None, "7", 4.0)]


def test_people_may_have_scores_of_their_own(project):
    found = check(
        project, "user_id,image_id,score,model\nu,1,1,x\n12,1,2,x\nnobody,1,3,x\nu,9,3,x\n"
    )
    assert rows(found) == [("one", "12", "1", 2.0), ("one", "u", "1", 1.0)]
    assert found.personal
    assert found.told("hps") == (
        "hps: 2 scores of 1 pictures by 2 people; 2 rows name none of the project and are left "
        "out, such as 'nobody 1', 'u 9'; columns left out: model"
    )


FAULTS = {
    "": "scores/hps.csv: the file is empty (0 bytes); copy it again",
    "image_id,score\n": "scores/hps.csv: no rows; give image_id, score, optional dataset, user_id",
    "image,score\n1,2\n": "scores/hps.csv: no column image_id; the file has image, score",
    "image_id;score\n1;2\n": "scores/hps.csv: its cells are separated by ';', not by ','; save it "
    "with ','",
    "image_id\tscore\n1\t2\n": "scores/hps.csv: its cells are separated by tabs, not by ','",
    "image_id,score\n1,2\n7,nan\n": "scores/hps.csv row 2: score 'nan' is no finite number (1 such "
    "rows); leave the row of a picture without a score out",
    "image_id,score\n1,inf\n": "row 1: score 'inf' is no finite number",
    "image_id,score\n1,\n": "row 1: score '' is no finite number",
    'image_id,score\n1,"0,5"\n': "row 1: score '0,5' is no finite number",
    "image_id,score\n1,2\n,3\n": "scores/hps.csv row 2: image_id is empty",
    "image_id,score,user_id\n1,2,u\n1,3,\n": "scores/hps.csv row 2: user_id is empty",
    "image_id,score\n1,2\n1,2.5\n": "scores/hps.csv row 2: '1' has the score 2.5, and 2 in row 1; "
    "give one score",
    "user_id,image_id,score\nu,1,2\nu,1,3\n": "row 2: 'u 1' has the score 3, and 2 in row 1",
    "image_id,score\n7,2\n": "scores/hps.csv row 1: image_id '7' is in datasets one and two; add a "
    "column dataset",
    "image_id,score\n1.0,2\n": "scores/hps.csv: no image_id of it is one of the project's: it has "
    "'1.0', while there is '1', '007', '7'; some would match but for",
    "image_id,score,user_id\n1,2,me\n": "no user_id of it is one of the project's: it has 'me'",
    "image_id,score,dataset\n1,2,three\n": "no dataset of it is one of the project's: it has "
    "'three'",
    "image_id,score\n1,2,3\n": "scores/hps.csv row 1: ",
    "image_id,score,score\n1,2,3\n": "a column is named twice: score",
    "image_id,score,source_row\n1,2,3\n": "the column name source_row is reserved",
    b"image_id,score\n\xe9,2\n": "scores/hps.csv: not UTF-8 text",
    b"PAR1 and no more": "scores/hps.csv: Parquet; end its name in .parquet",
}


@pytest.mark.parametrize("content", FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_one_line_and_nothing_is_written(project, content):
    with pytest.raises(PamelaError) as caught:
        check(project, content)
    assert FAULTS[content] in str(caught.value)
    assert not list(project.root.glob("data/external/*"))


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=30, unique=True))
def test_one_mark_of_no_score_leaves_the_order_of_the_rest(values):
    """Such as -1e9: the least and the largest score must not swallow what lies between."""
    apart = np.round(values, 4)
    file = pl.DataFrame({s.DATASET: "d", s.SCORE: [-1e9, *apart]})
    found = np.round(scaled(file)[s.SCALED].cast(pl.Float32).to_numpy()[1:], 6)
    assert np.array_equal(np.argsort(found, kind="stable"), np.argsort(apart, kind="stable"))


def test_many_marks_are_refused(project):
    """They would make all other scores equal without a word."""
    numbers = zip(ONE, [0.1, 0.2, 0.3, -1e9, -1e9], strict=True)
    rows = "\n".join(f"one,{image},{score}" for image, score in numbers)
    with pytest.raises(PamelaError, match=r"run from -1e\+09 to 0\.3, and most of them"):
        check(project, f"dataset,image_id,score\n{rows}\n")


def test_equal_scores_order_nothing():
    file = pl.DataFrame({s.DATASET: ["d"] * 4 + ["e"] * 5, s.SCORE: [7.0] * 4 + [0, 0, 0, 0, 1.0]})
    found = scaled(file)[s.SCALED].to_list()
    assert found[:8] == [0.0] * 8
    assert found[8] == pytest.approx(2.5)  # over the standard deviation


def test_a_file_must_be_there_and_in_the_project(project, tmp_path):
    with pytest.raises(PamelaError, match=r"scores/hps.csv: no such file; evaluate.external in"):
        check_scores(project, "hps", FILE)
    outside = tmp_path / "outside.csv"
    outside.write_text("image_id,score\n1,2\n")
    Path(project.root / FILE).symlink_to(outside)
    with pytest.raises(PamelaError, match="a link out of the project"):
        check_scores(project, "hps", FILE)
