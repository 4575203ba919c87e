"""Label Studio's JSON export: a rating per person and task, pictures found among the uploads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.data.formats.base import Tables
from pamela.data.importing.dataset import import_dataset
from pamela.data.importing.options import TableOptions, parse_columns
from pamela.data.ingest import read_base
from tests.helpers.survey_exports import Export, label_studio


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return label_studio(tmp_path / "ls")


def bring(project: Project, export: Export, said: str = "", **options: Any) -> Tables:
    options = {"scale": (1.0, 5.0), "pictures": export.pictures, **options}
    given = TableOptions(columns=parse_columns([said]), **options)
    import_dataset(project, "label-studio", str(export.file), "mine", options=given)
    return read_base(project, "mine")


def changed(export: Export, change: Any) -> None:
    """Rewrite the export with each task changed."""
    tasks = json.loads(export.file.read_text())
    for task in tasks:
        change(task)
    export.file.write_text(json.dumps(tasks))


def test_ratings_people_prompts_and_pictures_come_in(project: Project, export: Export) -> None:
    tables = bring(project, export)
    rows = tables.ratings.collect()
    assert sorted(rows.select("user_id", "image_id", "rating").rows()) == sorted(export.ratings)
    assert rows["rated_at"].null_count() == 0
    assert tables.images["prompt"].to_list() == [f"a picture of {n}" for n in range(1, 7)]
    files = [project.root / file for file in tables.images["file"]]
    assert all(file.is_file() for file in files)
    everything = "".join(p.read_text() for p in (project.raw / "mine").glob("*.*"))
    assert "invented.example" not in everything  # nobody's address


def test_what_is_left_open_must_be_said(project: Project, export: Export) -> None:
    def second(task: dict[str, Any]) -> None:
        task["data"]["thumbnail"] = "/data/small/x.png"
        task["data"]["key"] = f"k{task['id']}"
        for annotation in task["annotations"]:
            more = [{**r, "from_name": "skill", "type": "number", "value": {"number": 2}}
                    for r in annotation["result"][:1]]  # fmt: skip
            annotation["result"] += more

    changed(export, second)
    with pytest.raises(PamelaError, match=r"controls liking, skill; .* --map rating=NAME"):
        bring(project, export)
    with pytest.raises(PamelaError, match=r"fields image, thumbnail .* --map file=KEY"):
        bring(project, export, "rating=skill")
    tables = bring(project, export, "rating=skill,file=image,image_id=key")
    rows = tables.ratings.collect()
    assert set(rows["rating"]) == {2.0}
    assert rows["image_id"].str.starts_with("k").all()


def test_local_files_and_web_addresses_are_found_by_the_end_of_their_path(
    project: Project, export: Export
) -> None:
    def elsewhere(task: dict[str, Any]) -> None:
        upload = Path(task["data"]["image"]).name
        here = export.pictures / "3" / upload
        if here.exists():
            here.rename(here.with_name(upload.replace("-", " of ")))
        name = upload.replace("-", "%20of%20")
        local, web = f"/data/local-files/?d=3/{name}", f"s3://bucket.invented/deep/{name}"
        task["data"]["image"] = local if task["id"] % 2 else web

    changed(export, elsewhere)
    tables = bring(project, export)
    assert all((project.root / file).is_file() for file in tables.images["file"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "not Label Studio's JSON export"),
        (
            '[{"image": "a.png", "rating": 3}]',
            "JSON-MIN and CSV are read by `pamela",
        ),
        ("{", "not readable as JSON"),
    ],
)
def test_another_file_is_told(project: Project, export: Export, content: str, said: str) -> None:
    export.file.write_text(content)
    with pytest.raises(PamelaError, match=said):
        bring(project, export)
    with pytest.raises(PamelaError, match=r"give the .json file of the export"):
        import_dataset(project, "label-studio", str(export.pictures), "mine")


def test_the_short_form_is_a_table(project: Project, export: Export) -> None:
    tasks = json.loads(export.file.read_text())
    short = [
        {"id": t["id"], "image": t["data"]["image"], "annotator": a["completed_by"]["id"],
         "liking": a["result"][1]["value"]["rating"]}
        for t in tasks for a in t["annotations"] if a["result"]
    ]  # fmt: skip
    export.file.write_text(json.dumps(short))
    said = "user_id=annotator,image_id=id,rating=liking,file=image"
    given = TableOptions(parse_columns([said]), scale=(1.0, 5.0), pictures=export.pictures)
    import_dataset(project, "tables", str(export.file), "mine", options=given)
    rows = read_base(project, "mine").ratings.collect()
    assert sorted(rows.select("user_id", "image_id", "rating").rows()) == sorted(export.ratings)
    assert rows.schema["rating"] == pl.Float64
