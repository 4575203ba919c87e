"""From journals to tables: one row per judgment, one per participant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from pamela.core import schema as s
from pamela.study.journal import AT
from pamela.study.participant import LEFT, RIGHT, TIE, Participant
from pamela.study.plan import Comparison

SAME: Final = "same"  # of `answer`: one and the same picture, not shown: a tie for the record
JUDGMENTS_SCHEMA: Final = pl.Schema(
    {
        s.USER: pl.String,
        s.PROMPT_ID: pl.String,
        "number": pl.Int64,  # in the order shown, from 1; null where nothing was shown
        "left": pl.String,  # the arm on the left
        "right": pl.String,
        "answer": pl.String,  # left | right | tie | same
        "winner": pl.String,  # an arm's name or `tie`
        "repeat_of": pl.Int64,  # the number of the pair that is shown again, sides changed
        "left_sha256": pl.String,
        "right_sha256": pl.String,
        "at": pl.String,  # UTC
        "ms": pl.Int64,  # from the pictures to the answer
    }
)
PEOPLE_SCHEMA: Final = pl.Schema(
    {
        s.USER: pl.String,
        "joined": pl.String,
        "last": pl.String,
        "ratings": pl.Int64,
        "ratings_asked": pl.Int64,
        "choices": pl.Int64,
        "choices_asked": pl.Int64,
        "reached": pl.String,  # rating | waiting | comparing | done
        "comment": pl.String,
    }
)


def judgment_table(people: Sequence[Participant]) -> pl.DataFrame:
    """Return every judgment of `people`, of `JUDGMENTS_SCHEMA`."""
    rows = [row for person in people for row in _judgments(person)]
    return pl.DataFrame(rows, schema=JUDGMENTS_SCHEMA, orient="row")


def _judgments(person: Participant) -> Iterator[dict[str, Any]]:
    asked = person.asked
    for pair, choice in zip(asked, person.choices, strict=False):  # whoever has not finished
        answer = choice["choice"]
        winner = {LEFT: pair.left.arm, RIGHT: pair.right.arm}.get(answer, TIE)
        yield {
            **_pair(person, pair),
            "number": choice["number"] + 1,
            "answer": answer,
            "winner": winner,
            "repeat_of": None if pair.repeat_of is None else pair.repeat_of + 1,
            "at": choice[AT],
            "ms": choice["ms"],
        }
    if person.chosen:
        for pair in person.pairs:
            if pair.same:
                yield {**_pair(person, pair), "answer": SAME, "winner": TIE}


def _pair(person: Participant, pair: Comparison) -> dict[str, Any]:
    return {
        s.USER: person.id,
        s.PROMPT_ID: pair.left.prompt_id,
        "left": pair.left.arm,
        "right": pair.right.arm,
        "left_sha256": pair.left.sha256,
        "right_sha256": pair.right.sha256,
    }


def people_table(people: Sequence[Participant]) -> pl.DataFrame:
    """Return a row per participant, of `PEOPLE_SCHEMA`."""
    rows = [
        {
            s.USER: one.id,
            "joined": one.joined,
            "last": one.last,
            "ratings": len(one.ratings),
            "ratings_asked": len(one.pictures),
            "choices": len(one.choices),
            "choices_asked": len(one.asked) if one.pairs else None,
            "reached": _reached(one),
            "comment": one.comment,
        }
        for one in people
    ]
    return pl.DataFrame(rows, schema=PEOPLE_SCHEMA, orient="row")


def _reached(person: Participant) -> str:
    if not person.rated:
        return "rating"
    if not person.pairs:
        return "waiting"
    return "done" if person.chosen else "comparing"
