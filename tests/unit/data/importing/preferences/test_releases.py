"""Releases of choices and rankings as published: every choice comes in, nobody is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.importing.preferences import KINDS
from pamela.data.importing.preferences.rankings import NO_ORDER
from pamela.data.importing.preferences.release import ChoiceRelease
from tests.helpers import choice_releases as made
from tests.helpers.choice_releases import Choice, pick_row, write_json

RELEASES: dict[str, tuple[str, Callable[[Path], list[Choice]]]] = {
    "Pick-a-Pic v2": ("pick-a-pic", made.pick_a_pic),
    "HPDv2": ("hpd", made.hpd_v2),
    "HPDv3": ("hpd", made.hpd_v3),
    "ImageRewardDB": ("image-reward", made.image_reward),
}


def rows_of(release: ChoiceRelease) -> list[Any]:
    return sorted(release.choices.select(s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE).rows())


def fault(kind: str, src: Path) -> str:
    with pytest.raises(PamelaError) as raised:
        KINDS[kind].read(src)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", RELEASES)
def test_every_choice_of_a_release_comes_in(name: str, tmp_path: Path) -> None:
    kind, write = RELEASES[name]
    told = write(tmp_path / "release")
    release = KINDS[kind].read(tmp_path / "release")
    assert rows_of(release) == sorted(told)
    images = release.images
    assert set(images[s.IMAGE]) == {image for _, *pair, _ in told for image in pair}
    prompts = dict(images.select(s.IMAGE, s.PROMPT_ID).iter_rows())
    assert all(prompts[a] == prompts[b] for _, a, b, _ in told)  # so a split keeps them together
    assert images.group_by(s.PROMPT).agg(pl.col(s.PROMPT_ID).n_unique())[s.PROMPT_ID].max() == 1


# --- Pick-a-Pic -----------------------------------------------------------------------------------
def test_pick_a_pic_keeps_times_makers_and_pictures(tmp_path: Path) -> None:
    made.pick_a_pic(tmp_path / "release")
    release = KINDS["pick-a-pic"].read(tmp_path / "release")
    assert release.choices[s.CHOSEN_AT].null_count() == 0
    assert set(release.images[s.GENERATOR]) == {"xl-base", "photoreal"}
    assert release.ignored["files"] == [
        "validation_unique-00000-of-00001-gh.parquet (repeats rows)"
    ]
    (tmp_path / "home" / "images").mkdir(parents=True)
    assert release.unpack is not None
    release.unpack(tmp_path / "home")
    files = {p.name: p.read_bytes() for p in (tmp_path / "home" / "images").iterdir()}
    assert files == {f"{uid}.jpg": made.jpeg(int(uid[4:])) for uid in release.images[s.IMAGE]}


def test_rows_without_a_choice_are_counted_and_odd_labels_kept_for_quarantine(
    tmp_path: Path,
) -> None:
    rows = [
        pick_row(1, 0, 1, (1.0, 0.0)),
        pick_row(1, 0, 2, (0.5, 0.5), has_label=False),
        pick_row(1, 1, 2, (0.3, 0.7)),
        pick_row(None, 1, 3, (0.0, 1.0)),
        pick_row(2, 3, 3, (0.5, 0.5), jpg_1=None),
    ]
    path = tmp_path / "part.parquet"
    pl.DataFrame(rows).write_parquet(path)
    release = KINDS["pick-a-pic"].read(path)
    assert release.choices.select(s.USER, s.CHOICE).rows() == [
        ("1", "a"), ("1", "0.3 0.7"), (None, "b"), ("2", "tie")
    ]  # fmt: skip
    assert "1 rows without a choice (has_label is false)" in release.ignored["choices"]


@pytest.mark.parametrize(
    ("changes", "drop", "said"),
    [
        ({"image_0_uid": "../../away"}, [], r"row 1: picture id '../../away' cannot be a file's"),
        ({"has_label": False}, [], "no row has a choice"),
        ({}, ["jpg_0"], "no column jpg_0"),
        ({}, ["user_id"], "no column user_id"),
    ],
)
def test_what_pick_a_pic_cannot_be_is_one_line(
    tmp_path: Path, changes: dict[str, Any], drop: list[str], said: str
) -> None:
    path = tmp_path / "part.parquet"
    pl.DataFrame([pick_row(1, 0, 1, (1.0, 0.0), **changes)]).drop(drop).write_parquet(path)
    assert said in fault("pick-a-pic", path)
    path.write_bytes(path.read_bytes()[:200])
    assert "part.parquet: not readable as Parquet" in fault("pick-a-pic", path)
    (tmp_path / "empty").mkdir()
    assert "no .parquet file, there or in data/" in fault("pick-a-pic", tmp_path / "empty")


# --- HPD ------------------------------------------------------------------------------------------
def test_who_is_not_known_is_said_and_not_made_up(tmp_path: Path) -> None:
    made.hpd_v2(tmp_path / "v2")
    notes = KINDS["hpd"].read(tmp_path / "v2").notes
    assert notes[1:] == (
        "3 of 57 choices do not say who chose; they count as those of one user: 'train' (3), so "
        "nothing personal can be learned from them",
    )
    made.hpd_v3(tmp_path / "v3")
    release = KINDS["hpd"].read(tmp_path / "v3")
    assert "5 of 5 choices do not say" in release.notes[1]
    assert "one user each: 'annotators' (3), 'hpdv2' (1), 'midjourney' (1)," in release.notes[1]
    assert release.ignored["files"] == ["train.json (a part of all.json)"]
    makers = dict(release.images.select(s.IMAGE, s.GENERATOR).iter_rows())
    assert makers["images/a1.jpg"] == "flux"
    assert makers["images/d1.jpg"] is None  # 'hpdv2' is no model


def test_one_of_several_pictures_is_compared_with_the_others_alone(tmp_path: Path) -> None:
    names = [f"preference_images/7_{k}.jpg" for k in range(3)]
    record = {"human_preference": 1, "prompt": "a fox", "id": 7, "file_path": names,
              "user_hash": "h1", "contain_name": False}  # fmt: skip
    write_json(tmp_path / "v1" / "preference_train.json", [record])
    release = KINDS["hpd"].read(tmp_path / "v1")
    assert rows_of(release) == [("h1", names[0], names[1], "b"), ("h1", names[1], names[2], "a")]
    assert release.notes == (NO_ORDER,)
    write_json(tmp_path / "v1" / "preference_train.json", [record | {"human_preference": 3}])
    assert "record 1: human_preference 3 is the place of none" in fault("hpd", tmp_path / "v1")


def ranking(**changes: Any) -> dict[str, Any]:
    one = {"prompt": "a fox", "image_path": ["1.jpg", "2.jpg"], "rank": [1, 2]}
    return {key: value for key, value in (one | changes).items() if value != "gone"}


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([ranking(), ranking(rank=[1])], "record 2: pictures has 2 entries and rank 1"),
        ([ranking(rank=[1, None])], "record 1: pictures has 2 entries and rank 2; give a path and"),
        ([ranking(rank=["first", "second"])], "record 1"),
        ([ranking(image_path=["1.jpg"], rank=[1])], "record 1"),
        ([ranking(image_path=["1.jpg", "1.jpg"])], "test/1.jpg is ranked twice by 'test'"),
        ([ranking(image_path="1.jpg")], "image_path holds String; a list is expected"),
        ([ranking(rank="gone")], "not HPD's: records of prompt, image_path"),
        ([ranking(raw_annotations=[{"user_hash": "h"}])], "annotation or rank and user_hash"),
        ([{"prompt": "p", "path1": "a.jpg", "path2": None}], "record 1: path1 or path2 is empty"),
        ([{"path1": "a.jpg", "path2": "b.jpg"}], "no prompt in its records"),
        ([], "the list has no records"),
    ],
)
def test_what_hpd_cannot_be_is_one_line(tmp_path: Path, records: list[Any], said: str) -> None:
    write_json(tmp_path / "test.json", records)
    assert said in fault("hpd", tmp_path / "test.json")


def test_a_folder_without_hpd_or_with_broken_json_is_told(tmp_path: Path) -> None:
    assert "none of all.json, train.json," in fault("hpd", tmp_path)
    (tmp_path / "train.json").write_text("[{")
    assert "train.json: not readable as JSON" in fault("hpd", tmp_path)


# --- ImageRewardDB --------------------------------------------------------------------------------
def test_the_tables_of_the_whole_the_lists_of_the_code_and_people_are_read(tmp_path: Path) -> None:
    told = made.image_reward(tmp_path / "release")
    for path in (tmp_path / "release").rglob("*_[12].json"):
        path.unlink()
    release = KINDS["image-reward"].read(tmp_path / "release")
    assert rows_of(release) == sorted(told)
    assert set(release.images[s.GROUP]) == {"Outdoor Scenes"}
    lists = {"id": "p1", "prompt": "a boat", "generations": ["x/1.webp", "x/2.webp", "x/3.webp"],
             "ranking": [2, 1, 2]}  # fmt: skip
    write_json(tmp_path / "test.json", [lists])
    assert rows_of(KINDS["image-reward"].read(tmp_path / "test.json")) == [
        ("test", "x/1.webp", "x/2.webp", "b"),
        ("test", "x/1.webp", "x/3.webp", "tie"),
        ("test", "x/2.webp", "x/3.webp", "a"),
    ]
    rows = [{"prompt_id": "p1", "prompt": "a boat", "image_path": f"x/{k}.webp", "rank": rank,
             "annotator_id": person} for person, ranks in ((7, (1, 2)), (8, (2, 1)))
            for k, rank in enumerate(ranks)]  # fmt: skip
    write_json(tmp_path / "people.json", rows)
    release = KINDS["image-reward"].read(tmp_path / "people.json")
    assert rows_of(release) == [
        ("7", "x/0.webp", "x/1.webp", "a"),
        ("8", "x/0.webp", "x/1.webp", "b"),
    ]
    assert release.notes == (NO_ORDER,)
    write_json(tmp_path / "people.json", [{**row, "annotator_id": 7} for row in rows])
    assert "x/0.webp is ranked twice by '7'" in fault("image-reward", tmp_path / "people.json")
    write_json(tmp_path / "people.json", [{**rows[0], "rank": "best"}, *rows[1:]])
    assert "row 1: rank is empty or cannot" in fault("image-reward", tmp_path / "people.json")


def test_a_folder_without_image_reward_is_told(tmp_path: Path) -> None:
    assert "neither train_1/train_1.json" in fault("image-reward", tmp_path)
