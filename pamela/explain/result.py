"""What an explanation holds: tables of effects on one person's ratings, and how to show them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

EFFECT: Final = {"effect": pl.Float64(), "ci_low": pl.Float64(), "ci_high": pl.Float64()}
CONCEPTS_SCHEMA: Final = pl.Schema(
    {
        "theme": pl.String(),
        "low": pl.String(),
        "high": pl.String(),
        **EFFECT,
        "alone": pl.Float64(),
        "alone_low": pl.Float64(),
        "alone_high": pl.Float64(),
    }
)
WORDS_SCHEMA: Final = pl.Schema({"word": pl.String(), "pictures": pl.Int64(), **EFFECT})
PROMPTS_SCHEMA: Final = pl.Schema({"prompt": pl.String(), "pictures": pl.Int64(), **EFFECT})
LEVELS_SCHEMA: Final = pl.Schema(
    {"column": pl.String(), "level": pl.String(), "pictures": pl.Int64(), **EFFECT}
)
PICTURES_SCHEMA: Final = pl.Schema(
    {
        "image_id": pl.String(),
        "sha256": pl.String(),
        "prompt": pl.String(),
        "effect": pl.Float64(),
        "person": pl.Float64(),
        "population": pl.Float64(),
    }
)


STEM: Final = 6  # letters by which two words are taken for one


@dataclass(frozen=True)
class IntervalEstimate:
    """A figure with its 95 % interval."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Explanation:
    """What raises and lowers one person's score against the population.

    All effects are in points of the dataset's own scale, on training pictures, and beyond `level`.
    Rows are sorted: concepts by the size of their effect, the other tables from what raises most
    to what lowers most. Intervals are 95 %.

    Attributes
    ----------
    user, dataset, source, model_version : whom, and by which model (`pamela.Score`).
    scale : lowest and highest rating.
    level : how much higher this person rates on the whole.
    follows : the slope of this person's score on the population's: 1 follows the common opinion as
        the population does, 0 not at all, more exaggerates it.
    spread : standard deviation over pictures of the personal part beyond `level`.
    explained : share of the personal part's variance that all concepts together account for, on
        pictures left out; None without concepts.
    pictures_seen : how many training pictures were looked at.
    concepts : a concept's `effect` is what moving from the 10th to the 90th percentile of its
        score, towards `high`, changes with all other concepts held (ridge); `alone` is the same
        with nothing held. `low` is null where a kind stands against its theme.
    levels : metadata; the mean over the level's pictures less the mean over all.
    words : words of prompts; pictures with the word less those without, shrunken.
    prompts, pictures : the most raised and the most lowered; `person` and `population` are the two
        predicted ratings.
    notes : what is missing, and why.
    """

    user: str
    dataset: str
    source: str
    model_version: str
    scale: tuple[float, float]
    level: IntervalEstimate
    follows: IntervalEstimate
    spread: float
    explained: float | None
    pictures_seen: int
    concepts: pl.DataFrame
    levels: pl.DataFrame
    words: pl.DataFrame
    prompts: pl.DataFrame
    pictures: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def tables(self) -> dict[str, pl.DataFrame]:
        """The five tables by name."""
        return {
            "concepts": self.concepts,
            "levels": self.levels,
            "words": self.words,
            "prompts": self.prompts,
            "pictures": self.pictures,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        kept = {k: v for k, v in vars(self).items() if k not in self.tables}
        facts = {k: asdict(v) if isinstance(v, IntervalEstimate) else v for k, v in kept.items()}
        return {**facts, **{name: table.to_dicts() for name, table in self.tables.items()}}


def preferred(concepts: pl.DataFrame) -> pl.DataFrame:
    """Return concepts turned towards what this person prefers, the largest effect first.

    Returns
    -------
    DataFrame: theme, words (the end that raises; a kind that lowers keeps its name and its sign),
    against (the other end, null for a kind), effect and alone with their
    intervals.
    """
    turn = (pl.col("effect") < 0) & pl.col("low").is_not_null()
    sign = pl.when(turn).then(-1.0).otherwise(1.0)
    return concepts.select(
        "theme",
        words=pl.when(turn).then("low").otherwise("high"),
        against=pl.when(turn).then("high").otherwise("low"),
        effect=pl.col("effect") * sign,
        ci_low=pl.when(turn).then(-pl.col("ci_high")).otherwise("ci_low"),
        ci_high=pl.when(turn).then(-pl.col("ci_low")).otherwise("ci_high"),
        alone=pl.col("alone") * sign,
        alone_low=pl.when(turn).then(-pl.col("alone_high")).otherwise("alone_low"),
        alone_high=pl.when(turn).then(-pl.col("alone_low")).otherwise("alone_high"),
    )


def clear(frame: pl.DataFrame) -> pl.Series:
    """Tell for each row whether its interval leaves out zero."""
    return frame.select((pl.col("ci_low") > 0) | (pl.col("ci_high") < 0)).to_series()


def ends(frame: pl.DataFrame, count: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return up to `count` rows that raise most and that lower most, each the strongest first."""
    ordered = frame.sort("effect", descending=True)
    up, down = ordered.filter(pl.col("effect") > 0), ordered.filter(pl.col("effect") < 0)
    return up.head(count), down.reverse().head(count)


def telling_words(words: pl.DataFrame, count: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `ends` of the words of prompts, less those that say again what a stronger one says.

    A word is left out where one of its parts begins as a part of a stronger word on the same side
    does: of ``minimalist``, ``minimalist style`` and ``minimalist painting`` the strongest stays.
    """
    sides = []
    for side in ends(words, words.height):
        said: set[str] = set()
        kept: list[int] = []
        for row, word in enumerate(side["word"]):
            stems = {part[:STEM] for part in word.split()}
            if len(kept) < count and not stems & said:
                kept.append(row)
                said |= stems
        sides.append(side[kept])
    return sides[0], sides[1]


def sentences(explanation: Explanation) -> list[str]:
    """Return what holds of the person on the whole, in words."""
    level, follows = explanation.level, explanation.follows
    side = "higher" if level.value >= 0 else "lower"
    low, high = sorted((abs(level.ci_low), abs(level.ci_high)))
    interval = f"{low:.2f} to {high:.2f}" if level.ci_low * level.ci_high > 0 else "may be none"
    lines = [
        f"Rates {abs(level.value):.2f} points {side} than the population on the whole "
        f"({interval}), and goes {follows.value:.2f} times as far as the common opinion "
        f"({follows.ci_low:.2f} to {follows.ci_high:.2f}).",
        f"Beyond that, taste moves this person's rating by {explanation.spread:.2f} points "
        "(standard deviation over pictures).",
    ]
    if explanation.explained is not None:
        lines.append(
            f"The words below account for {explanation.explained:.0%} of what is personal in the "
            "score; the rest has no name here."
        )
    return lines
