"""Choices between two pictures as people bring them: what is read, set apart, or stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.files import read_json
from pamela.core.paths import Project
from tests.helpers.bad_data import (
    CHOICES,
    NAME,
    Case,
    Spoil,
    batch,
    check,
    kept,
    rated,
    replaced,
    rows,
    warned,
)
from tests.helpers.folders import choices_of, write_choices, write_tables

Look = Callable[[Project], object]
YAML = f"data/raw/{NAME}/dataset.yaml"
BATCH = f"data/batches/{NAME}/b"
N = 60  # sound choices; an appended one is row 61
SAID = ",".join(choices_of(4, 6).row(0))


def more(*lines: str) -> Spoil:
    """Append choices."""
    return rows(*lines, name="choices.csv")


def with_columns(**columns: Any) -> Spoil:
    """Give the choices other columns."""
    return lambda folder: (
        choices_of(4, 6)
        .with_columns(pl.lit(value).alias(column) for column, value in columns.items())
        .write_csv(folder / "choices.csv")
    )


def beside_ratings(folder: Path) -> None:
    """Write ratings and choices of the same people."""
    write_tables(folder)
    choices_of(4, 6).write_csv(folder / "choices.csv")


def batch_of_choices(header: str, *lines: str) -> Spoil:
    """Add an accepted batch of choices alone."""

    def spoil(folder: Path) -> None:
        home = folder.parents[1] / "batches" / NAME / "b"
        home.mkdir(parents=True)
        (home / "dataset.yaml").write_text(header)
        (home / "choices.csv").write_text("\n".join(["user_id,image_a,image_b,choice", *lines, ""]))

    return spoil


def said(*outcomes: str) -> Look:
    """Look for the last choices that are kept."""

    def look(project: Project) -> None:
        assert kept(project, "choices")[s.CHOICE].to_list()[-len(outcomes) :] == [*outcomes]

    return look


def both(*looks: Look) -> Look:
    """Look for several things."""

    def look(project: Project) -> None:
        for one in looks:
            one(project)

    return look


def scale_of(scale: list[float], *, standardised: bool) -> Look:
    """Look for the dataset's scale."""

    def look(project: Project) -> None:
        meta = read_json(project.tables / "datasets.json")[NAME]
        assert (meta["scale"], meta["standardised"]) == (scale, standardised)

    return look


def of_choices(name: str, spoil: Spoil, **what: Any) -> Case:
    """Return a case of a dataset of choices alone."""
    return Case(name, spoil, start=write_choices, **what)


