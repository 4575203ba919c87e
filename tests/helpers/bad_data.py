"""A case of bad data: how a sound dataset is spoiled, and exactly what must become of it.

Each case runs the real path (`run`: what the flows of ingest and validate do) and has a row of the
same name in docs/bad-data.md.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.data import ingest
from pamela.params import load_params
from pamela.validation import validate
from pamela.validation.expectations import RULE
from tests.helpers.folders import make_project, ratings_of, write_tables

NAME = "d"
RATINGS = f"data/raw/{NAME}/ratings.csv"
USERS = f"data/raw/{NAME}/users.csv"
IMAGES = f"data/raw/{NAME}/images.csv"
CHOICES = f"data/raw/{NAME}/choices.csv"
Row = tuple[str, str, int]  # rule, source_file, source_row
Spoil = Callable[[Path], object]
Within = Callable[[Path], AbstractContextManager[None]]


def as_before(folder: Path) -> AbstractContextManager[None]:
    """Run as the tests do."""
    return nullcontext()


@dataclass(frozen=True)
class Case:
    """One way to spoil a dataset, by default that of `folders.write_tables` (4 users x 6 images).

    Attributes
    ----------
    name : its row in docs/bad-data.md.
    spoil : changes the dataset's folder.
    stops : the whole error line, where the pipeline stops; a line that ends with "…" is how it
        begins, where a library's own words follow.
    ratings, choices, images : the quarantined rows; all others are kept.
    holds : looks at the project that went through.
    start : writes the sound dataset.
    within : what the run happens in, given the dataset's folder (e.g. as another system user).
    """

    name: str
    spoil: Spoil
    stops: str | None = None
    ratings: tuple[Row, ...] = ()
    choices: tuple[Row, ...] = ()
    images: tuple[Row, ...] = ()
    holds: Callable[[Project], object] = field(default=lambda project: None)
    start: Spoil = write_tables
    within: Within = as_before


def run(project: Project) -> dict[str, validate.TableResults]:
    """Do what the flows of ingest and validate do; any share of faulty rows may pass."""
    params = load_params(project.params_file)
    ingest.prepare_world(project, params)
    datasets = [ingest.read_dataset(project, name) for name in params.ingest.datasets]
    hashes = ingest.hash_pictures(project, datasets)
    ingest.write_tables(project, datasets, hashes)
    suites, decoded = validate.load_suites(project), validate.decode_pictures(project)
    latest = params.validate_.latest_rated_at
    results = {
        name: validate.check_dataset(project, name, decoded, suites, latest)
        for name in validate.ingested_datasets(project)
    }
    validate.write_quarantine(project, results)
    validate.write_validation_report(project, results, 1.0)
    validate.write_validated(project, results, 1.0)
    return results


def check(case: Case, folder: Path) -> None:
    """Spoil a sound dataset in a project of its own and hold the outcome to the case."""
    project = make_project(folder, ingest={"datasets": [NAME]})
    dataset = project.raw / NAME
    case.start(dataset)
    case.spoil(dataset)
    with case.within(dataset):
        if case.stops is not None:
            _check_stopped(case.stops, project)
            return
        run(project)
    for table in ("ratings", "choices", "images"):
        expected = getattr(case, table)
        before = pl.read_parquet(project.tables / f"{table}.parquet")
        kept = pl.read_parquet(project.validated / f"{table}.parquet")
        bad = pl.read_parquet(project.quarantine / NAME / f"{table}.parquet")
        found = bad.select(RULE, s.SOURCE_FILE, s.SOURCE_ROW).rows()
        assert sorted(found) == sorted(expected), table
        assert before.height == kept.height + bad.height, table  # nothing is lost
    case.holds(project)


def _check_stopped(line: str, project: Project) -> None:
    with pytest.raises(PamelaError) as error:
        run(project)
    said = str(error.value)
    assert said == line or (line.endswith("…") and said.startswith(line[:-1])), said
    assert "\n" not in said
    for written in (project.tables, project.validated, project.quarantine):
        assert not written.exists()


def rated(rule: str, *rows: int, file: str = RATINGS) -> tuple[Row, ...]:
    """Return the quarantined rows of one file under one rule."""
    return tuple((rule, file, row) for row in rows)


def kept(project: Project, table: str = "ratings") -> pl.DataFrame:
    """Return a validated table."""
    return pl.read_parquet(project.validated / f"{table}.parquet")


# --- how tables are spoiled -----------------------------------------------------------------------
def bytes_in(name: str, content: bytes) -> Spoil:
    """Put `content` in the place of a file."""
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, keep: int) -> Spoil:
    """Keep the first bytes of a file; a negative number is left away from its end."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def replaced(name: str, old: bytes, new: bytes) -> Spoil:
    """Replace bytes of a file wherever they stand."""

    def spoil(folder: Path) -> None:
        content = (folder / name).read_bytes()
        assert old in content
        (folder / name).write_bytes(content.replace(old, new))

    return spoil


def rows(*lines: str, name: str = "ratings.csv") -> Spoil:
    """Append lines to a table."""

    def spoil(folder: Path) -> None:
        with (folder / name).open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)

    return spoil


def all_of(*spoils: Spoil) -> Spoil:
    """Spoil in several ways."""

    def spoil(folder: Path) -> None:
        for one in spoils:
            one(folder)

    return spoil


def ratings(**columns: Any) -> Spoil:
    """Give the ratings other columns (a value, or one per row of 24)."""

    def spoil(folder: Path) -> None:
        changed = [
            pl.Series(c, v) if isinstance(v, list) else pl.lit(v).alias(c)
            for c, v in columns.items()
        ]
        ratings_of(4, 6).with_columns(changed).write_csv(folder / "ratings.csv")

    return spoil


def in_parquet(name: str, *columns: pl.Expr) -> Spoil:
    """Turn a table into Parquet with other columns."""

    def spoil(folder: Path) -> None:
        frame = pl.read_csv(folder / f"{name}.csv", infer_schema=False).with_columns(columns)
        (folder / f"{name}.csv").unlink()
        frame.write_parquet(folder / f"{name}.parquet")

    return spoil


def batch(name: str, *lines: str, header: str = "user_id,image_id,rating") -> Spoil:
    """Add an accepted batch of ratings."""

    def spoil(folder: Path) -> None:
        home = folder.parents[1] / "batches" / NAME / name
        home.mkdir(parents=True)
        (home / "dataset.yaml").write_text(f"name: {NAME}\nscale: [1, 5]\n")
        (home / "ratings.csv").write_text("\n".join([header, *lines, ""]))

    return spoil


def warned(*parts: str) -> Callable[[Project], object]:
    """Look for the one remark on the dataset: in the report of validate, each of the `parts`."""

    def look(project: Project) -> None:
        (remark,) = read_json(project.reports / "validation.json")["datasets"][NAME]["remarks"]
        assert all(part in remark for part in parts), remark

    return look


def has_user(user: str, gender: str | None, n: int) -> Callable[[Project], object]:
    """Look for a user, what is known of them, and how many ratings they have."""

    def look(project: Project) -> None:
        users = kept(project, "users").filter(user_id=user)
        assert users["gender"].to_list() == [gender]
        assert kept(project).filter(user_id=user).height == n

    return look
