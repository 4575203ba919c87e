"""What is odd about a dataset as a whole though no single row is wrong.

Said by ``pamela import`` and by the validate stage. Ids that match nobody, a scale that the ratings
do not fill: the rows pass every rule, and what people meant is lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.data.formats import base
from pamela.data.formats.base import Tables
from pamela.data.image_files import SUFFIXES

EXAMPLES: Final = 3  # ids that are shown of each kind
MOST: Final = 0.5  # share of the ids that match nothing, above which it is said
SMALL: Final = 0.25  # share of the scale that most ratings fill, below which it is said
ENDS: Final = 0.01  # share of the ratings left away at each end: single typing errors
MANY_OFF: Final = 0.02  # share of the ratings off the scale, above which their range is said
BINS: Final = 400  # of the scale


def remarks(sources: Sequence[Tables]) -> list[str]:
    """Return remarks on a dataset, for people.

    Parameters
    ----------
    sources : the dataset, then its batches.
    """
    first = sources[0]
    listed = pl.concat([t.users.get_column(s.USER) for t in sources])
    people = pl.concat([t.people.get_column(s.USER) for t in sources]).unique(maintain_order=True)
    images = pl.concat([t.images.get_column(s.IMAGE) for t in sources])
    judged = pl.concat([t.judged for t in sources]).unique(maintain_order=True)
    use = scale_use(pl.concat([t.ratings for t in sources]), first.scale)
    strangers = _unmatched(people, listed, "raters", "users table", "so nothing is known of them")
    said = [
        strangers or _look_alikes(people, listed),
        _unmatched(
            judged,
            images,
            "rated images",
            "images table",
            "so they are unknown",
            spellings=True,
        ),
        _of_features(sources, images),
        _words(sources),
        _other_words(sources),
        _unused_scale(sources),
        _odd_raters(people),
        *_fine_demographics(first),
        use.off_remark if use else None,
        use.small_remark if use else None,
        *first.notes,
    ]
    return [line for line in said if line]


# --- ids that match nothing -----------------------------------------------------------------------
def _unmatched(
    named: pl.Series,
    listed: pl.Series,
    what: str,
    table: str,
    so: str,
    above: float = MOST,
    *,
    spellings: bool = False,
) -> str | None:
    """Return a remark where over that share of the ids `named` are not among the ids `listed`.

    Parameters
    ----------
    spellings : whether one that would match in another spelling is enough.
    """
    missing = named.filter(~named.is_in(listed.implode()))
    alike = missing.filter(loose(missing).is_in(loose(listed).implode())).len()
    if not listed.len() or (missing.len() <= above * named.len() and not (spellings and alike)):
        return None
    hint = f"; {alike:,} would match {ALIKE}: write an id the same everywhere" if alike else ""
    return (
        f"{missing.len():,} of {named.len():,} {what} are not in the {table}, {so}: "
        f"{_examples(missing)}, while that has {_examples(listed)}{hint}"
    )


# Columns of a wide table, or of a program's summary, that are no people.
NO_RATERS: Final = (
    "mean", "average", "avg", "std", "sd", "stdev", "var", "variance", "median", "mode", "sum",
    "total", "count", "n", "min", "max", "age", "year", "rank", "index", "id", "mos",
    "n_ratings", "num_ratings", "num_votes", "votes",
)  # fmt: skip
FINE: Final = 0.5  # values a person who says one, above which a demographic groups nobody
FINE_USERS: Final = 20  # people who say one, below which that is chance


def _odd_raters(raters: pl.Series) -> str | None:
    """Return a remark on user ids that read like no person: an empty cell, a mean of all."""
    lower = raters.str.to_lowercase()
    empty, columns = lower.is_in(base.NOTHING), lower.is_in(NO_RATERS)
    odd = raters.filter(empty | columns)
    if not odd.len():
        return None
    return (
        f"user ids that read like nobody: {_examples(odd)}; each counts as one user: leave the "
        "cell empty where the rater is not known, and leave out columns that are no rater's "
        "(--drop)"
    )


def _fine_demographics(tables: Tables) -> list[str]:
    """Return a remark per demographic that has nearly a value of its own for each person."""
    said = [tables.users.get_column(c).drop_nulls() for c in tables.demographics]
    return [
        f"demographic {column.name}: {column.n_unique():,} values of {column.len():,} users, such "
        f"as {_examples(column)}; so nobody has much in common: group them (ages in bands), or "
        "leave the column out"
        for column in said
        if column.len() >= FINE_USERS and column.n_unique() > FINE * column.len()
    ]


DECIMAL_COMMA: Final = re.compile(r"\s*[+-]?\d+,\d+\s*")
TRUTH: Final = "write numbers (True and False are 1 and 0 where the scale is [0, 1], not elsewhere)"
ALIKE: Final = "but for upper and lower case, leading zeros, a final .0 or a picture's suffix"
SUFFIX: Final = rf"({'|'.join(suffix.replace('.', '[.]') for suffix in SUFFIXES)})$"


def _look_alikes(raters: pl.Series, listed: pl.Series) -> str | None:
    """Return a remark on users whose ids are likely to mean one person."""
    ids = pl.concat([listed, raters]).drop_nulls().unique(maintain_order=True)
    frame = pl.DataFrame({"id": ids, "loose": loose(ids)})
    groups = (
        frame.group_by("loose", maintain_order=True).agg("id").filter(pl.col("id").list.len() > 1)
    )
    if not groups.height:
        return None
    first = groups.get_column("id").to_list()[0]
    return (
        f"user ids that are spelt in several ways: {groups.height:,}, such as "
        f"{' and '.join(map(repr, first[:EXAMPLES]))}; each spelling is a user of its own"
    )


def loose(ids: pl.Series) -> pl.Series:
    """Return ids without what programs change on the way: case, leading zeros, what follows."""
    return (
        ids.str.to_lowercase()
        .str.replace(SUFFIX, "")
        .str.replace(r"^(\d+)[.,]0+$", "$1")
        .str.replace_all(r"(^|[^0-9.])0+(\d)", "$1$2")
    )


def _of_features(sources: Sequence[Tables], images: pl.Series) -> str | None:
    """Return a remark where a features file lacks an image, or has no numbers for one."""
    files = [t.features for t in sources if t.features is not None]
    if not files:
        return None
    rows = pl.concat(map(_features_rows, files))
    listed, broken = rows.get_column(s.IMAGE), rows.filter(~pl.col("finite")).get_column(s.IMAGE)
    if broken.len():
        return (
            f"features with a NaN or infinity: {broken.len():,} images, such as {broken[0]!r}; "
            "`precomputed` will refuse them"
        )
    return _unmatched(images, listed, "images", "features file", "which `precomputed` needs", 0.0)


def _features_rows(file: Path) -> pl.DataFrame:
    """Return (image_id, finite) of a features file."""
    with np.load(file, allow_pickle=False) as arrays:
        names = arrays["image_id"].astype(str).tolist()
        finite = np.isfinite(arrays["features"]).all(axis=1)
    frame = pl.DataFrame({s.IMAGE: names, "finite": finite}, schema_overrides={s.IMAGE: pl.String})
    return frame.with_columns(s.identifier(s.IMAGE))


def _words(sources: Sequence[Tables]) -> str | None:
    """Return a remark where many ratings are words."""
    n = sum(t.words.n for t in sources)
    if n <= MANY_OFF * sum(t.n_ratings for t in sources):
        return None
    examples = [word for t in sources for word in t.words.examples][:EXAMPLES]
    comma = any(DECIMAL_COMMA.fullmatch(word) for word in examples)
    hint = "--decimal-comma of `pamela import tables` reads such" if comma else TRUTH
    return f"ratings that are no numbers: {n:,}, such as {', '.join(map(repr, examples))}; {hint}"


def _other_words(sources: Sequence[Tables]) -> str | None:
    """Return a remark where many choices say none of a, b and tie."""
    n = sum(t.other_words.n for t in sources)
    if n <= MANY_OFF * sum(t.n_choices for t in sources):
        return None
    examples = [word for t in sources for word in t.other_words.examples][:EXAMPLES]
    return (
        f"choices that are none of a, b and tie: {n:,}, such as {', '.join(map(repr, examples))}; "
        "write a where image_a was chosen, b where image_b was"
    )


def _unused_scale(sources: Sequence[Tables]) -> str | None:
    """Return a remark where a scale is declared that no rating lies on."""
    if not sources[0].scale_declared or any(t.n_ratings for t in sources):
        return None
    return (
        f"a scale is declared, {_range(sources[0].scale)}, and there are no ratings: scores are on "
        "the standardised scale until ratings come"
    )


def _examples(ids: pl.Series) -> str:
    return ", ".join(map(repr, ids.drop_nulls().head(EXAMPLES).to_list()))


# --- the scale ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ScaleUse:
    """How the ratings fill the declared scale.

    Attributes
    ----------
    scale : as declared.
    n, off : ratings that are numbers; those of them off the scale.
    span : lowest and highest rating, on the scale or off it.
    core : lowest and highest of those on the scale, without `ENDS` of them at each end; None
        where none is on the scale.
    """

    scale: tuple[float, float]
    n: int
    off: int
    span: tuple[float, float]
    core: tuple[float, float] | None

    @property
    def off_remark(self) -> str | None:
        """A remark where many ratings lie off the scale."""
        if self.off <= MANY_OFF * self.n:
            return None
        return (
            f"{self.off:,} of {self.n:,} ratings lie off the declared scale {_range(self.scale)}; "
            f"they run over {_range(self.span)}: {ADVICE}"
        )

    @property
    def small_remark(self) -> str | None:
        """A remark where the ratings fill little of the scale."""
        if self.core is None:
            return None
        share = (self.core[1] - self.core[0]) / (self.scale[1] - self.scale[0])
        if share >= SMALL:
            return None
        return (
            f"the ratings lie within {_range(self.core)}, which is {share:.0%} of the declared "
            f"scale {_range(self.scale)}: {ADVICE}"
        )


ADVICE: Final = "if another scale was shown to people, declare that one or convert the ratings"


def _range(pair: tuple[float, float]) -> str:
    return f"{pair[0]:g}..{pair[1]:g}"


def scale_use(ratings: pl.LazyFrame, scale: tuple[float, float]) -> ScaleUse | None:
    """Return how `ratings` fill `scale`, or None where none is a number; one pass."""
    low, high = scale
    share = (pl.col(s.RATING) - low) / (high - low)
    on_scale = pl.col(s.RATING).is_between(low, high)
    place = pl.when(on_scale).then((share * BINS).floor().cast(pl.Int32))
    bins = (
        ratings.select(s.RATING)
        .drop_nulls()
        .group_by(place.alias("bin"))
        .agg(pl.len(), pl.col(s.RATING).min().alias("min"), pl.col(s.RATING).max().alias("max"))
        .collect(engine="streaming")
        .sort("bin")
    )
    if not bins.height:
        return None
    n, on = int(bins["len"].sum()), bins.drop_nulls("bin")
    upto = pl.col("len").cum_sum()
    total = pl.col("len").sum()
    core = on.filter((upto > ENDS * total) & (upto - pl.col("len") < (1 - ENDS) * total))
    ends = core.select(pl.col("min").min(), pl.col("max").max()).row(0)
    span = bins.select(pl.col("min").min(), pl.col("max").max()).row(0)
    return ScaleUse(scale, n, n - int(on["len"].sum()), span, ends if core.height else None)
