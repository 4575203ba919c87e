"""Whether people stand by their choices: pairs that were asked again, and circular triads.

A triad is circular where a person takes the first picture over the second, the second over the
third and the third over the first: no order of the three agrees with it. Of choices by the flip of
a coin one triad in four is (Kendall and Babington Smith 1940).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from pamela.core.arrays import Floats
from pamela.evaluation.metrics.bootstrap import Estimate
from pamela.reporting.data_docs.choices.answers import HIGH, LOW, PAIR, TOWARD
from pamela.reporting.data_docs.choices.shares import shares

CHANCE: Final = 0.25  # share of circular triads among choices by the flip of a coin
STEPS_AT_ONCE: Final = 20_000_000  # walks of two steps that are held in memory


@dataclass(frozen=True)
class Repeats:
    """How often two answers to one pair of pictures are the same; a tie is an answer too.

    Attributes
    ----------
    within : of one person; its `n` counts the people who were asked a pair again.
    between : of two people; its `n` counts the pairs of pictures that two people were asked.
    asked_again : pairs that one person answered more than once, over all people.
    chance : the same for answers by chance, ties as frequent as they are.
    """

    within: Estimate
    between: Estimate
    asked_again: int
    chance: float


def repeats(answers: pl.DataFrame) -> Repeats:
    """Compare the answers to each pair of pictures.

    Parameters
    ----------
    answers : from `answers.as_numbers`.
    """
    own = answers.group_by("user", *PAIR, TOWARD).agg(n=pl.len().cast(pl.Int64))
    per_pair = own.group_by("user", *PAIR).agg(n=pl.col("n").sum(), same=_twos("n").sum())
    per_pair = per_pair.with_columns(twos=_twos("n"))
    within = per_pair.group_by("user").agg(pl.col("same", "twos").sum()).sort("user")
    everyone = (
        own.group_by(*PAIR, TOWARD)
        .agg(pl.col("n").sum())
        .group_by(PAIR)
        .agg(all_same=_twos("n").sum(), all_twos=_twos(pl.col("n").sum()))
    )
    between = (
        per_pair.group_by(PAIR)
        .agg(pl.col("same", "twos").sum())
        .join(everyone, on=PAIR)
        .select(*PAIR, same=pl.col("all_same") - pl.col("same"),
                twos=pl.col("all_twos") - pl.col("twos"))
        .sort(PAIR)
    )  # fmt: skip
    ties = (answers.get_column(TOWARD) == 0).mean()
    tied = float(ties) if isinstance(ties, float) else 0.0
    return Repeats(
        within=_share(within),
        between=_share(between),
        asked_again=per_pair.filter(pl.col("n") > 1).height,
        chance=tied**2 + (1 - tied) ** 2 / 2,
    )


def _twos(n: str | pl.Expr) -> pl.Expr:
    """Return how many pairs can be made of `n` answers."""
    count = pl.col(n) if isinstance(n, str) else n
    return count * (count - 1) // 2


def _share(counted: pl.DataFrame) -> Estimate:
    return shares(counted["same"].to_numpy(), counted["twos"].to_numpy())[0]


# --- circular triads ------------------------------------------------------------------------------
@dataclass(frozen=True)
class Triads:
    """Threes of pictures whose three pairs a person has all decided.

    Attributes
    ----------
    people : DataFrame (user, closed, circular), one row per person, sorted.
    circular : share of the closed triads that are circular, over all people.
    """

    people: pl.DataFrame
    circular: Estimate

    @property
    def closed(self) -> int:
        """Number of closed triads."""
        return int(self.people.get_column("closed").sum())


def coefficient(circular: float) -> float:
    """Return Kendall's coefficient of consistence from the share of circular triads.

    It is 1 without any and 0 where there are as many as among choices by chance; of a whole
    tournament of many pictures it is Kendall's own, which divides by the most there can be.
    """
    return 1 - circular / CHANCE


def triads(answers: pl.DataFrame) -> Triads:
    """Count every person's closed and circular triads.

    Of several answers to a pair the more frequent counts; a pair that is tied so is undecided, and
    a triad with such a pair is left out.

    Parameters
    ----------
    answers : from `answers.as_numbers`.
    """
    net = (
        answers.group_by("user", *PAIR)
        .agg(pl.col(TOWARD).cast(pl.Int64).sum())
        .filter(pl.col(TOWARD) != 0)
    )
    winner, loser = (
        pl.when(pl.col(TOWARD) > 0).then(one).otherwise(other)
        for one, other in ((LOW, HIGH), (HIGH, LOW))
    )
    edges = net.select("user", winner=winner, loser=loser)
    ends = pl.concat([edges.select("user", picture=c) for c in ("winner", "loser")])
    nodes = ends.unique().sort("user", "picture").with_row_index("node")
    circular, closed = _per_node(_matrix(edges, nodes))
    people = answers.select("user").unique().sort("user")
    counted = (
        nodes.select("user", circular=circular, closed=closed)
        .group_by("user")
        .agg(pl.col("circular").sum() // 3, pl.col("closed").sum() // 3)
    )
    people = people.join(counted, on="user", how="left", maintain_order="left").fill_null(0)
    found = shares(people["circular"].to_numpy(), people["closed"].to_numpy())[0]
    return Triads(people.select("user", "closed", "circular"), found)


def _matrix(edges: pl.DataFrame, nodes: pl.DataFrame) -> sparse.csr_array:
    """Return who beats whom, a node for each person's picture: a block for each person."""
    numbered = edges
    for end in ("winner", "loser"):
        named = nodes.rename({"picture": end, "node": f"{end}_node"})
        numbered = numbered.join(named, on=["user", end])
    ends = (numbered["winner_node"].to_numpy(), numbered["loser_node"].to_numpy())
    n = nodes.height
    return sparse.csr_array((np.ones(numbered.height), ends), shape=(n, n))


def _per_node(beats: sparse.csr_array) -> tuple[pl.Series, pl.Series]:
    """Return the circular and the closed triads that each node is part of.

    A walk of three steps back to where it began goes round a circular triad; walks along decided
    pairs in either direction go round each closed one in both senses.
    """
    decided = (beats + beats.T).tocsr()
    back = beats.T.tocsr()
    circular, closed = np.zeros(beats.shape[0]), np.zeros(beats.shape[0])
    for rows in _blocks(decided @ np.diff(decided.indptr)):
        circular[rows] = (beats[rows] @ beats).multiply(back[rows]).sum(axis=1)
        closed[rows] = (decided[rows] @ decided).multiply(decided[rows]).sum(axis=1) / 2
    return pl.Series(np.rint(circular)).cast(pl.Int64), pl.Series(np.rint(closed)).cast(pl.Int64)


def _blocks(steps: Floats) -> list[slice]:
    """Return runs of nodes from which about `STEPS_AT_ONCE` walks of two steps set out."""
    run = np.cumsum(steps) // STEPS_AT_ONCE
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    return [slice(start, end) for start, end in pairwise([*starts, len(steps)])]
