"""Ingest: three canonical tables of every dataset with its batches, or nothing and one line."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data import ingest
from pamela.params import load_params
from tests.helpers.folders import images_of, make_project, ratings_of, write_release, write_tables


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "p", ingest={"datasets": ["one"]})
    write_tables(project.raw / "one")
    return project


def run(project: Project) -> None:
    """Do what the flow does."""
    params = load_params(project.params_file)
    ingest.prepare_world(project, params)
    datasets = [ingest.read_dataset(project, name) for name in params.ingest.datasets]
    ingest.write_tables(project, datasets, ingest.hash_pictures(project, datasets))


def table(project: Project, name: str) -> pl.DataFrame:
    """Read a written table."""
    return pl.read_parquet(project.tables / f"{name}.parquet")


def written(project: Project) -> dict[str, bytes]:
    """Return the bytes of every file of the tables."""
    files = (path for path in project.tables.rglob("*") if path.is_file())
    return {path.relative_to(project.tables).as_posix(): path.read_bytes() for path in files}


def fault(project: Project) -> str:
    """Return the line that ingest ends with, having left no table."""
    with pytest.raises(PamelaError) as error:
        run(project)
    assert not project.tables.exists()
    return str(error.value)


def batch(project: Project, name: str, text: str, header: str = "name: b\nscale: [1, 5]\n") -> Path:
    """Write a batch of ratings for dataset ``one``."""
    folder = project.batches / "one" / name
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text(header)
    (folder / "ratings.csv").write_text(text)
    return folder


def test_canonical_tables(project: Project) -> None:
    run(project)
    assert table(project, "ratings").schema == s.RATINGS_SCHEMA
    assert table(project, "images").schema == s.IMAGES_SCHEMA
    assert table(project, "users").columns == ["dataset", "user_id", "gender"]
    images = table(project, "images")
    first = (project.root / images["file"][0]).read_bytes()
    assert images["sha256"][0] == hashlib.sha256(first).hexdigest()
    assert images["file"][0] == "data/raw/one/images/i0.png"
    assert json.loads((project.tables / "datasets.json").read_text())["one"] == {
        "scale": [1.0, 5.0],
        "standardised": False,
        "features": None,
        "batch_features": [],
        "has_images": True,
        "own_splits": False,
        "root": "data/raw/one",
        "features_sha256": [],
        "remarks": [],
    }
    assert list(project.synthetic.iterdir()) == []
    assert list(project.truth.iterdir()) == []


def test_an_absent_picture_has_no_hash(project: Project) -> None:
    (project.raw / "one/images/i3.png").unlink()
    run(project)
    assert (
        table(project, "images")["sha256"].is_null().to_list() == [False] * 3 + [True] + [False] * 2
    )


def test_the_same_input_gives_the_same_bytes(project: Project) -> None:
    def digest() -> dict[str, bytes]:
        run(project)
        return written(project)

    first = digest()
    assert digest() == first


def test_datasets_keep_their_namespaces_and_the_order_of_params_does_not_matter(
    tmp_path: Path,
) -> None:
    found = []
    for order in (["one", "two"], ["two", "one"]):
        project = make_project(tmp_path / order[0], ingest={"datasets": order})
        users = pl.DataFrame({"user_id": ["u0"], "age": ["30"]})
        write_tables(project.raw / "one")
        write_tables(project.raw / "two", users=users, header="name: d\nscale: [0, 10]\n")
        run(project)
        found.append(written(project))
    assert found[0] == found[1]
    users = table(project, "users")
    assert users.columns == ["dataset", "user_id", "gender", "age"]
    assert users.filter(user_id="u0").rows() == [
        ("one", "u0", "f", None),
        ("two", "u0", None, "30"),
    ]
    assert table(project, "images").height == 12
    meta = json.loads((project.tables / "datasets.json").read_text())
    assert [m["scale"] for m in meta.values()] == [[1.0, 5.0], [0.0, 10.0]]


def test_a_rater_who_is_not_listed_is_a_user_without_demographics(project: Project) -> None:
    write_tables(project.raw / "one", ratings=ratings_of(5, 6))
    run(project)
    assert table(project, "users").rows()[-1] == ("one", "u4", None)


def test_batches_add_rows_users_and_images(project: Project) -> None:
    batch(project, "b2", "user_id,image_id,rating\nu0,i0,4\nnew,i1,2\n")
    write_tables(
        project.batches / "one" / "b1",
        ratings=pl.DataFrame({"user_id": ["u1"], "image_id": ["j0"], "rating": ["1"]}),
        users=pl.DataFrame({"user_id": ["u2", "listed"], "gender": ["m", "f"]}),
        images=pl.DataFrame({"image_id": ["j0"], "file": ["images/j0.png"], "prompt": ["j"]}),
    )
    (project.batches / "one" / "b1.dvc").write_text("")
    run(project)
    ratings = table(project, "ratings")
    assert ratings.height == 27
    assert ratings.tail(3)["source_file"].to_list() == [
        "data/batches/one/b1/ratings.csv",
        *["data/batches/one/b2/ratings.csv"] * 2,
    ]
    users = {row[1]: row[2] for row in table(project, "users").rows()}
    assert users["u2"] == "m"  # was null, the batch says it
    assert users["listed"] == "f"
    assert users["new"] is None
    added = table(project, "images").filter(image_id="j0")
    assert added["file"].to_list() == ["data/batches/one/b1/images/j0.png"]
    assert added["sha256"].null_count() == 0


def test_a_batch_of_another_scale_is_refused(project: Project) -> None:
    batch(project, "b", "user_id,image_id,rating\nu0,i0,4\n", "name: b\nscale: [1, 7]\n")
    assert fault(project).startswith("data/batches/one/b/dataset.yaml: scale [1, 7] is not that of")


def test_what_repeats_are_is_for_the_dataset_to_say(project: Project) -> None:
    header = "name: b\nscale: [1, 5]\nrepeats: all\n"
    batch(project, "b", "user_id,image_id,rating\nu0,i0,4\n", header)
    said = "data/batches/one/b/dataset.yaml: repeats all is for dataset one to say; take it out"
    assert fault(project) == said


def test_a_batch_that_repeats_an_image_or_contradicts_a_user_is_refused(project: Project) -> None:
    folder = batch(project, "b", "user_id,image_id,rating\nu0,i0,4\n")
    images_of(1).write_csv(folder / "images.csv")
    said = fault(project)
    assert said.startswith("data/batches/one/b/images.csv row 1: image_id 'i0' is repeated")
    assert "data/raw/one/images.csv row 1" in said
    (folder / "images.csv").unlink()
    (folder / "users.csv").write_text("user_id,gender\nu0,m\n")
    assert fault(project).startswith("data/batches/one/b/users.csv row 1: user 'u0' has gender 'm'")


def test_a_missing_folder_says_what_to_run(tmp_path: Path) -> None:
    project = make_project(tmp_path, ingest={"datasets": ["gone"]})
    assert fault(project) == (
        "data/raw/gone: no such folder; run `pamela import KIND SRC --name gone`"
    )


def test_the_embedded_release_is_read_with_its_batches(tmp_path: Path) -> None:
    project = make_project(tmp_path, ingest={"datasets": ["synthetic"]})
    write_release(project.synthetic)
    folder = project.batches / "synthetic" / "b"
    folder.mkdir(parents=True)
    (folder / "dataset.yaml").write_text("name: synthetic\nscale: [1, 5]\n")
    (folder / "ratings.csv").write_text("user_id,image_id,rating\nfresh,0,5\n")
    dataset = ingest.read_dataset(project, "synthetic")
    ingest.write_tables(project, [dataset], ingest.hash_pictures(project, [dataset]))
    ratings = table(project, "ratings")
    assert ratings.height == 14
    assert ratings.row(-1, named=True)["split"] is None
    assert table(project, "images")["sha256"].null_count() == 0
    meta = json.loads((project.tables / "datasets.json").read_text())["synthetic"]
    assert meta["own_splits"]
    assert meta["root"] == "data/synthetic/PAMELA"


def test_row_order_of_users_and_images_does_not_matter(project: Project) -> None:
    run(project)
    before = [table(project, n).rows() for n in ("users", "images")]
    rows = list(range(6))
    random.Random(0).shuffle(rows)
    write_tables(project.raw / "one", images=images_of(6)[rows], pictures=False)
    run(project)
    assert [table(project, n).rows() for n in ("users", "images")] == before
