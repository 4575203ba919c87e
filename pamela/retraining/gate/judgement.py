"""The gate: what a challenger must reach to become champion, as a table of checks.

Champion and challenger each hold a fit of fold 0 that never saw the hold-out. Both predict it now
(`pamela.retraining.gate.comparison`), on the frozen hold-out and on a share of the newest ratings
(`pamela.retraining.gate.holdout`). Then:

- **REJECT** if anything is worse beyond chance: the SROCC on the frozen hold-out of a dataset by
  more than ``retrain.tolerance``, or more than ``retrain.max_total_loss`` below the best champion
  so far, so that many small losses do not add up; one kind of people or pictures; calibration.
- **PROMOTE** if nothing is worse and there is a gain beyond chance, on the frozen hold-out or on
  the newest ratings. All tests of a gain share ``retrain.level``, so that an equal challenger is
  promoted in at most so many cases (Bonferroni). Where people have withdrawn, no gain is asked for.
- **HOLD** otherwise: the champion stays, and so do the new ratings. A loss on the hold-out that may
  be chance is held, never promoted, and its batches stay on trial with the next ones.

Of datasets of choices alone the accuracy of choices stands in place of SROCC, and their log loss in
place of the calibration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pamela.core.errors import PamelaError, one_line
from pamela.evaluation.choices.metrics import CHOICE_ACCURACY, CHOICE_LOG_LOSS
from pamela.evaluation.metrics.definitions import COVERAGE_90, RMSE, SROCC
from pamela.params import Params, RetrainParams
from pamela.retraining.gate import comparison
from pamela.retraining.gate.fairness import check_comparable
from pamela.retraining.gate.holdout import NEWEST, Holdout
from pamela.retraining.gate.table_rows import FROZEN, Row, Setting
from pamela.training.bundle import Bundle

Outcome = Literal["PROMOTE", "HOLD", "REJECT"]
TESTS: Final = 2  # of a gain, on ratings or on choices: the frozen hold-out, the newest
NOMINAL: Final = 0.9
# What is held to the tolerances and must gain, by what it is of; the other metrics are calibration.
FIGURES: Final = {SROCC: "ratings", CHOICE_ACCURACY: "choices"}
TITLES: Final = {
    SROCC: "SROCC",
    RMSE: "RMSE",
    COVERAGE_90: "90 % coverage",
    CHOICE_ACCURACY: "choice accuracy",
    CHOICE_LOG_LOSS: "log loss of choices",
}
MET, FAILED, UNSURE, SHOWN = "met", "failed", "within chance", "shown"
GAIN, NO_GAIN = "gain", "no gain"
STILL: Final = "the champion was trained on people who have withdrawn (`pamela promote`)"


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes
    ----------
    kind : ``hold-out``, ``best so far``, ``slice``, ``calibration`` or ``gain``.
    row : the two models' number.
    wanted : what it must reach, in words.
    result : ``met``, ``failed``, or ``within chance`` (a loss that may be none); for a gain
        ``gain`` or ``no gain``; ``shown`` decides nothing.
    """

    kind: str
    row: Row
    wanted: str
    result: str


@dataclass(frozen=True)
class Judgement:
    """What the gate found: the outcome, why, in one line, and the table."""

    outcome: Outcome
    why: str
    checks: tuple[Check, ...]

    @property
    def unsure(self) -> bool:
        """Whether the challenger lost more than is allowed, perhaps by chance."""
        return self.outcome == "HOLD" and any(check.result == UNSURE for check in self.checks)

    @property
    def overall(self) -> dict[str, Row]:
        """The rows of the whole frozen hold-out by metric: of its ratings, of its choices."""
        return {c.row.metric: c.row for c in self.checks if _is_overall(c.row)}


def setting_of(params: Params, kinds: int = 1) -> Setting:
    """Return how the rows are estimated: draws and seed of ``evaluate``, a share of the level.

    Parameters
    ----------
    kinds : how many kinds of rows may gain: ratings or choices, or both.
    """
    level = params.retrain.level / (TESTS * kinds)
    return Setting(params.evaluate.bootstrap, params.evaluate.seed, level)


def judge(
    champion: Bundle,
    challenger: Bundle,
    holdout: Holdout,
    params: Params,
    *,
    best: Bundle | None = None,
    below: Mapping[str, float] | None = None,
    gain_wanted: bool = True,
) -> Judgement:
    """Compare the two and decide.

    Parameters
    ----------
    champion, challenger : bundles with the fit of fold 0 (`load_evaluated`).
    best : the best champion so far; None where it is the champion.
    below : SROCC (accuracy of choices) by which it is itself below one that was best before, of
        each dataset.
    gain_wanted : whether a promotion needs a gain.

    Raises
    ------
    PamelaError
        If the two were not trained on the same features, if the champion was trained on what is
        held out now, or if nobody in the frozen hold-out has ratings that differ, or a choice that
        is no tie.
    """
    check_comparable(champion, challenger, holdout)
    setting = setting_of(params, holdout.kinds)
    rows = comparison.compare(champion, challenger, holdout, setting)
    for row in filter(_is_overall, rows):
        if not row.users:
            of = FIGURES[row.metric]
            wanted = "two different ratings" if row.metric == SROCC else "a choice that is no tie"
            raise PamelaError(
                f"no user of the hold-out (test_seen, test_unseen of fold 0, as imported) has "
                f"{wanted}: nothing to compare on; import the dataset with more test {of}"
            )
    against = comparison.compare_with_best(best, challenger, holdout, setting) if best else []
    checks = tuple(table(rows, against, params.retrain, below))
    outcome = decide(checks, gain_wanted=gain_wanted)
    return Judgement(outcome, explain(outcome, checks, gain_wanted=gain_wanted), checks)


