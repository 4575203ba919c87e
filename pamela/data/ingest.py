"""Every dataset of ``ingest.datasets``, with its batches, as four canonical tables.

Run by ``python -m flows.ingest``. Structural faults stop here; rows are looked at by `validate`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, file_sha256, sink_parquet, write_json, write_parquet
from pamela.core.paths import Project
from pamela.data import formats, image_files
from pamela.data.formats import base
from pamela.data.formats.base import Tables
from pamela.data.formats.files import shown
from pamela.data.partitions import partition_name
from pamela.data.remarks import remarks
from pamela.data.withdrawn import read_withdrawn, without
from pamela.params import Params

SYNTHETIC: Final = "synthetic"


@dataclass(frozen=True)
class Dataset:
    """A dataset with all of its batches merged in."""

    tables: Tables
    batches: tuple[str, ...]
    batch_features: tuple[Path, ...]
    sources: tuple[Tables, ...]  # the dataset as imported, then its batches, by name

    @property
    def features(self) -> list[Path]:
        """Every file of precomputed features, the dataset's own first."""
        own = [self.tables.features] if self.tables.features else []
        return [*own, *self.batch_features]

    @property
    def own_splits(self) -> bool:
        """Whether the dataset says itself who and what is held out (a batch cannot)."""
        return self.sources[0].own_splits

    @property
    def n_ratings(self) -> int:
        """Number of rating rows."""
        return sum(source.n_ratings for source in self.sources)

    @property
    def n_choices(self) -> int:
        """Number of choice rows."""
        return sum(source.n_choices for source in self.sources)

    @property
    def standardised(self) -> bool:
        """Whether there are choices alone, which have no scale of their own."""
        return not self.n_ratings

    @property
    def scale(self) -> tuple[float, float]:
        """Lowest and highest rating, or the ends of the standardised scale."""
        return s.STANDARD_SCALE if self.standardised else self.tables.scale

    @property
    def counts(self) -> str:
        """What was found, for people."""
        t = self.tables
        given = {"ratings": self.n_ratings, "choices": self.n_choices}
        rows = " and ".join(f"{n:,} {what}" for what, n in given.items() if n) or "no ratings"
        scale = "standardised" if self.standardised else f"{t.scale[0]:g}..{t.scale[1]:g}"
        batches = f", batches: {len(self.batches)}" if self.batches else ""
        return (
            f"{t.name}: {rows} by {t.users.height:,} users on {t.images.height:,} images, "
            f"scale {scale}{batches}"
        )


def prepare_world(project: Project, params: Params) -> None:
    """Build the embedded world if it is named; otherwise leave its two folders empty."""
    if SYNTHETIC in params.ingest.datasets:
        from pamela.synthetic.release import build_release

        build_release(params.synthetic, project.synthetic, project.truth)
        return
    for folder in (project.synthetic, project.truth):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)


def read_dataset(project: Project, name: str) -> Dataset:
    """Read dataset `name` and its batches, without the people who have withdrawn.

    Raises
    ------
    PamelaError
        On the first structural fault.
    """
    withdrawn = read_withdrawn(project)
    original = without(read_base(project, name), withdrawn)
    folders = batch_folders(project, name)
    batches = [
        without(formats.read_batch(folder, name, project.root), withdrawn) for folder in folders
    ]
    return merge_batches(original, batches, project.root)


def read_base(project: Project, name: str) -> Tables:
    """Read dataset `name` without its batches."""
    if name == SYNTHETIC:
        return formats.read_folder(project.synthetic, name, project.root, kind="pamela")
    folder = project.raw / name
    if not folder.is_dir():
        shown_folder = project.relative(folder)
        if folder.with_name(f"{name}.dvc").is_file():
            raise PamelaError(f"{shown_folder}: no such folder; `dvc pull` or `dvc checkout` it")
        raise PamelaError(
            f"{shown_folder}: no such folder; run `pamela import KIND SRC --name {name}`"
        )
    return formats.read_folder(folder, name, project.root)


def batch_folders(project: Project, name: str) -> list[Path]:
    """Return the folders of the accepted batches of dataset `name`, by name."""
    home = project.batches / name
    if not home.is_dir():
        return []
    return sorted(p for p in home.iterdir() if p.is_dir() and not p.name.startswith("."))


def merge_batches(original: Tables, batches: Sequence[Tables], root: Path) -> Dataset:
    """Append `batches` to a dataset: their rows, and their new users and images.

    Raises
    ------
    PamelaError
        If a batch declares another scale, brings ratings where there is none, repeats a known
        image id, or contradicts what is known of a user.
    """
    for batch in batches:
        _require_scale(original, batch, root)
        if batch.declared_repeats not in (None, original.declared_repeats):
            raise PamelaError(
                f"{shown(batch.folder, root)}/dataset.yaml: repeats {batch.declared_repeats} is "
                f"for dataset {original.name} to say; take it out"
            )
    every = [original, *batches]
    images = pl.concat([t.images for t in every])
    base.reject_repeats(images, s.IMAGE, advice="give a new picture a new id")
    users = _merge_users(pl.concat([t.users for t in every], how="diagonal"))
    merged = replace(
        original,
        ratings=pl.concat([t.ratings for t in every]),
        choices=pl.concat([t.choices for t in every]),
        images=images.sort(s.DATASET, s.IMAGE),
        users=base.add_unlisted_users(users, pl.concat([t.people for t in every])),
        counted=None,
        choices_counted=None,
    )
    return Dataset(
        merged,
        tuple(batch.folder.name for batch in batches),
        tuple(batch.features for batch in batches if batch.features is not None),
        tuple(every),
    )


