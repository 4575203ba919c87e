"""Steering in the report and in docs/steering.md: the arms, and what is generic and what personal.

Everything is made from flat metrics as ``metrics/steering.json`` holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pamela.registry.tracking.run_metrics import elo_by_arm
from pamela.reporting import paper_figures
from pamela.reporting.presentation.html import DASH, Cell, Table, number_cell
from pamela.reporting.tables import flat_row

MEANINGS: Final = {
    "none": "the prompt as it is",
    "chance": "own reward, no feedback",
    "population": "a reward without users",
    "other": "somebody else's reward",
    "self": "own reward",
    "self_cautious": "own, less its deviation",
    "truth": "the true utility",
}
GAINS: Final = {  # name: what it is, of which arm against which, the win share beside it
    "gain_generic": ("generic", "other against none", "win_other_none"),
    "gain_personal_other": ("personal", "self against other", "win_self_other"),
    "gain_personal_population": ("personal", "self against population", "win_self_population"),
    "gain_self": ("both", "self against none", "win_self_none"),
    "gain_self_chance": ("feedback", "self against chance", "win_self_chance"),
    "gain_self_cautious": ("caution", "self_cautious against self", ""),
}
KINDS: Final = {"seen": "users in training", "cold": "known by 20 ratings"}


def arms_table(flat: Mapping[str, float]) -> Table:
    """Return Elo per arm, how often `self` wins against it, its drawings and its fidelity."""
    elo = elo_by_arm(flat)
    rows = [
        [
            Cell(arm, MEANINGS.get(arm, "a generic reward")),
            number_cell(flat_row(flat, f"elo_{arm}"), ".0f"),
            number_cell(flat_row(flat, f"win_self_{arm}"), ".0%"),
            _count(flat, f"drawings_{arm}"),
            number_cell(flat_row(flat, f"fidelity_{arm}"), ".0%"),
            Cell(str(paper_figures.ELO.get(arm, DASH))),
        ]
        for arm in sorted(elo, key=lambda name: -elo[name])
    ]
    return Table(
        title="Arms of the steering benchmark",
        columns=["arm", "Elo", "self wins", "drawings", "subject kept", "Elo in the paper"],
        rows=rows,
        caption=(
            f"{int(flat.get('n_judgments', 0)):,} judgments by the simulated users, by their true "
            "utility and their own noise, never by the reward that was optimised. Each pair is "
            "judged in both orders with new noise; two orders that disagree are a tie, half a win "
            "for each. chance draws as many variants at once and takes the best by the user's own "
            "reward. drawings: pictures to choose from, for a user and a prompt. subject kept: "
            "share of pictures that the encoder matches with their own subject rather than another "
            f"of its group. The paper's study: {paper_figures.STUDY}, with other arms, so only the "
            "order compares."
        ),
        strong={i for i, row in enumerate(rows) if row[0].text == "self"},
    )


def gains_table(flat: Mapping[str, float]) -> Table:
    """Return the generic and the personal gain, in points of true utility and in win shares."""
    rows = [
        [Cell(what, arms), number_cell(flat_row(flat, name), "+.2f"), *_wins(flat, win)]
        for name, (what, arms, win) in GAINS.items()
        if name in flat
    ]
    share = flat_row(flat, "gain_self_share_of_truth")
    known = (
        f" Of the gain of truth, self reaches {share['value']:.0%} [{share['ci_low']:.0%}, "
        f"{share['ci_high']:.0%}]."
        if share["value"] is not None
        else ""
    )
    return Table(
        title="What is generic and what is personal",
        columns=["gain", "points of 1..5", "wins", *(f"wins, {said}" for said in KINDS.values())],
        rows=rows,
        caption=(
            "Points are of the judging user's true utility. Intervals: 95 %, over people and "
            f"prompts.{known}"
        ),
    )


def _wins(flat: Mapping[str, float], name: str) -> list[Cell]:
    keys = [name, *(f"{name}_{kind}" for kind in KINDS)]
    return [number_cell(flat_row(flat, key), ".0%") for key in keys]


def _count(flat: Mapping[str, Any], name: str) -> Cell:
    return Cell(f"{flat[name]:.0f}" if name in flat else DASH)
