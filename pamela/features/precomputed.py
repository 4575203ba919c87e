"""Features that came with the datasets: ``features.npz`` of a dataset and of its batches."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats32
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256, read_json
from pamela.core.paths import Project


def read_precomputed(project: Project, images: pl.DataFrame) -> tuple[Floats32, str]:
    """Return the features of `images`, float32 (n, d) in their order, and a fingerprint.

    Raises
    ------
    PamelaError
        If a dataset has no features file, the files lack a picture, hold a NaN or the same row for
        every picture, or two differ in width; the message names the dataset, the file and the
        picture.
    """
    meta = read_json(project.tables / "datasets.json")
    found: Floats32 | None = None
    first_name, digest = "", hashlib.sha256()
    for (name,), rows in images.with_row_index("_row").group_by(s.DATASET, maintain_order=True):
        paths = _files(project, str(name), meta[name])
        features = read_rows(project, paths, rows[s.IMAGE])
        for path in paths:
            digest.update(bytes.fromhex(file_sha256(path)))
        if found is None:
            found = np.zeros((images.height, features.shape[1]), np.float32)
            first_name = str(name)
        if features.shape[1] != found.shape[1]:
            raise PamelaError(
                f"embed.encoder precomputed: features of {name} have {features.shape[1]} "
                f"dimensions, those of {first_name} {found.shape[1]}; use one encoder for all "
                "datasets"
            )
        found[rows["_row"].to_numpy()] = features
    if found is None:
        raise PamelaError("embed.encoder precomputed: no dataset has a picture")
    return found, digest.hexdigest()


def _files(project: Project, name: str, meta: dict[str, Any]) -> list[Path]:
    own, batches = meta["features"], meta["batch_features"]
    if own is None:
        raise PamelaError(
            f"embed.encoder precomputed: dataset {name} has no features file; add "
            "`features: <file>.npz` to its dataset.yaml or name an encoder"
        )
    return [project.root / str(file) for file in (own, *batches)]


def read_rows(project: Project, paths: list[Path], ids: pl.Series) -> Floats32:
    """Return the rows of `ids` from one or more files; the first file that has one counts."""
    tables = [_read_npz(project, path) for path in paths]
    widths = {values.shape[1] for _, values in tables}
    if len(widths) > 1:
        names = ", ".join(project.relative(path) for path in paths)
        raise PamelaError(f"{names}: features of {sorted(widths)} dimensions; they must agree")
    known = (
        pl.DataFrame({s.IMAGE: np.concatenate([names for names, _ in tables])})
        .with_row_index("_at")
        .unique(s.IMAGE, keep="first")
    )
    at = pl.DataFrame({s.IMAGE: ids}).join(known, on=s.IMAGE, how="left", maintain_order="left")
    where = " and ".join(project.relative(path) for path in paths)
    absent = at.filter(pl.col("_at").is_null())
    if absent.height:
        raise PamelaError(
            f"{where}: no features for {absent.height} images, first {absent[s.IMAGE][0]}; its "
            f"image_id has {', '.join(map(repr, known[s.IMAGE].head(3).to_list())) or 'nothing'}"
        )
    values = np.concatenate([values for _, values in tables])
    with np.errstate(over="ignore"):  # infinite then, which is told below
        rows = values[at["_at"].to_numpy()].astype(np.float32)
    broken = ~np.isfinite(rows).all(axis=1)
    if broken.any():
        raise PamelaError(
            f"{where}: NaN or infinite features (as float32) for {int(broken.sum())} images, "
            f"first {ids[int(broken.argmax())]}; write finite numbers"
        )
    if len(rows) > 1 and (rows == rows[0]).all():
        raise PamelaError(
            f"{where}: the same features for all {len(rows)} images, so that nothing tells them "
            "apart; write the features of its own picture for each image_id"
        )
    return rows


def _read_npz(project: Project, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return ``image_id`` (n,) as text and ``features`` (n, d) of one file, checked."""
    where = project.relative(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, values = _spelt(arrays["image_id"].astype(str)), arrays["features"]
    except FileNotFoundError:
        raise PamelaError(f"{where}: no such features file") from None
    except KeyError as error:
        raise PamelaError(f"{where}: no array {error}; it needs image_id and features") from None
    except (OSError, ValueError, EOFError) as error:
        raise PamelaError(f"{where}: not readable as .npz ({error})".splitlines()[0]) from None
    if values.ndim != 2 or len(values) != len(names) or values.shape[1] == 0:
        raise PamelaError(
            f"{where}: {len(names)} ids but features of shape {values.shape}; expected (n, d), "
            "d at least 1"
        )
    if values.dtype.kind not in "fiu":
        raise PamelaError(f"{where}: features of {values.dtype}; save them as float32")
    if len(set(names.tolist())) < len(names):
        known, counts = np.unique(names, return_counts=True)
        twice = known[counts > 1]
        raise PamelaError(
            f"{where}: {len(twice)} image_ids occur twice, first {twice[0]}; keep one row of each"
        )
    return names, values


def _spelt(names: np.ndarray) -> np.ndarray:
    """Return ids as the tables have them, else a blank would hide a picture's features."""
    ids = pl.DataFrame({s.IMAGE: names.ravel().tolist()}, schema={s.IMAGE: pl.String})
    spelt = ids.select(s.identifier(s.IMAGE).fill_null("")).to_series().to_list()
    return np.array(spelt, dtype=str)
