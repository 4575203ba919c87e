"""Label Studio's JSON export as a long table of ratings.

One task is one picture, ``{"id": 1, "data": {"image": ..., "prompt": ...}, "annotations": [...]}``;
an annotation is one person's, and holds a rating (stars) or a number per control of the labelling
interface. Skipped annotations are no ratings. Other controls and predictions are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.data.image_files import SUFFIXES
from pamela.data.importing.options import TableOptions
from pamela.data.importing.reshape import ABOUT_IMAGES
from pamela.data.importing.sources import RATINGS, Source

CONTROLS: Final = ("rating", "number")  # types of controls whose value is a number
TASK: Final = "id"
ENDINGS: Final = "|".join(suffix.replace(".", r"\.") for suffix in SUFFIXES)
PICTURE: Final = re.compile(rf"({ENDINGS})($|\?)", re.IGNORECASE)  # a path or web address
COLUMNS: Final = """\
the file of the JSON export (not JSON-MIN, which `tables` reads): tasks with
  data and annotations; ratings are those of a Rating or Number control
  --scale LOWEST,HIGHEST is needed, and --pictures FOLDER where the tasks name
  uploads or web addresses; --map file=KEY (of a task's data), prompt=KEY,
  image_id=KEY (else the task's id), rating=NAME (of the control)"""


def read_export(src: Path, options: TableOptions) -> Source:
    """Read the export at `src` as a table with a row per rating.

    Raises
    ------
    PamelaError
        If it is no such export, or if it leaves open which control or which field is meant.
    """
    if not src.is_file():
        raise PamelaError(f"{src}: no such file; give the .json file of the export")
    tasks = _tasks(src)
    ours = {entry.ours: entry.theirs for entry in options.columns}
    unknown = sorted(set(ours) - {s.RATING, s.IMAGE, *ABOUT_IMAGES})
    if unknown:
        raise PamelaError(
            f"--map {unknown[0]}={ours[unknown[0]]}: of this export, give "
            f"{', '.join((s.RATING, s.IMAGE, *ABOUT_IMAGES))}"
        )
    control = ours.get(s.RATING) or _only_control(src, tasks)
    file = ours.get(s.FILE) or _only_picture(src, tasks)
    named = {s.FILE: file, **{c: ours.get(c, c) for c in ABOUT_IMAGES if c != s.FILE}}
    named[s.IMAGE] = ours.get(s.IMAGE, "")
    rows = list(_rows(tasks, control, named))
    if not rows:
        raise PamelaError(f"{src.name}: no annotation holds the control {control!r}; "
                          f"there are {', '.join(_controls(tasks)) or 'none'}")  # fmt: skip
    text = pl.from_dicts(rows, schema=dict.fromkeys(rows[0], pl.String))
    empty = [c for c in text.columns if text.get_column(c).null_count() == text.height]
    frame = text.drop(c for c in empty if c not in (s.USER, s.IMAGE, s.RATING, s.FILE))
    numbered = frame.with_row_index(s.SOURCE_ROW, offset=1).with_columns(
        pl.lit(src.name).alias(s.SOURCE_FILE), pl.col(s.SOURCE_ROW).cast(pl.Int64)
    )
    return Source({RATINGS: numbered.lazy()}, {RATINGS: src.name}, src.parent, (src,))


def _tasks(src: Path) -> list[Mapping[str, Any]]:
    try:
        tasks = json.loads(src.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise PamelaError(f"{src.name}: not readable as JSON ({str(error)[:100]})") from None
    listed = isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks)
    if not listed or not any(isinstance(task.get("annotations"), list) for task in tasks):
        raise PamelaError(
            f"{src.name}: not Label Studio's JSON export (a list of tasks with annotations); "
            "JSON-MIN and CSV are read by `pamela import tables`"
        )
    return list(tasks)


def _annotations(task: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what people said of a task; a skipped task was not rated."""
    for annotation in task.get("annotations") or []:
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            yield annotation


def _results(annotation: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (name of the control, number) of an annotation."""
    for result in annotation.get("result") or []:
        kind = result.get("type")
        if kind in CONTROLS:
            yield str(result.get("from_name")), (result.get("value") or {}).get(kind)


def _controls(tasks: list[Mapping[str, Any]]) -> list[str]:
    every = (name for task in tasks for a in _annotations(task) for name, _ in _results(a))
    return list(dict.fromkeys(every))


def _only_control(src: Path, tasks: list[Mapping[str, Any]]) -> str:
    controls = _controls(tasks)
    if len(controls) != 1:
        if not controls:
            kinds = sorted({str(r.get("type")) for t in tasks for a in _annotations(t)
                            for r in a.get("result") or []})  # fmt: skip
            raise PamelaError(
                f"{src.name}: no Rating or Number control ({', '.join(kinds) or 'no answers'}); "
                "others are not read yet"
            )
        raise PamelaError(
            f"{src.name}: controls {', '.join(controls)}; say which one is the rating: "
            "--map rating=NAME"
        )
    return controls[0]


def _only_picture(src: Path, tasks: list[Mapping[str, Any]]) -> str:
    """Return the one field of the tasks' data that names a picture."""
    fields = dict.fromkeys(
        key
        for task in tasks
        for key, value in (task.get("data") or {}).items()
        if isinstance(value, str) and PICTURE.search(value)
    )
    if len(fields) != 1:
        names = f"fields {', '.join(fields)}" if fields else "no field"
        found = f"{names} of a task's data may name the picture"
        raise PamelaError(f"{src.name}: {found}; say which one counts: --map file=KEY")
    return next(iter(fields))


def _rows(
    tasks: list[Mapping[str, Any]], control: str, named: Mapping[str, str]
) -> Iterator[dict[str, str | None]]:
    for task in tasks:
        data = task.get("data") or {}
        about = {ours: _text(data.get(theirs)) for ours, theirs in named.items()}
        about[s.IMAGE] = about[s.IMAGE] or _text(task.get(TASK))
        for annotation in _annotations(task):
            for name, number in _results(annotation):
                if name == control:
                    yield {
                        s.USER: _text(_person(annotation.get("completed_by"))),
                        s.RATING: _text(number),
                        s.RATED_AT: _text(annotation.get("created_at")),
                        **about,
                    }


def _person(completed_by: Any) -> Any:
    """Return the id of a person; the export may hold their name and address, which stay out."""
    return completed_by.get("id") if isinstance(completed_by, dict) else completed_by


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) else str(value)
