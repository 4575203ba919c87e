"""What the data docs say of one dataset's ratings, from one pass over the rows that may enter.

The rows are read from ``data/tables/ratings.parquet`` less those in quarantine, a bounded number at
a time: a part holds all ratings of some users, so that a rater's own figures are whole in it, and
pictures and values are added up over the parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.files import read_json
from pamela.core.paths import Project
from pamela.reporting.data_docs.raters import BATCH, CELL, summarise_raters

ROWS_AT_ONCE: Final = 2_000_000  # about 0.4 GiB
GRID: Final = 277_200  # cells of a scale: a multiple of nearly every number of steps to 25, and 100
MAX_BARS: Final = 25
WIDE_BINS: Final = 20  # bins where a scale has more steps than that
MAX_CATEGORIES: Final = 10


@dataclass(frozen=True)
class Distribution:
    """Ratings counted in n bins: one per step of the scale, else of equal width.

    Attributes
    ----------
    edges : (n + 1,) bin edges on the dataset's own scale.
    counts : (n,) ratings per bin.
    steps : (n,) the values themselves, or None where bins span several.
    mean, sd : of the ratings (of the bin's cells, exact to 1/277,200 of the scale).
    """

    edges: Floats
    counts: Ints
    steps: Floats | None
    mean: float
    sd: float

    @property
    def two_values(self) -> bool:
        """Whether ratings are one of two values, such as likes."""
        return self.steps is not None and int((self.counts > 0).sum()) == 2


@dataclass(frozen=True)
class DatasetStatistics:
    """One dataset's ratings that broke no rule.

    Attributes
    ----------
    scale : lowest and highest rating.
    rows : ratings; ``timed`` and ``ordered`` of them have a time and a position.
    first, last : earliest and latest ``rated_at``.
    raters : one row per user who rated, sorted by user_id; see `summarise_raters`.
    images : DataFrame (image_id, n, total, squares), one row per rated image, sorted: sums of the
        ratings in cells from the scale's middle (whole numbers, see `GRID`).
    values : how the ratings are distributed.
    """

    scale: tuple[float, float]
    rows: int
    timed: int
    ordered: int
    first: datetime | None
    last: datetime | None
    raters: pl.DataFrame
    images: pl.DataFrame
    values: Distribution


def dataset_meta(project: Project) -> dict[str, dict[str, Any]]:
    """Return ``data/tables/datasets.json``."""
    meta: dict[str, dict[str, Any]] = read_json(project.tables / "datasets.json")
    return meta


def kept_rows(project: Project, name: str, table: str) -> pl.LazyFrame:
    """Return the rows of a table (ratings or choices) of dataset `name` that broke no rule."""
    own = pl.scan_parquet(project.tables / f"{table}.parquet", glob=False).filter(
        pl.col(s.DATASET) == name
    )
    origin = [s.SOURCE_FILE, s.SOURCE_ROW]
    faulty = pl.scan_parquet(project.quarantine / name / f"{table}.parquet", glob=False).select(
        origin
    )
    if not faulty.select(pl.len()).collect().item():
        return own
    return own.join(faulty, on=origin, how="anti", maintain_order="left")


def collect(
    ratings: pl.LazyFrame, scale: Sequence[float], *, rows_at_once: int = ROWS_AT_ONCE
) -> DatasetStatistics:
    """Count and add up `ratings` (columns as in `schema.RATINGS_SCHEMA`).

    Parameters
    ----------
    ratings : the rows of one dataset.
    scale : lowest and highest rating, on which the rows lie.
    rows_at_once : about how many rows are held in memory.
    """
    low, high = float(scale[0]), float(scale[1])
    raters, images, cells = [], [], []
    totals: list[dict[str, Any]] = []
    width = (high - low) / GRID
    cell = ((pl.col(s.RATING) - low) / width).round().cast(pl.Int32).alias(CELL)
    for part in _parts(ratings, cell, rows_at_once):
        raters.append(summarise_raters(part))
        images.append(_image_sums(part))
        cells.append(part.group_by(CELL).agg(n=pl.len().cast(pl.Int64)))
        totals.append(_totals(part))
    per_cell = pl.concat(cells).group_by(CELL).agg(pl.col("n").sum()).sort(CELL)
    firsts = [t["first"] for t in totals if t["first"] is not None]
    lasts = [t["last"] for t in totals if t["last"] is not None]
    return DatasetStatistics(
        scale=(low, high),
        rows=sum(t["rows"] for t in totals),
        timed=sum(t["timed"] for t in totals),
        ordered=sum(t["ordered"] for t in totals),
        first=min(firsts, default=None),
        last=max(lasts, default=None),
        raters=pl.concat(raters)
        .sort(s.USER)
        .with_columns(pl.col("mean", "top_value") * width + low, pl.col("sd") * width),
        images=pl.concat(images).group_by(s.IMAGE).sum().sort(s.IMAGE),
        values=distribution(per_cell[CELL].to_numpy(), per_cell["n"].to_numpy(), low, high),
    )


def _parts(ratings: pl.LazyFrame, cell: pl.Expr, rows_at_once: int) -> Iterator[pl.DataFrame]:
    """Yield the ratings in parts of about `rows_at_once` rows; a user's rows are in one part."""
    n = ratings.select(pl.len()).collect(engine="streaming").item()
    parts = max(1, -(-n // rows_at_once))
    bucket = pl.col(s.USER).hash(seed=0) % parts
    # A batch's positions count from anew: its rows follow those of the dataset.
    batch = pl.col(s.SOURCE_FILE).str.starts_with("data/batches/")
    columns = [
        pl.col(s.USER).cast(pl.Categorical),
        pl.col(s.IMAGE).cast(pl.Categorical),
        cell,
        s.RATED_AT,
        s.POSITION,
        pl.when(batch).then(s.SOURCE_FILE).otherwise(pl.lit("")).cast(pl.Categorical).alias(BATCH),
    ]
    for part in range(parts):
        mine = ratings if parts == 1 else ratings.filter(bucket == part)
        yield mine.select(columns).collect(engine="streaming")


def _totals(part: pl.DataFrame) -> dict[str, Any]:
    return part.select(
        rows=pl.len(),
        timed=pl.col(s.RATED_AT).count(),
        ordered=pl.col(s.POSITION).count(),
        first=pl.col(s.RATED_AT).min(),
        last=pl.col(s.RATED_AT).max(),
    ).row(0, named=True)


def _image_sums(part: pl.DataFrame) -> pl.DataFrame:
    level = pl.col(CELL).cast(pl.Int64) - GRID // 2
    sums = part.group_by(s.IMAGE).agg(n=pl.len(), total=level.sum(), squares=(level**2).sum())
    return sums.with_columns(pl.col(s.IMAGE).cast(pl.String), pl.col("n").cast(pl.Int64))


def distribution(cells: Ints, n: Ints, low: float, high: float) -> Distribution:
    """Bin ratings that are given as cells (0..GRID) of the scale and how often each occurs.

    Up to 25 steps (half steps and whole numbers alike) get a bar each, also those that nobody
    chose; a finer scale gets 20 bins of equal width.
    """
    width = (high - low) / GRID
    weight = n / max(int(n.sum()), 1)
    mean = float((cells * weight).sum())
    sd = float(np.sqrt((weight * (cells - mean) ** 2).sum()))
    # The largest step on which every rating lies, counted from the scale's lowest.
    step = int(np.gcd.reduce(cells)) if len(cells) else 0
    step = int(np.gcd(step or GRID, GRID))
    bars = GRID // step
    if bars < MAX_BARS:
        counts = np.zeros(bars + 1, np.int64)
        counts[cells // step] = n
        steps = np.linspace(low, high, bars + 1)
        half = (high - low) / bars / 2
        edges = np.linspace(low - half, high + half, bars + 2)
        return Distribution(edges, counts, steps, low + mean * width, sd * width)
    counts = np.zeros(WIDE_BINS, np.int64)
    np.add.at(counts, np.minimum(cells * WIDE_BINS // GRID, WIDE_BINS - 1), n)
    edges = np.linspace(low, high, WIDE_BINS + 1)
    return Distribution(edges, counts, None, low + mean * width, sd * width)


# --- demographics ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Demographic:
    """How often each category of one demographic occurs among a dataset's users.

    Attributes
    ----------
    name : the column.
    users : how many users there are.
    categories : (category, users), most frequent first, at most 10.
    others : (how many further categories, their users).
    missing : users without a value.
    """

    name: str
    users: int
    categories: list[tuple[str, int]]
    others: tuple[int, int]
    missing: int


def demographics(users: pl.DataFrame) -> list[Demographic]:
    """Return the shares of every demographic of `users` (one dataset's rows of the users table).

    A demographic without any value belongs to another dataset and is left out.
    """
    found = []
    for name in users.columns:
        values = users.get_column(name)
        if name in s.USERS_KEYS or values.null_count() == users.height:
            continue
        counted = values.drop_nulls().cast(pl.String).value_counts(name="n")
        counted = counted.sort(["n", name], descending=[True, False])
        rest = counted[MAX_CATEGORIES:]
        found.append(
            Demographic(
                name=name,
                users=users.height,
                categories=[(str(c), int(n)) for c, n in counted[:MAX_CATEGORIES].iter_rows()],
                others=(rest.height, int(rest["n"].sum())),
                missing=values.null_count(),
            )
        )
    return found
