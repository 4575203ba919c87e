"""Column names, Polars schemas, the rating scale and the parts of a split: one place.

The canonical tables are ``data/tables/{ratings,users,images}.parquet``; ids are text.
``data/README.md`` describes every table, column and unit.
"""

from __future__ import annotations

import re
from typing import Any, Final

import polars as pl

# --- columns --------------------------------------------------------------------------------------
DATASET: Final = "dataset"
USER: Final = "user_id"
IMAGE: Final = "image_id"
RATING: Final = "rating"
RATED_AT: Final = "rated_at"
POSITION: Final = "position"
SPLIT: Final = "split"
SOURCE_FILE: Final = "source_file"
SOURCE_ROW: Final = "source_row"
FILE: Final = "file"
SHA256: Final = "sha256"
PROMPT: Final = "prompt"
TYPE: Final = "type"
GROUP: Final = "group"
STYLE: Final = "style"
GENERATOR: Final = "generator"
PROMPT_ID: Final = "prompt_id"
IMAGE_A: Final = "image_a"
IMAGE_B: Final = "image_b"
CHOICE: Final = "choice"
CHOSEN_AT: Final = "chosen_at"
FOLD: Final = "fold"
PART: Final = "part"

RATINGS_SCHEMA: Final = pl.Schema(
    {
        DATASET: pl.String(),
        USER: pl.String(),
        IMAGE: pl.String(),
        RATING: pl.Float64(),
        RATED_AT: pl.Datetime("us"),
        POSITION: pl.Int64(),
        SPLIT: pl.String(),
        SOURCE_FILE: pl.String(),
        SOURCE_ROW: pl.Int64(),
    }
)
# What a person says of two pictures: which one they like more, or that they like both equally.
CHOSE_A: Final = "a"
CHOSE_B: Final = "b"
TIE: Final = "tie"
OUTCOMES: Final = {CHOSE_A: 1.0, CHOSE_B: 0.0, TIE: 0.5}
CHOICES_SCHEMA: Final = pl.Schema(
    {
        DATASET: pl.String(),
        USER: pl.String(),
        IMAGE_A: pl.String(),
        IMAGE_B: pl.String(),
        CHOICE: pl.String(),
        CHOSEN_AT: pl.Datetime("us"),
        POSITION: pl.Int64(),
        SOURCE_FILE: pl.String(),
        SOURCE_ROW: pl.Int64(),
    }
)
IMAGES_SCHEMA: Final = pl.Schema(
    {
        DATASET: pl.String(),
        IMAGE: pl.String(),
        FILE: pl.String(),
        SHA256: pl.String(),
        PROMPT: pl.String(),
        TYPE: pl.String(),
        GROUP: pl.String(),
        STYLE: pl.String(),
        GENERATOR: pl.String(),
        PROMPT_ID: pl.String(),
    }
)
# Scores from elsewhere: of everybody, or (with a user) one person's; `scaled` on a scale of ours
SCORE: Final = "score"
SCALED: Final = "scaled"
SCORES_SCHEMA: Final = pl.Schema(
    {
        DATASET: pl.String(),
        USER: pl.String(),
        IMAGE: pl.String(),
        SCORE: pl.Float64(),
        SCALED: pl.Float64(),
    }
)
# Demographic columns follow the two keys; they are categorical text and differ by dataset.
USERS_KEYS: Final = (DATASET, USER)
METADATA: Final = (TYPE, GROUP, STYLE)
POPULATION_ID: Final = ""  # no user id is empty, so every model takes it for somebody unknown

# --- the internal rating scale ----------------------------------------------------------------
SCALE_LOW: Final = 1.0
SCALE_HIGH: Final = 5.0
# A dataset of choices alone has no scale of its own. Its scores are Thurstone's: 0 is the average
# training picture; of two that are 1 apart a person takes the better one in 84 % (Phi(1)).
STANDARD_SCALE: Final = (-4.0, 4.0)

# --- parts of a split -------------------------------------------------------------------------
TRAIN: Final = "train"
VAL_SEEN: Final = "val_seen"
VAL_UNSEEN: Final = "val_unseen"
TEST_SEEN: Final = "test_seen"
TEST_UNSEEN: Final = "test_unseen"
CONTEXT_UNSEEN: Final = "context_unseen"
RELEASE_PARTS: Final = (TRAIN, VAL_SEEN, VAL_UNSEEN, TEST_SEEN, TEST_UNSEEN, CONTEXT_UNSEEN)
# Parts that only our own splits know:
CONTEXT_VAL: Final = "context_val"  # validation users on training images
HELD_BACK: Final = "held_back"  # a batch's rows on held-out users or images
UNUSED: Final = "unused"  # e.g. validation users on test images
PARTS: Final = (*RELEASE_PARTS, CONTEXT_VAL, HELD_BACK, UNUSED)
# Joint training alone: rows to learn from on a picture that another dataset holds out (`load_fold`)
HELD_OUT_ELSEWHERE: Final = "held_out_elsewhere"


def to_internal(rating: Any, low: Any, high: Any) -> Any:
    """Map ratings (numbers, arrays, expressions) on ``[low, high]`` to the internal 1..5."""
    # the rating comes first: an expression is named after its leftmost part
    return (rating - low) / (high - low) * (SCALE_HIGH - SCALE_LOW) + SCALE_LOW


def from_internal(rating: Any, low: float, high: float) -> Any:
    """Map internal ratings back to ``[low, high]``."""
    return low + (rating - SCALE_LOW) * internal_unit(low, high)


def internal_unit(low: float, high: float) -> float:
    """Return what one point of the internal scale is on ``[low, high]``."""
    return (high - low) / (SCALE_HIGH - SCALE_LOW)


# --- ids ------------------------------------------------------------------------------------------
# Characters that no screen shows; programs leave them behind: a soft hyphen, a zero-width space, a
# mark of direction, a byte-order mark. Joiners stay: they spell words of some languages.
INVISIBLE: Final = "[\u00ad\u200b\u200e\u200f\u2060\ufeff]"


def identifier(column: str) -> pl.Expr:
    """Return an id column as `one_spelling` of its text; empty is null."""
    text = _one_spelling(pl.col(column).cast(pl.String))
    return pl.when(text != "").then(text).alias(column)


def one_spelling(text: str) -> str:
    """Return an id without outer blanks and `INVISIBLE`, in Unicode's composed form (NFC).

    Systems write one name in several ways (an accent of its own, a blank after a comma); ids that
    nobody can tell apart are one id.
    """
    if text.isascii() and text.isprintable():  # the usual case, without an engine
        return text.strip(" ")
    return str(pl.select(_one_spelling(pl.lit(text))).item())


NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def written_number(text: str) -> float | None:
    """Return the number that `text` says in decimals; Python's ``1_0`` and ``nan`` are none."""
    return float(text) if NUMBER.fullmatch(text.strip()) else None


def _one_spelling(text: pl.Expr) -> pl.Expr:
    bare = text.str.strip_chars()
    ascii_only = bare.str.len_bytes() == bare.str.len_chars()  # then composed as it is: cheaper
    shown = bare.str.replace_all(INVISIBLE, "").str.strip_chars().str.normalize("NFC")
    return pl.when(ascii_only).then(bare).otherwise(shown)
