"""Whether a batch of new ratings may enter: checked, then accepted or refused.

A complete batch (`pamela.retraining.inbox`) is held to the pipeline's rules and becomes the
immutable ``data/batches/<dataset>/<batch>/``, in one rename, or is refused: it stays where it is,
with a file ``_REFUSED`` that says why. Whoever mends it deletes ``_REFUSED``, and the next retrain
(``pamela retrain --once``) takes it up again.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, atomic_path, folder_sha256, read_parquet
from pamela.core.paths import Project
from pamela.data import formats, image_files, ingest
from pamela.data.formats import Tables
from pamela.data.partitions import partitions_of
from pamela.params import PRECOMPUTED, Params
from pamela.retraining.inbox import REFUSED, Batch, scan_inbox
from pamela.validation import checks, validate
from pamela.validation.checks import RatingRules

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # as params names datasets; safe as a path


# --- taking -----------------------------------------------------------------------------------


def take(project: Project, params: Params) -> dict[str, str]:
    """Accept every complete batch that is sound, refuse the others.

    Returns
    -------
    ``{dataset/batch: why}`` of the batches refused now.

    Raises
    ------
    PamelaError
        If the pipeline has not run yet, or a dataset itself cannot be read; no batch is touched.
    """
    ready = scan_inbox(project, params.ingest.datasets).ready
    if ready and not (project.validated / "images.parquet").is_file():
        raise PamelaError(
            "the pipeline has not run here yet, so there is nothing to check a batch against: run "
            "`make repro` first; the batches stay in data/inbox"
        )
    known: dict[str, list[Tables]] = {}
    ratings: dict[str, list[pl.LazyFrame]] = {}  # accepted before; a batch may not repeat them
    refused: dict[str, str] = {}
    for batch in ready:
        if batch.dataset not in known:
            known[batch.dataset] = _known(project, batch.dataset)
            ratings[batch.dataset] = _validated_ratings(project, batch.dataset)
        try:
            if check_place(project, batch):
                accept(project, batch)
                continue
            kept = check(project, params, batch, known[batch.dataset], ratings[batch.dataset])
        except PamelaError as error:
            refuse(batch, str(error))
            refused[batch.label] = str(error)
            continue
        moved = accept(project, batch)  # read there: its pictures' paths are the new ones
        tables = formats.read_batch(moved.folder, moved.dataset, project.root)
        known[batch.dataset].append(tables)
        ratings[batch.dataset].append(kept.lazy())
    return refused


def _known(project: Project, dataset: str) -> list[Tables]:
    """Return the dataset as imported, then its accepted batches."""
    batches = ingest.batch_folders(project, dataset)
    return [
        ingest.read_base(project, dataset),
        *(formats.read_batch(folder, dataset, project.root) for folder in batches),
    ]


def _validated_ratings(project: Project, dataset: str) -> list[pl.LazyFrame]:
    """Return the dataset's validated ratings, source by source."""
    files = partitions_of(project.validated / "ratings.parquet", dataset)
    return [pl.scan_parquet(file, glob=False) for file in files]


def check(
    project: Project,
    params: Params,
    batch: Batch,
    known: Sequence[Tables],
    accepted: Sequence[pl.LazyFrame],
) -> pl.DataFrame:
    """Hold `batch` to the same rules as the pipeline will; return the ratings that break none.

    Parameters
    ----------
    known : the dataset as imported, then the batches accepted before.
    accepted : the dataset's ratings accepted before, source by source.

    Raises
    ------
    PamelaError
        On a structural fault, a contradiction with what is known, or if the share of faulty
        ratings exceeds ``validate.max_quarantined_share``.
    """
    tables = formats.read_batch(batch.folder, batch.dataset, project.root)
    original, *earlier = known
    merged = ingest.merge_batches(original, [*earlier, tables], project.root).tables
    if params.embed.encoder == PRECOMPUTED and tables.images.height and tables.features is None:
        raise PamelaError(
            f"{project.relative(batch.folder)}: new images without features, and embed.encoder is "
            f"{PRECOMPUTED}; give them in an .npz file and name it in dataset.yaml (features:)"
        )
    rules = _rules(project, params, tables, merged)
    result = checks.check_ratings(batch.dataset, [tables.ratings], rules, accepted)
    allowed = params.validate_.max_quarantined_share
    if result.share > allowed:
        first = result.first_fault
        raise PamelaError(
            f"{first[s.SOURCE_FILE]}: {result.describe_share(allowed)}, "
            f"first in row {first[s.SOURCE_ROW]}"
        )
    if not result.rows_kept:
        raise PamelaError(
            f"{project.relative(batch.folder)}: none of its {result.rows_in:,} ratings is new "
            f"({', '.join(result.by_rule)}); was it delivered before?"
        )
    return pl.concat(result.kept).collect()


