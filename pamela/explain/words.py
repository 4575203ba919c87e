"""Words of prompts: which single words and pairs of neighbours enough prompts hold, and which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

LEAST_PICTURES: Final = 15  # a rarer word cannot be estimated from its pictures
LEAST_SHARE, MOST_SHARE = 0.004, 0.9  # of the pictures
MOST_WORDS: Final = 1500  # the most frequent ones
# Words that only join others; "very" says something only before another word.
_JOINING: Final = (
    "a against an and are as at be been being but by each for from had has have he her here his "
    "if in into is it its itself my no nor not of off on onto or our out over own she so some such "
    "than that the their them then there these they this those through to too under up upon was we "
    "were what when where which while who whose will with within without you your"
)
JOINING: Final = frozenset(_JOINING.split())
ALONE_SAYS_NOTHING: Final = frozenset({"very", "more", "most", "all", "every", "one", "two"})
_WORD = re.compile(r"[^\W_](?:[\w'’-]*[^\W_])?")


@dataclass(frozen=True)
class Words:
    """Which of n prompts hold which words.

    Attributes
    ----------
    words : single words and pairs of neighbours, the most frequent first.
    present : sparse float matrix (n, words) of 0 and 1.
    """

    words: list[str]
    present: sparse.csr_matrix


def words_of(prompt: str) -> list[str]:
    """Return the distinct words and pairs of neighbours of one prompt.

    Examples
    --------
    >>> words_of("A very dark photo of a cat, at golden hour")
    ['cat', 'dark', 'dark photo', 'golden', 'golden hour', 'hour', 'photo', 'very dark']
    """
    found: set[str] = set()
    for clause in re.split(r"[,.;:!?()\"]+", prompt.lower()):
        tokens = _WORD.findall(clause)
        telling = [token not in JOINING and not token.isdigit() for token in tokens]
        found |= {
            token
            for token, tells in zip(tokens, telling, strict=True)
            if tells and token not in ALONE_SAYS_NOTHING and len(token) > 1
        }
        found |= {
            f"{tokens[i]} {tokens[i + 1]}"
            for i in range(len(tokens) - 1)
            if telling[i] and telling[i + 1]
        }
    return sorted(found)


def collect_words(prompts: Sequence[str | None]) -> Words:
    """Return the words that enough, but not nearly all, of the prompts hold.

    Of words that always stand together only the longest is kept: ``golden hour``, not ``golden``.
    """
    n = len(prompts)
    distinct = {prompt: words_of(prompt) for prompt in set(prompts) if prompt}
    rows = pl.DataFrame(
        {"row": np.arange(n), "word": [distinct.get(prompt or "", []) for prompt in prompts]},
        schema={"row": pl.Int64, "word": pl.List(pl.String)},
    ).explode("word", empty_as_null=True).drop_nulls()  # fmt: skip
    least = max(LEAST_PICTURES, LEAST_SHARE * n)
    # pictures are distinguished by the sum of their numbers scrambled: equal sums, equal pictures
    counted = (
        rows.group_by("word")
        .agg(n=pl.len(), which=pl.col("row").hash(seed=0).sum())
        .filter(pl.col("n").is_between(least, MOST_SHARE * n))
        .sort(pl.col("word").str.len_chars(), "word", descending=[True, False])
        .unique(["n", "which"], keep="first", maintain_order=True)
        .sort(["n", "word"], descending=[True, False])
        .head(MOST_WORDS)
    )
    words = counted["word"].to_list()
    place = counted.select("word").with_row_index("column")
    cells = rows.join(place, on="word", how="inner").sort("row", "column")
    present = sparse.csr_matrix(
        (np.ones(cells.height), (cells["row"].to_numpy(), cells["column"].to_numpy())),
        shape=(n, len(words)),
    )
    return Words(words, present)
