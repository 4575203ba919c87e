"""Tables of choices as people have them: other suffixes, names, pictures named in each row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.formats.base import Tables
from pamela.data.importing.dataset import import_dataset
from pamela.data.importing.options import TableOptions, parse_columns
from pamela.data.ingest import read_base
from tests.helpers.folders import choices_of, ratings_of, write_choices, write_tables

TOLD = sorted(choices_of(4, 6).rows())


def bring(project: Project, src: Path, said: str = "", **options: Any) -> Tables:
    given = TableOptions(columns=parse_columns([said]), **options)
    import_dataset(project, "tables", str(src), "mine", options=given)
    return read_base(project, "mine")


def rows_of(tables: Tables) -> list[Any]:
    return sorted(tables.choices.collect().select(s.USER, s.IMAGE_A, s.IMAGE_B, s.CHOICE).rows())


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_choices_of_any_suffix_need_no_scale(project: Project, tmp_path: Path, suffix: str) -> None:
    src = write_choices(tmp_path / "src")
    rows = pl.read_csv(src / "choices.csv").with_columns(
        position=pl.int_range(pl.len()), chosen_at=pl.lit("2026-01-02T10:00:00")
    )
    for name in ("choices.csv", "dataset.yaml"):
        (src / name).unlink()
    write = {"csv": rows.write_csv, "jsonl": rows.write_ndjson, "parquet": rows.write_parquet,
             "tsv": lambda path: rows.write_csv(path, separator="\t")}  # fmt: skip
    write[suffix](src / f"choices.{suffix}")
    tables = bring(project, src)
    assert rows_of(tables) == TOLD
    read = tables.choices.collect()
    assert read[s.POSITION].to_list() == list(range(60))
    assert read[s.CHOSEN_AT].null_count() == 0
    assert (tables.scale_declared, tables.n_ratings) == (False, 0)
    assert tables.demographics == ["gender"]


def test_the_columns_may_have_other_names_and_name_the_pictures(
    project: Project, tmp_path: Path
) -> None:
    src = write_tables(tmp_path / "src")
    path = src / "answers.csv"
    for name in ("images.csv", "users.csv"):
        (src / name).unlink()
    choices_of(4, 6).select(
        participant="user_id", left=pl.lit("images/") + pl.col("image_a") + ".png",
        right=pl.lit("images/") + pl.col("image_b") + ".png", answer="choice",
        prompt=pl.lit("a picture"), age=pl.lit("30"), note=pl.lit("x"),
    ).write_csv(path)  # fmt: skip
    names = "user_id=participant,image_a=left,file_a=left,image_b=right,file_b=right,choice=answer"
    tables = bring(project, path, names, demographics=("age",))
    wanted = [(u, f"images/{a}.png", f"images/{b}.png", c) for u, a, b, c in TOLD]
    assert rows_of(tables) == wanted
    assert set(tables.images[s.PROMPT]) == {"a picture"}
    assert all((project.root / file).is_file() for file in tables.images[s.FILE])
    assert tables.users["age"].to_list() == ["30"] * 4


def test_ratings_and_choices_in_other_forms_come_in_together(
    project: Project, tmp_path: Path
) -> None:
    src = write_tables(tmp_path / "src")
    choices_of(4, 6).rename({"user_id": "who"}).write_csv(src / "choices.tsv", separator="\t")
    tables = bring(project, src, "choices.user_id=who")
    assert rows_of(tables) == TOLD
    assert tables.n_ratings == ratings_of(4, 6).height
    assert tables.scale == (1, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": (1.0, 5.0)}, "^--scale is for ratings; src/choices.csv has none"),
        ({"wide": True}, "^--wide is for ratings"),
        ({"demographics": ("age",)}, "--demographics takes columns of the choices; src/users.csv"),
        (
            {"said": "rating=score"},
            "--map rating=score: no such column; src/choices.csv has user_id",
        ),
        ({"said": "image_a=left,image_b=right"}, "--map image_a=left: no such column"),
    ],
)
def test_what_choices_do_not_take_is_one_line(
    project: Project, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    src = write_choices(tmp_path / "src")
    with pytest.raises(PamelaError, match=said):
        bring(project, src, **options)
    assert not (project.raw / "mine").exists()


def test_choices_that_name_no_picture_say_what_would(project: Project, tmp_path: Path) -> None:
    src = write_choices(tmp_path / "src")
    (src / "images.csv").unlink()
    with pytest.raises(PamelaError, match=r"the choices name no picture; .* --map file_a=COLUMN"):
        bring(project, src, "choice=choice")