def _rules(project: Project, params: Params, batch: Tables, merged: Tables) -> RatingRules:
    """Return what the batch's ratings are held to, given all pictures known with it."""
    images = _with_hashes(project, merged.images, batch)
    valid = _validated_images(project, merged.name)
    fresh = images.join(valid, on=s.SHA256, how="anti", nulls_equal=False)
    decoded = image_files.decode_files(fresh, project.root) if merged.has_images else None
    states = checks.image_states(
        images,
        valid if decoded is None else pl.concat([valid, decoded]),
        has_images=merged.has_images,
    )
    suites = validate.load_suites(project)
    return RatingRules.of(states, suites, merged.scale, params.validate_.latest_rated_at)


def _with_hashes(project: Project, images: pl.DataFrame, batch: Tables) -> pl.DataFrame:
    """Return those `images` that the batch brings or rates, with the hash of each file."""
    rated = batch.ratings.select(s.IMAGE).collect().get_column(s.IMAGE)
    mine = pl.concat([batch.images.get_column(s.IMAGE), rated])
    named = images.filter(pl.col(s.IMAGE).is_in(mine.drop_nulls().unique().to_list()))
    named = named if named.height else images.head(1)  # no known picture: let the rule say so
    hashes = image_files.hash_files(
        named.get_column(s.FILE).drop_nulls(), project.root, project.picture_cache
    )
    return named.drop(s.SHA256).join(hashes, on=s.FILE, how="left", maintain_order="left")


def _validated_images(project: Project, dataset: str) -> pl.DataFrame:
    """Return (sha256, decodes) of the pictures that passed validation: they need no second look."""
    images = read_parquet(project.validated / "images.parquet", [s.DATASET, s.SHA256])
    known = images.filter(pl.col(s.DATASET) == dataset).drop_nulls(s.SHA256)
    return known.select(s.SHA256, decodes=pl.lit(True)).unique(s.SHA256, maintain_order=True)


def check_place(project: Project, batch: Batch) -> bool:
    """Check that `batch` can become ``data/batches/<dataset>/<batch>``.

    Returns
    -------
    Whether it is there already, with the same contents: accepted, then interrupted.

    Raises
    ------
    PamelaError
        If it is a link, its name is unfit, or another batch of that name was accepted before.
    """
    if batch.folder.is_symlink() or batch.folder.parent.is_symlink():
        raise PamelaError(f"{batch.label}: a link; a batch must be a folder of its own")
    if not _NAME.fullmatch(batch.name):
        raise PamelaError(
            f"{batch.label}: a batch's name may hold letters, digits, '_', '.' and '-'; rename it"
        )
    target = _target(project, batch)
    if not target.exists():
        return False
    if folder_sha256(batch.folder) != folder_sha256(target):
        raise PamelaError(
            f"{batch.label}: {project.relative(target)} exists with other contents and is "
            "immutable; give the new batch another name"
        )
    return True


def accept(project: Project, batch: Batch) -> Batch:
    """Move `batch` to ``data/batches/`` in one rename; a reader never meets half of it.

    A batch that was copied there before an interruption (`check_place` has compared the two) is
    only removed from the inbox.
    """
    target = _target(project, batch)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(batch.folder)
    else:
        _move(batch.folder, target)
    return Batch(batch.dataset, batch.name, target)


def refuse(batch: Batch, why: str) -> None:
    """Leave `batch` where it is, marked with the reason; later retrains pass it by."""
    with atomic_path(batch.folder / REFUSED) as aside:
        aside.write_text(f"{why}\nMend it, delete this file, and the next retrain takes it up.\n")


def _target(project: Project, batch: Batch) -> Path:
    return project.batches / batch.dataset / batch.name


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # the inbox may be another file system: copy aside, rename
            raise PamelaError(f"{source}: cannot be moved to {target} ({error.strerror})") from None
        with atomic_folder(target) as aside:
            shutil.copytree(source, aside, dirs_exist_ok=True)
        shutil.rmtree(source)
