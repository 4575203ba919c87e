"""What is compared: each arm says by whose reward a prompt is steered. Arms are data, not code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.steer.sampling import EvaluationCase
from pamela.steer.search.loop import SEARCH, Search

NONE: Final = "none"
CHANCE: Final = "chance"
POPULATION: Final = "population"
OTHER: Final = "other"
SELF: Final = "self"
CAUTIOUS: Final = "self_cautious"
TRUTH: Final = "truth"
COLD_START: Final = "cold_start"
CHAMPION: Final = "champion"  # the reward of the arms chance, other and self

# whose reward it is
NOBODY: Final = "nobody"
EVERYBODY: Final = "population"
ONESELF: Final = "self"
SOMEBODY: Final = "other"


@dataclass(frozen=True)
class Arm:
    """One way to get a picture for a user and a prompt.

    Attributes
    ----------
    name : as in the tables.
    reward : the name of the reward that chooses; None draws nothing but the original.
    whose : `NOBODY`, `EVERYBODY`, `ONESELF` or `SOMEBODY`.
    feedback : whether a round's variants build on the best so far; else all are drawn at once from
        the original prompt, as many as the rounds of the others have together.
    """

    name: str
    reward: str | None
    whose: str
    feedback: bool = True


BASIC: Final = (
    Arm(NONE, None, NOBODY),
    Arm(CHANCE, CHAMPION, ONESELF, feedback=False),
    Arm(POPULATION, POPULATION, EVERYBODY),
    Arm(OTHER, CHAMPION, SOMEBODY),
    Arm(SELF, CHAMPION, ONESELF),
)


def all_arms(generic: Sequence[str], *, cautious: bool = False, truth: bool = False) -> list[Arm]:
    """Return the arms in the order of every table.

    Parameters
    ----------
    generic : names of the rewards that know nobody and are steered by beside ours.
    cautious : whether the user's own reward less its standard deviation is an arm.
    truth : whether the user's true utility is known, which bounds every other arm.
    """
    return [
        *BASIC,
        *([Arm(CAUTIOUS, CAUTIOUS, ONESELF)] if cautious else []),
        *(Arm(name, name, EVERYBODY) for name in sorted(generic)),
        *([Arm(TRUTH, TRUTH, ONESELF)] if truth else []),
    ]


@dataclass(frozen=True)
class Plan:
    """Which searches the arms need, each once, and which search each user's arm shows.

    Attributes
    ----------
    arms : the names, in the order of the tables.
    searches : in the order of the numbers in `assignment`.
    feedback : whether each of `searches` builds on its earlier rounds.
    assignment : DataFrame ``user_id, prompt_id, cold_start, arm, search``.
    """

    arms: tuple[str, ...]
    searches: tuple[Search, ...]
    feedback: tuple[bool, ...]
    assignment: pl.DataFrame


def make_plan(cases: Sequence[EvaluationCase], arms: Sequence[Arm]) -> Plan:
    """Return the plan of `cases` and `arms`.

    What pleases the population is one search per prompt, and what pleases a user is both their own
    arm `self` and their partner's arm `other`. `none` shows the round 0 that all searches of a
    prompt share.
    """
    steered = {arm.name: arm for arm in arms if arm.reward is not None}
    wanted = {(c, name): _search(c, arm) for c in cases for name, arm in steered.items()}
    unique = list(dict.fromkeys(wanted.values()))
    number = {found: i for i, found in enumerate(unique)}
    first = next(name for name, arm in steered.items() if arm.feedback)
    rows = [
        (c.user, c.start.prompt_id, c.cold_start, arm.name,
         number[wanted[c, arm.name if arm.name in steered else first]])
        for c in cases
        for arm in arms
    ]  # fmt: skip
    names = tuple(arm.name for arm in arms)
    columns = [s.USER, s.PROMPT_ID, COLD_START, "arm", SEARCH]
    assignment = pl.DataFrame(rows, schema=columns, orient="row")
    return Plan(
        names,
        tuple(search for search, _ in unique),
        tuple(feedback for _, feedback in unique),
        assignment.with_columns(pl.col("arm").cast(pl.Enum(names))),
    )


def _search(case: EvaluationCase, arm: Arm) -> tuple[Search, bool]:
    user = {EVERYBODY: None, ONESELF: case.user, SOMEBODY: case.other}[arm.whose]
    return Search(str(arm.reward), user, case.start), arm.feedback
