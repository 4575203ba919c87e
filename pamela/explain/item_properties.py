"""What the pictures of a dataset are looked at through, the same for every person explained.

Concept scores by the encoder, metadata levels, words of prompts, and the resamples of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from pamela.core import schema as s
from pamela.core.arrays import Floats, Ints
from pamela.core.dataset import Items
from pamela.core.hashing import hash_ids
from pamela.explain.concepts import Concept, concept_scores, concepts_for
from pamela.explain.effects import JointRidge, Resamples
from pamela.explain.words import LEAST_PICTURES, Words, collect_words
from pamela.features.encoders.base import Encoder

SEED: Final = 0
MOST_PICTURES: Final = 4000  # more are sampled, by a hash of their ids
USUAL: Final = (0.1, 0.9)  # quantiles between which a concept usually moves
LEVEL_COLUMNS: Final = (s.TYPE, s.GROUP, s.STYLE)
NO_TEXT: Final = (
    "no words for what pictures look like: the features are precomputed, so there is no text "
    "encoder to ask; metadata, prompts and example pictures only"
)
NO_PROMPTS: Final = "no words of prompts: too few prompts share a word"
NO_METADATA: Final = "no metadata: no column of it has two levels with enough pictures"


@dataclass(frozen=True)
class ImageProperties:
    """Columns over n pictures.

    Attributes
    ----------
    items : the pictures.
    concepts, scores, spans : c concepts, array (n, c) and what each usually moves by, (c,).
    together : the regression on all concepts; None without any.
    levels : column, level, pictures; a row per column of `members`.
    members : sparse (n, levels) of 0 and 1.
    words : of prompts.
    resamples : of pictures.
    notes : what is missing, and why.
    """

    items: Items
    concepts: tuple[Concept, ...]
    scores: Floats
    spans: Floats
    together: JointRidge | None
    levels: pl.DataFrame
    members: sparse.csr_matrix
    words: Words
    resamples: Resamples
    notes: tuple[str, ...]

    @classmethod
    def make(cls, items: Items, encoder: Encoder | None) -> ImageProperties:
        """Look at `items`; without an encoder (precomputed features) there are no concepts."""
        items = items.take(sample_images(items.frame))
        concepts: Sequence[Concept] = concepts_for(encoder.name) if encoder is not None else ()
        scores = np.zeros((len(items), 0))
        if encoder is not None:
            scores = concept_scores(encoder, items.image, concepts)
        low, high = np.quantile(scores, USUAL, axis=0)
        resamples = Resamples.draw(clusters(items.frame), SEED)
        levels, members = metadata_levels(items.frame)
        words = collect_words(items.frame[s.PROMPT].to_list())
        missing = (
            (NO_TEXT, encoder is None),
            (NO_METADATA, not levels.height),
            (NO_PROMPTS, not words.words),
        )
        return cls(
            items,
            tuple(concepts),
            scores,
            high - low,
            JointRidge.prepare(scores, resamples) if concepts else None,
            levels,
            members,
            words,
            resamples,
            tuple(note for note, holds in missing if holds),
        )


def sample_images(frame: pl.DataFrame) -> Ints:
    """Return the rows to look at, sorted: all, or `MOST_PICTURES` with the smallest hash of id."""
    if frame.height <= MOST_PICTURES:
        return np.arange(frame.height)
    keys = hash_ids((frame[s.DATASET] + "/" + frame[s.IMAGE]).to_list(), SEED)
    return np.sort(np.argsort(keys, kind="stable")[:MOST_PICTURES])


def clusters(frame: pl.DataFrame) -> list[str]:
    """Return what is drawn together: pictures of one prompt_id; one without is alone."""
    alone = pl.lit("image ") + pl.col(s.IMAGE)
    together = pl.lit("prompt ") + pl.col(s.PROMPT_ID)
    return frame.select(pl.coalesce(together, alone).alias("cluster"))["cluster"].to_list()


def metadata_levels(frame: pl.DataFrame) -> tuple[pl.DataFrame, sparse.csr_matrix]:
    """Return the levels of type, group (by type) and style that enough pictures have.

    Returns
    -------
    levels : column, level, pictures.
    members : sparse (n, levels), 1 where a picture has the level.
    """
    shown = frame.select(
        pl.col(s.TYPE),
        pl.concat_str(s.TYPE, s.GROUP, separator=" / ").alias(s.GROUP),
        pl.col(s.STYLE).str.replace_all("_", " "),
    ).with_row_index("row")
    cells = shown.unpivot(index="row", variable_name="column", value_name="level").drop_nulls()
    levels = (
        cells.group_by("column", "level")
        .agg(pictures=pl.len().cast(pl.Int64))
        .filter(pl.col("pictures").is_between(LEAST_PICTURES, frame.height - 1))
        .sort(
            pl.col("column").replace_strict(
                {name: i for i, name in enumerate(LEVEL_COLUMNS)}, return_dtype=pl.Int64
            ),
            "level",
        )
    )
    place = levels.select("column", "level").with_row_index("at")
    known = cells.join(place, on=["column", "level"], how="inner").sort("row", "at")
    members = sparse.csr_matrix(
        (np.ones(known.height), (known["row"].to_numpy(), known["at"].to_numpy())),
        shape=(frame.height, levels.height),
    )
    return levels, members
