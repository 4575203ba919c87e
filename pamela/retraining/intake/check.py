"""A copied batch held to the pipeline's rules, so that what is accepted cannot stop the pipeline.

Single rows that break a rule enter: the validate stage sets them apart in ``data/quarantine/`` with
the rule, as it does for any source. A batch with more of them than
``validate.max_quarantined_share`` of its ratings, or of its choices, or with a structural fault, is
refused as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.paths import Project
from pamela.data import formats, image_files, ingest
from pamela.data.formats import Tables
from pamela.data.partitions import scan_partitions
from pamela.features.precomputed import read_rows
from pamela.params import PRECOMPUTED, Params
from pamela.retraining.intake import limits
from pamela.validation import checks, validate
from pamela.validation.division import TableResults
from pamela.validation.expectations import Suite
from pamela.validation.rows import ROWS, Rows, any_left, too_faulty


@dataclass(frozen=True)
class Kept:
    """The rows of a batch that break no rule."""

    ratings: pl.DataFrame
    choices: pl.DataFrame


@dataclass
class KnownDataset:
    """What a new batch of a dataset is held against; it grows by every batch that is accepted.

    Attributes
    ----------
    sources : the dataset as imported, then its accepted batches.
    ratings, choices : those that are accepted, source by source; a batch may not repeat them.
    pictures : DataFrame (sha256, decodes) of pictures that need no second look.
    suites : ``expectations/``.
    """

    name: str
    sources: list[Tables]
    ratings: list[pl.LazyFrame]
    choices: list[pl.LazyFrame]
    pictures: pl.DataFrame
    suites: Mapping[str, Suite]

    @classmethod
    def read(cls, project: Project, name: str) -> KnownDataset:
        """Read it.

        Raises
        ------
        PamelaError
            If the dataset, or a batch that was accepted before, cannot be read.
        """
        batches = ingest.batch_folders(project, name)
        ratings, choices = (
            scan_partitions(project.validated / f"{table}.parquet", name) for table in ROWS
        )
        images = read_parquet(project.validated / "images.parquet", [s.DATASET, s.SHA256])
        known = images.filter(pl.col(s.DATASET) == name).drop_nulls(s.SHA256)
        decodes = known.select(s.SHA256, decodes=pl.lit(True))
        return cls(
            name,
            [
                ingest.read_base(project, name),
                *(formats.read_batch(folder, name, project.root) for folder in batches),
            ],
            ratings,
            choices,
            decodes.unique(s.SHA256, maintain_order=True),
            validate.load_suites(project),
        )

    def add(self, project: Project, folder: Path, kept: Kept) -> None:
        """Count the batch in `folder` as accepted, of whose rows those that are `kept`."""
        self.sources.append(formats.read_batch(folder, self.name, project.root))
        self.ratings.append(kept.ratings.lazy())
        self.choices.append(kept.choices.lazy())


def check(project: Project, params: Params, folder: Path, known: KnownDataset) -> Kept:
    """Hold the batch in `folder` to the pipeline's rules; return the rows that break none.

    Raises
    ------
    PamelaError
        On a structural fault, a contradiction with what is known, more than ``retrain.limits``
        allow, or if the share of faulty ratings, or choices, exceeds
        ``validate.max_quarantined_share``.
    """
    limits.check_unpacked(folder, params.retrain.limits)
    tables = formats.read_batch(folder, known.name, project.root)
    original, *earlier = known.sources
    limits.check_rows(tables, earlier, params.retrain.limits)
    merged = ingest.merge_batches(original, [*earlier, tables], project.root).tables
    if params.embed.encoder == PRECOMPUTED:
        _check_features(project, folder, [*known.sources, tables], merged)
    rows = Rows(
        known.name,
        [tables.ratings],
        [tables.choices],
        merged.scale,
        params.validate_.latest_rated_at,
        (known.ratings, known.choices),
        repeats=original.repeats,
    )
    found = rows.check(_image_states(project, tables, merged, known), known.suites)
    _require_sound(project.relative(folder), found, params.validate_.max_quarantined_share)
    return Kept(*(pl.concat(found[table].kept).collect() for table in ROWS))


def _require_sound(folder: str, found: TableResults, allowed: float) -> None:
    """Raise if too many rows are faulty, or none is left."""
    for table in too_faulty(found, allowed):
        first = found[table].first_fault
        raise PamelaError(
            f"{first[s.SOURCE_FILE]}: {found[table].describe_share(allowed, table)}, "
            f"first in row {first[s.SOURCE_ROW]}"
        )
    if not any_left(found):
        there = [table for table in ROWS if found[table].rows_in]
        given = " and ".join(f"{found[table].rows_in:,} {table}" for table in there)
        rules = ", ".join(rule for table in there for rule in found[table].by_rule)
        raise PamelaError(
            f"{folder}: none of its {given} is new ({rules}); was it delivered before?"
        )


def _check_features(
    project: Project, folder: Path, sources: Sequence[Tables], merged: Tables
) -> None:
    """Raise if stage embed could not read the features of all pictures with those of the batch."""
    batch = sources[-1]
    if batch.features is None:
        if batch.images.height:
            raise PamelaError(
                f"{project.relative(folder)}: new images without features, and embed.encoder is "
                f"{PRECOMPUTED}; give them in an .npz file and name it in dataset.yaml (features:)"
            )
        return
    files = [source.features for source in sources if source.features is not None]
    read_rows(project, files, merged.images.get_column(s.IMAGE))


def _image_states(
    project: Project, batch: Tables, merged: Tables, known: KnownDataset
) -> pl.DataFrame:
    """Return the pictures that the batch brings or judges, with what is known of their files."""
    images = _with_hashes(project, merged.images, batch)
    fresh = images.join(known.pictures, on=s.SHA256, how="anti", nulls_equal=False)
    decoded = image_files.decode_files(fresh, project.root) if merged.has_images else None
    return checks.image_states(
        images,
        known.pictures if decoded is None else pl.concat([known.pictures, decoded]),
        has_images=merged.has_images,
    )


def _with_hashes(project: Project, images: pl.DataFrame, batch: Tables) -> pl.DataFrame:
    """Return those `images` that the batch brings or judges, with the hash of each file."""
    mine = pl.concat([batch.images.get_column(s.IMAGE), batch.judged])
    named = images.filter(pl.col(s.IMAGE).is_in(mine.unique().to_list()))
    named = named if named.height else images.head(1)  # no known picture: let the rule say so
    hashes = image_files.hash_files(
        named.get_column(s.FILE).drop_nulls(), project.root, project.picture_cache
    )
    return named.drop(s.SHA256).join(hashes, on=s.FILE, how="left", maintain_order="left")
