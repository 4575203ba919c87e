"""How near the embedded world comes to what is published of the release and the paper.

Pure functions from tables to facts: the report shows them, tests hold them to their tolerances.
Published figures are those of `pamela.synthetic.published_facts` and
`pamela.reporting.paper_figures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.reporting import paper_figures
from pamela.reporting.admirers import ADMIRERS, ELIGIBLE, count_admirers
from pamela.synthetic.design import PART_ROWS
from pamela.synthetic.published_facts import (
    DEMOGRAPHICS_SHARE,
    ELIGIBLE_FROM,
    GROUP_ADMIRERS,
    GROUP_FACTS,
    NATIONALITIES,
    OVERALL_MEAN,
    RATERS,
    RATERS_OF_BOTH,
    SINGLE_RATING_ICC,
    STYLE_ADMIRERS,
    STYLE_ELIGIBLE,
    STYLE_FACTS,
    TYPE_MEANS,
)

DEMOGRAPHICS: Final = ("age_binned", "gender", "nationality")
MEAN_TOLERANCE: Final = 0.1  # of a mean rating
CORRELATION_TOLERANCE: Final = 0.03
SEEN_MINUS_UNSEEN: Final = 0.06
RATERS_TOLERANCE: Final = 3  # people
ADMIRERS_TOLERANCE: Final = 0.25  # of the published number


@dataclass(frozen=True)
class Fact:
    """A figure of the world beside the published one.

    Attributes
    ----------
    low, high : where `here` is wanted; None: no such bound.
    published : what is published, in words; empty where nothing is.
    digits : after the point.
    """

    name: str
    published: str
    here: float
    low: float | None = None
    high: float | None = None
    digits: int = 2

    @property
    def holds(self) -> bool:
        """Whether the figure lies where it is wanted."""
        above = self.low is None or self.here >= self.low - 1e-9
        return above and (self.high is None or self.here <= self.high + 1e-9)

    @property
    def wanted(self) -> bool:
        """Whether the figure is held to anything."""
        return self.low is not None or self.high is not None


def near(name: str, target: float, here: float, tolerance: float, digits: int = 2) -> Fact:
    """Return a fact that is wanted within `tolerance` of its published `target`."""
    return Fact(name, f"{target:,.{digits}f}", here, target - tolerance, target + tolerance, digits)


def rating_facts(rated: pl.DataFrame) -> list[Fact]:
    """Return what the ratings of a world of the release's size are held to.

    Parameters
    ----------
    rated : a row per rating: user_id, image_id, rating, part, type, group, style and
        `DEMOGRAPHICS`.
    """
    train = rated.filter(pl.col(s.PART) == s.TRAIN)
    return [
        *_sizes(rated),
        *_means(train),
        *_people(train),
        near("nationalities", NATIONALITIES, rated["nationality"].n_unique(), 0, 0),
        *_admirers(train),
        *_scale_use(train),
    ]


def _sizes(rated: pl.DataFrame) -> list[Fact]:
    count = dict(rated.group_by(s.PART).len().iter_rows())
    parts = [
        near(f"ratings in {part}", rows, count.get(part, 0), 0.01 * rows, 0)
        for part, rows in PART_ROWS.items()
    ]
    train = rated.filter(pl.col(s.PART) == s.TRAIN).group_by(s.USER).len()["len"].to_numpy()
    unseen = rated.filter(pl.col(s.PART).is_in([s.VAL_UNSEEN, s.TEST_UNSEEN]))
    return [
        *parts,
        Fact("ratings per training person", "about 320", float(train.mean()), 300, 340, 0),
        Fact("their standard deviation", "uneven", float(train.std(ddof=1)), 60, 160, 0),
        Fact("ratings per unseen person", "about 79",
             unseen.height / max(unseen[s.USER].n_unique(), 1), 70, 90, 0),
    ]  # fmt: skip


def _means(train: pl.DataFrame) -> list[Fact]:
    kinds = dict(train.group_by(s.TYPE).agg(pl.col(s.RATING).mean()).iter_rows())
    return [
        near("mean rating", OVERALL_MEAN, float(train[s.RATING].to_numpy().mean()), 0.05),
        *(near(f"mean, {kind}", mean, kinds.get(kind, np.nan), MEAN_TOLERANCE)
          for kind, mean in TYPE_MEANS.items()),
        Fact("largest deviation of a group's mean", "0", largest_deviation(
            train, [s.TYPE, s.GROUP], {key: mean for key, (_, mean) in GROUP_FACTS.items()}
        ), high=MEAN_TOLERANCE),
        Fact("largest deviation of a style's mean", "0", largest_deviation(
            train.drop_nulls(s.STYLE), [s.STYLE],
            {(key,): mean for key, (_, mean) in STYLE_FACTS.items()},
        ), high=MEAN_TOLERANCE),
    ]  # fmt: skip


def largest_deviation(
    train: pl.DataFrame, by: list[str], facts: dict[tuple[str, ...], float]
) -> float:
    """Return the largest distance of a cell's mean rating from its published mean."""
    means = train.group_by(by).agg(pl.col(s.RATING).mean())
    gaps = [abs(row[-1] - facts[row[:-1]]) for row in means.iter_rows() if row[:-1] in facts]
    return max(gaps, default=float("nan"))


def _people(train: pl.DataFrame) -> list[Fact]:
    rated = train.group_by(s.USER, s.TYPE).len().filter(pl.col("len") >= ELIGIBLE_FROM)
    found = dict(rated.group_by(s.TYPE).len().iter_rows())
    both = rated.group_by(s.USER).len().filter(pl.col("len") > 1).height
    return [
        *(near(f"people who rate {kind}", people, found.get(kind, 0), RATERS_TOLERANCE, 0)
          for kind, people in RATERS.items()),
        near("people who rate both", RATERS_OF_BOTH, both, RATERS_TOLERANCE, 0),
    ]  # fmt: skip


