"""Files of the example pictures of an explanation, and thumbnails of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.images import open_rgb
from pamela.core.paths import Project, find_root
from pamela.explain.result import Explanation


def files_here(explanation: Explanation) -> dict[str, Path]:
    """Return the picture files in the project around the working directory; {} outside of one."""
    try:
        root = find_root()
    except PamelaError:
        return {}
    return files_of(Project(root), explanation)


def files_of(project: Project, explanation: Explanation) -> dict[str, Path]:
    """Return ``{image_id: file}`` of the example pictures whose content the project has."""
    path = project.validated / "images.parquet"
    if not path.is_file():
        return {}
    wanted = explanation.pictures.select(s.IMAGE, _content=s.SHA256)
    found = (
        read_parquet(path, columns=[s.DATASET, s.IMAGE, s.FILE, s.SHA256])
        .filter(pl.col(s.DATASET) == explanation.dataset)
        .join(wanted, on=s.IMAGE, how="inner")
        .filter(pl.col(s.SHA256).eq_missing(pl.col("_content")))
        .drop_nulls(s.FILE)
    )
    files = {row[s.IMAGE]: project.root / row[s.FILE] for row in found.iter_rows(named=True)}
    return {image: file for image, file in files.items() if file.is_file()}


def thumbnails(
    table: pl.DataFrame, files: Mapping[str, Path], side: int
) -> list[tuple[dict[str, Any], npt.NDArray[np.uint8]]]:
    """Return the rows of `table` that have a file, each with its middle square, (side, side, 3)."""
    found = []
    for row in table.iter_rows(named=True):
        file = files.get(row[s.IMAGE])
        if file is not None:
            found.append((row, _square(open_rgb(file, str(file)), side)))
    return found


def _square(image: Image.Image, side: int) -> npt.NDArray[np.uint8]:
    edge = min(image.size)
    left, top = ((length - edge) // 2 for length in image.size)
    middle = image.crop((left, top, left + edge, top + edge))
    return np.asarray(middle.resize((side, side), Image.Resampling.LANCZOS))