CASES = [
    of_choices("choice-alone", lambda folder: None, holds=scale_of([-4, 4], standardised=True)),
    Case(
        "choice-beside-ratings",
        lambda folder: None,
        start=beside_ratings,
        holds=scale_of([1, 5], standardised=False),
    ),
    of_choices(
        "choice-case",
        more("u0,i0,i1, A ", "u0,i0,i1,Tie", "u0,i0,i1,image_b", "u0,i0,i1,DRAW"),
        holds=said("a", "tie", "b", "tie"),
    ),
    of_choices(
        "choice-by-id",
        more("u0,i0,i1,i0", "u0,i0,i1, i1", "u0,a,i1,b"),
        choices=rated("unknown_image", N + 3, file=CHOICES),
        holds=said("a", "b"),
    ),
    of_choices(
        "choice-empty",
        more("u0,i0,i1,"),
        choices=rated("choice_missing", N + 1, file=CHOICES),
    ),
    of_choices(
        "choice-other-word",
        more("u0,i0,i1,left", "u0,i0,i1,1", "u0,i0,i1,0.5", "u0,i0,i1,i2"),
        choices=rated("choice_unknown", *range(N + 1, N + 5), file=CHOICES),
        holds=warned("none of a, b and tie: 4", "'left'", "write a where image_a was chosen"),
    ),
    of_choices(
        "choice-against-itself",
        more("u0,i0,i0,a", "u0, i0,i0 ,b"),
        choices=rated("picture_against_itself", N + 1, N + 2, file=CHOICES),
    ),
    of_choices(
        "choice-no-user",
        more(",i0,i1,a"),
        choices=rated("user_missing", N + 1, file=CHOICES),
    ),
    of_choices(
        "choice-unknown-image",
        more("u0,i0,nowhere,a", "u0,nowhere,i0,a", "u0,i0,,a"),
        choices=rated("unknown_image", N + 1, N + 2, N + 3, file=CHOICES),
    ),
    of_choices(
        "choice-image-missing",
        lambda folder: (folder / "images/i5.png").unlink(),
        choices=rated(
            "image_missing", *(15 * u + row for u in range(4) for row in (5, 9, 12, 14, 15)),
            file=CHOICES,
        ),
        images=(("image_missing", f"data/raw/{NAME}/images.csv", 6),),
    ),
    of_choices(
        "choice-image-undecodable",
        lambda folder: (folder / "images/i5.png").write_bytes(b"none"),
        choices=rated(
            "image_undecodable", *(15 * u + row for u in range(4) for row in (5, 9, 12, 14, 15)),
            file=CHOICES,
        ),
        images=(("image_undecodable", f"data/raw/{NAME}/images.csv", 6),),
    ),
    of_choices(
        "choice-contradiction",
        more("u0,i0,i1,a", "u0,i1,i0,a", "u0,i0,i1,b", "u0,i0,i1,b"),
        holds=said("a", "a", "b", "b"),
    ),
    of_choices(
        "choice-delivered-again",
        batch_of_choices("name: d\n", SAID, "new,i0,i1,a", SAID, "new,i0,i1,a"),
        choices=rated("choice_repeated", 1, file=f"{BATCH}/choices.csv"),
    ),
    Case(
        "choice-in-future",
        with_columns(chosen_at="2999-01-01"),
        choices=rated("chosen_in_future", *range(1, N + 1), file=CHOICES),
        start=beside_ratings,
    ),
    of_choices(
        "choice-time-unreadable",
        with_columns(chosen_at="yesterday"),
        stops=f"{CHOICES} row 1: chosen_at 'yesterday' is not a time such as 2026-01-31T12:00:00; "
        "correct the cell",
    ),
    of_choices(
        "choice-position-unreadable",
        with_columns(position="1.5"),
        stops=f"{CHOICES} row 1: position '1.5' is not a whole number; correct the cell",
    ),
    of_choices(
        "choice-no-column",
        replaced("choices.csv", b"image_b", b"right"),
        stops=f"{CHOICES}: no column image_b; the file has user_id, image_a, right, choice",
    ),
    of_choices(
        "choice-no-rows",
        lambda folder: choices_of(0, 6).write_csv(folder / "choices.csv"),
        stops=f"{CHOICES}: the table has no rows; give at least one choice",
    ),
    Case(
        "choice-ratings-without-scale",
        lambda folder: (folder / "dataset.yaml").write_text("name: d\n"),
        start=beside_ratings,
        stops=f"{YAML}: missing key scale; declare `scale: [lowest, highest]` of ratings.csv in it",
    ),
    of_choices(
        "choice-scale-without-ratings",
        lambda folder: (folder / "dataset.yaml").write_text("name: d\nscale: [1, 5]\n"),
        holds=both(
            warned("a scale is declared, 1..5, and there are no ratings"),
            scale_of([-4, 4], standardised=True),
        ),
    ),
    Case(
        "choice-batch-to-ratings",
        batch_of_choices("name: d\n", "u0,i0,i1,b", "new,i0,i1,a"),
        start=write_tables,
        holds=both(said("b", "a"), scale_of([1, 5], standardised=False)),
    ),
    Case(
        "choice-batch-other-scale",
        batch_of_choices("name: d\nscale: [0, 10]\n", "u0,i0,i1,b"),
        start=write_tables,
        stops=f"{BATCH}/dataset.yaml: scale [0, 10] is not that of dataset {NAME}, [1, 5]; convert "
        "the ratings",
    ),
    of_choices(
        "choice-batch-of-ratings",
        batch("b", "u0,i0,4"),
        stops=f"{BATCH}/dataset.yaml: scale [1, 5], while dataset {NAME} declares none, as it has "
        "choices alone; import it anew with this scale in its dataset.yaml, or the ratings by "
        "themselves",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path / "project")