def _admirers(train: pl.DataFrame) -> list[Fact]:
    """Return how many can admire a style, and how many admire groups and styles, in all."""
    groups, styles = (count_admirers(train, by) for by in (s.GROUP, s.STYLE))
    least, most = STYLE_ELIGIBLE
    totals = {"groups": sum(admirers for _, admirers in GROUP_ADMIRERS.values()),
              "styles": sum(STYLE_ADMIRERS.values())}  # fmt: skip
    return [
        Fact("people with 3 ratings in a style, mean over styles", f"{least} to {most}",
             float(styles[ELIGIBLE].to_numpy().mean()), least, most, 1),
        *(near(f"admirers of {name}, in all", totals[name], int(counted[ADMIRERS].sum()),
               ADMIRERS_TOLERANCE * totals[name], 0)
          for name, counted in (("groups", groups), ("styles", styles))),
    ]  # fmt: skip


def _scale_use(train: pl.DataFrame) -> list[Fact]:
    shares = dict(train[s.RATING].value_counts(normalize=True).iter_rows())
    low, high = SINGLE_RATING_ICC
    least, most = DEMOGRAPHICS_SHARE
    per_user = train.group_by(s.USER).agg(mean=pl.col(s.RATING).mean(), std=pl.col(s.RATING).std())
    mean, own = (per_user[name].cast(pl.Float64).to_numpy() for name in ("mean", "std"))
    return [
        *(Fact(f"share of ratings {score}", "", shares.get(score, 0.0), 0.05, 0.40)
          for score in range(1, 6)),
        Fact("people's mean rating, standard deviation", "", float(mean.std(ddof=1)), 0.2, 0.6),
        Fact("people's own spread, mean", "", float(np.nanmean(own)), 0.8, 1.3),
        Fact("ICC of a single rating", f"{low} to {high} elsewhere", single_rating_icc(train),
             low, high),
        Fact("demographics, share of what is left", f"{least:.0%} to {most:.0%} elsewhere",
             demographics_share(train), least, most, 3),
    ]  # fmt: skip


def single_rating_icc(rated: pl.DataFrame) -> float:
    """Return the one-way intraclass correlation of single ratings of a picture, ICC(1).

    Pictures have different numbers of raters: Shrout and Fleiss (1979) with the mean group size
    corrected for it.
    """
    per = rated.group_by(s.IMAGE).agg(
        n=pl.len(), mean=pl.col(s.RATING).mean(),
        within=((pl.col(s.RATING) - pl.col(s.RATING).mean()) ** 2).sum(),
    )  # fmt: skip
    n, mean, within = (per[name].to_numpy().astype(float) for name in ("n", "mean", "within"))
    total, pictures = n.sum(), len(n)
    size = (total - (n**2).sum() / total) / (pictures - 1)
    between = (n * (mean - np.average(mean, weights=n)) ** 2).sum() / (pictures - 1)
    inside = within.sum() / (total - pictures)
    return float((between - inside) / (between + (size - 1) * inside))


def demographics_share(rated: pl.DataFrame) -> float:
    """Return which share of the ratings' variance around image means people's demographics explain.

    Least squares of people's mean residuals on age band, gender and nationality. What as many
    arbitrary categories would explain by chance, given how people differ, is taken off.
    """
    left = rated.with_columns(left=pl.col(s.RATING) - pl.col(s.RATING).mean().over(s.IMAGE))
    people = left.group_by(s.USER, maintain_order=True).agg(
        pl.col("left").mean(), *(pl.col(name).first() for name in DEMOGRAPHICS), n=pl.len()
    )
    weight = np.sqrt(people["n"].to_numpy().astype(float))
    dummies = people.select(DEMOGRAPHICS).to_dummies().cast(pl.Float64).to_numpy()
    y = people["left"].to_numpy() * weight
    inputs = np.column_stack([np.ones(len(y)), dummies]) * weight[:, None]
    unexplained, used = _residual(inputs, y), int(np.linalg.matrix_rank(inputs))
    explained = _residual(inputs[:, :1], y) - unexplained
    chance = (used - 1) * unexplained / max(len(y) - used, 1)
    return float((explained - chance) / (left["left"].to_numpy() ** 2).sum())


def _residual(x: Floats, y: Floats) -> float:
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(((y - fitted) ** 2).sum())


def correlation_facts(
    srocc: dict[str, float], plcc: dict[str, float], *, more: dict[str, float] | None = None
) -> list[Fact]:
    """Return what the `paper` model's correlations are held to.

    Parameters
    ----------
    srocc, plcc : means over users, by ``seen`` and ``unseen`` (at 0 shots).
    more : further figures of the model that follow from these and are only reported, by name.
    """
    paper = paper_figures.HELD_OUT_USERS[0]
    unseen, seen = srocc["unseen"], srocc["seen"]
    return [
        near("paper model, SROCC of unseen users", paper.srocc, unseen, CORRELATION_TOLERANCE, 3),
        near("paper model, PLCC of unseen users", paper.plcc, plcc["unseen"],
             CORRELATION_TOLERANCE, 3),
        near("paper model, SROCC seen minus unseen", SEEN_MINUS_UNSEEN, seen - unseen,
             CORRELATION_TOLERANCE, 3),
        *(Fact(name, "", value, digits=3) for name, value in (more or {}).items()),
    ]  # fmt: skip