# --- the table --------------------------------------------------------------------------------


def table(
    rows: Sequence[Row],
    best: Sequence[Row],
    params: RetrainParams,
    below: Mapping[str, float] | None = None,
) -> Iterator[Check]:
    """Yield every check: `rows` against the champion, `best` against the best champion so far."""
    for row in rows:
        if row.rows_of == NEWEST or _is_overall(row):
            yield _gain(row, params)
        elif row.metric not in FIGURES:
            yield _calibration(row, params)
        elif row.slice:
            yield _slice(row, params)
        else:
            yield _not_worse("hold-out", row, params.tolerance)
    for row in best:
        allowed = params.max_total_loss - (below or {}).get(row.dataset, 0.0)
        yield _not_worse("best so far", row, max(allowed, 0.0))


def _is_overall(row: Row) -> bool:
    return (row.rows_of, row.dataset, row.slice) == (FROZEN, "", "")


def _not_worse(kind: str, row: Row, allowed: float) -> Check:
    wanted = f"at least {0.0 - round(allowed, 4):g}"
    if row.difference is None:
        return Check(kind, row, wanted, SHOWN)
    if row.difference >= -allowed:
        return Check(kind, row, wanted, MET)
    sure = row.ci_high is not None and row.ci_high < 0
    return Check(kind, row, wanted, FAILED if sure else UNSURE)


def _slice(row: Row, params: RetrainParams) -> Check:
    """Hold a slice to its floor: failed if it falls below, and that by more than chance."""
    wanted = f"at least {0.0 - params.slice_floor:g} or within chance"
    if row.difference is None or row.ci_high is None or row.users < params.min_slice_users:
        return Check("slice", row, f"{params.min_slice_users} people", SHOWN)
    failed = row.difference < -params.slice_floor and row.ci_high < 0
    return Check("slice", row, wanted, FAILED if failed else MET)


def _calibration(row: Row, params: RetrainParams) -> Check:
    """Hold coverage to the nominal 90 %, and error and log loss to those of the champion."""
    allowed = params.calibration_tolerance
    if row.champion is None or row.challenger is None or row.users < params.min_slice_users:
        return Check("calibration", row, f"{params.min_slice_users} people", SHOWN)
    sure = True
    if row.metric != COVERAGE_90:
        wanted, worse = f"at most +{allowed:g} or within chance", row.challenger - row.champion
        sure = row.ci_low is not None and row.ci_low > 0
    else:
        wanted = f"at most {allowed:g} further from .90"
        worse = abs(row.challenger - NOMINAL) - abs(row.champion - NOMINAL)
    return Check("calibration", row, wanted, FAILED if worse > allowed and sure else MET)


def _gain(row: Row, params: RetrainParams) -> Check:
    wanted = f"above {params.least_gain:g} beyond chance"
    if row.lower is None or row.users < params.min_slice_users:
        return Check("gain", row, f"{params.min_slice_users} people", SHOWN)
    return Check("gain", row, wanted, GAIN if row.lower > params.least_gain else NO_GAIN)


# --- deciding ---------------------------------------------------------------------------------


def decide(checks: Sequence[Check], *, gain_wanted: bool = True) -> Outcome:
    """Return the outcome that follows from the checks."""
    results = {check.result for check in checks}
    if FAILED in results:
        return "REJECT"
    if UNSURE in results:
        return "HOLD"
    return "PROMOTE" if GAIN in results or not gain_wanted else "HOLD"


def explain(outcome: Outcome, checks: Sequence[Check], *, gain_wanted: bool = True) -> str:
    """Return why, in one line: the overall scores, then what decided."""
    line = ", ".join(_score(check.row) for check in checks if _is_overall(check.row))
    still = "" if gain_wanted else f"; {STILL}"
    if outcome == "REJECT":
        failed = [_sentence(check) for check in checks if check.result == FAILED]
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        return f"{line}; worse: {'; '.join(failed[:3])}{more}{still}"
    unsure = [_sentence(check) for check in checks if check.result == UNSURE]
    if unsure:
        return f"{line}; worse, perhaps by chance: {'; '.join(unsure)}{still}"
    gains = [_sentence(check) for check in checks if check.result == GAIN]
    if gains:
        return f"{line}; gain: {'; '.join(gains)}"
    tried = [_sentence(check) for check in checks if check.kind == "gain"]
    asked = "no gain beyond chance" if gain_wanted else "not worse, and people have withdrawn"
    return f"{line}; {asked}: {'; '.join(tried)}"


def _score(row: Row) -> str:
    return (
        f"{TITLES[row.metric]} {_number(row.challenger)} against {_number(row.champion)} on "
        f"{row.rows:,} frozen hold-out {FIGURES[row.metric]} of {row.users:,} people"
    )


def _sentence(check: Check) -> str:
    """Return one check in words: ``unseen people of faces: SROCC -.031 [-.05, -.01]``."""
    row = check.row
    where = one_line(" of ".join(part for part in (row.slice, row.dataset) if part) or row.rows_of)
    against = " against the best so far" if check.kind == "best so far" else ""
    name = TITLES[row.metric]
    if row.difference is None:
        return f"{where}: {name}{against} cannot be compared ({row.users} people)"
    span = "" if row.ci_low is None else f" [{row.ci_low:+.3f}, {row.ci_high:+.3f}]"
    wanted = f", wanted {check.wanted}" if check.result in (FAILED, UNSURE, NO_GAIN, SHOWN) else ""
    return f"{where}: {name} {row.difference:+.3f}{span}{against}{wanted}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