def _require_scale(original: Tables, batch: Tables, root: Path) -> None:
    """Raise unless the scale of a batch's ratings is the dataset's; choices need none."""
    if not batch.scale_declared:
        return
    where = f"{shown(batch.folder, root)}/dataset.yaml: scale {_pair(batch.scale)}"
    if original.scale_declared and batch.scale != original.scale:
        raise PamelaError(
            f"{where} is not that of dataset {original.name}, {_pair(original.scale)}; convert the "
            "ratings"
        )
    if batch.n_ratings and not original.scale_declared:
        raise PamelaError(
            f"{where}, while dataset {original.name} declares none, as it has choices alone; "
            "import it anew with this scale in its dataset.yaml, or the ratings by themselves"
        )


def _pair(scale: tuple[float, float]) -> str:
    return f"[{scale[0]:g}, {scale[1]:g}]"


def _merge_users(users: pl.DataFrame) -> pl.DataFrame:
    """Return one row per user; a batch may fill what was null, but not contradict it."""
    demographics = [c for c in users.columns if c not in (*s.USERS_KEYS, *base.SOURCE)]
    keys = list(s.USERS_KEYS)
    for column in demographics:
        known = pl.col(column).drop_nulls().first().over(keys)
        told, other = pl.col(column).str.to_lowercase(), pl.col("_known").str.to_lowercase()
        clash = users.with_columns(_known=known).filter(told != other)
        if clash.height:
            row = clash.row(0, named=True)
            raise PamelaError(
                f"{row[s.SOURCE_FILE]} row {row[s.SOURCE_ROW]}: user {row[s.USER]!r} has {column} "
                f"{row[column]!r}, known as {row['_known']!r}; correct one of them"
            )
    filled = (pl.col(c).drop_nulls().first() for c in demographics)
    return users.group_by(keys).agg(*filled, pl.col(*base.SOURCE).first())


def hash_pictures(project: Project, datasets: Sequence[Dataset]) -> pl.DataFrame:
    """Return (file, sha256) of every named picture; null where the file is absent."""
    named = [d.tables.images.get_column(s.FILE).drop_nulls() for d in datasets]
    return image_files.hash_files(pl.concat(named).to_list(), project.root, project.picture_cache)


def write_tables(project: Project, datasets: Sequence[Dataset], hashes: pl.DataFrame) -> None:
    """Write ``data/tables/`` as a whole: ratings, choices, users, images, sources, datasets.json.

    Ratings and choices are a file per source (`pamela.data.partitions`) in that source's order;
    users and images are sorted by id; datasets by name, whatever their order in the params.
    """
    by_name = sorted(datasets, key=lambda d: d.tables.name)
    ordered = [d.tables for d in by_name]
    users = pl.concat([t.users for t in ordered], how="diagonal")
    images = pl.concat([t.images for t in ordered])
    demographics = [c for c in users.columns if c not in (*s.USERS_KEYS, *base.SOURCE)]
    hashed = images.drop(s.SHA256).join(hashes, on=s.FILE, how="left", maintain_order="left")
    with atomic_folder(project.tables) as folder:
        for dataset in by_name:
            for batch, source in zip((None, *dataset.batches), dataset.sources, strict=True):
                name = partition_name(dataset.tables.name, batch)
                sink_parquet(folder / "ratings.parquet" / name, source.ratings)
                sink_parquet(folder / "choices.parquet" / name, source.choices)
        write_parquet(folder / "users.parquet", users.select(*s.USERS_KEYS, *demographics))
        write_parquet(folder / "images.parquet", hashed.select(s.IMAGES_SCHEMA.names()))
        write_parquet(folder / "sources.parquet", _sources(users, images))
        write_json(folder / "datasets.json", dataset_metadata(project, datasets))


def _sources(users: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Return which row of which file each user and image came from."""
    parts = (("users", users, s.USER), ("images", images, s.IMAGE))
    return pl.concat(
        frame.select(pl.lit(table).alias("table"), s.DATASET, pl.col(key).alias("id"), *base.SOURCE)
        for table, frame, key in parts
    )


def dataset_metadata(project: Project, datasets: Sequence[Dataset]) -> dict[str, Any]:
    """Return ``datasets.json``: scale, features, pictures, splits and folder of each dataset."""
    return {
        d.tables.name: {
            "scale": list(d.scale),
            "standardised": d.standardised,
            "features": project.relative(d.tables.features) if d.tables.features else None,
            "batch_features": [project.relative(path) for path in d.batch_features],
            "has_images": d.tables.has_images,
            "own_splits": d.own_splits,
            "root": project.relative(d.tables.folder),
            # So that new contents under an old name make `embed` run again:
            "features_sha256": [file_sha256(path) for path in d.features],
            **d.sources[0].repeats.meta,
            "remarks": remarks(d.sources),
        }
        for d in sorted(datasets, key=lambda d: d.tables.name)
    }
