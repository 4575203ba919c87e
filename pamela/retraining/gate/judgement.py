"""The gate: what a challenger must reach to become champion, as a table of checks.

Champion and challenger each hold a fit of fold 0 that never saw the hold-out. Both predict it now
(`pamela.retraining.gate.comparison`), on the frozen hold-out and on a share of the newest ratings
(`pamela.retraining.gate.holdout`). Then:

- **REJECT** if anything is worse beyond chance: the SROCC on the frozen hold-out of a dataset by
  more than ``retrain.tolerance``, or more than ``retrain.max_total_loss`` below the best champion
  so far, so that many small losses do not add up; one kind of people or pictures; calibration.
- **PROMOTE** if nothing is worse and there is a gain beyond chance, on the frozen hold-out or on
  the newest ratings. The two chances are halved, so that an equal challenger is promoted in at
  most ``retrain.level`` of cases (Bonferroni). Where people have withdrawn, no gain is asked for.
- **HOLD** otherwise: the champion stays, and so do the new ratings. A loss on the hold-out that may
  be chance is held, never promoted, and its batches stay on trial with the next ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pamela.core.errors import PamelaError, one_line
from pamela.evaluation.metrics.definitions import COVERAGE_90, RMSE, SROCC
from pamela.params import Params, RetrainParams
from pamela.retraining.gate import comparison
from pamela.retraining.gate.comparison import FROZEN, NOMINAL, Row, Setting
from pamela.retraining.gate.holdout import NEWEST, Holdout
from pamela.training.bundle import Bundle

Outcome = Literal["PROMOTE", "HOLD", "REJECT"]
TESTS: Final = 2  # of a gain: the frozen hold-out, the newest ratings
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

    def srocc(self) -> Row:
        """Return the row of the whole frozen hold-out."""
        return next(c.row for c in self.checks if _is_overall(c.row))


def setting_of(params: Params) -> Setting:
    """Return how the rows are estimated: draws and seed of ``evaluate``, half of the level."""
    return Setting(params.evaluate.bootstrap, params.evaluate.seed, params.retrain.level / TESTS)


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
    below : SROCC by which it is itself below one that was best before, of each dataset.
    gain_wanted : whether a promotion needs a gain.

    Raises
    ------
    PamelaError
        If the two were not trained on the same features, if the champion was trained on what is
        held out now, or if nobody in the frozen hold-out has ratings that differ.
    """
    comparison.check_comparable(champion, challenger, holdout)
    setting = setting_of(params)
    rows = comparison.compare(champion, challenger, holdout, setting)
    if not rows[0].users:
        raise PamelaError(
            "no user of the hold-out (test_seen, test_unseen of fold 0, as imported) has two "
            "different ratings: nothing to compare on; import the dataset with more test ratings"
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
        elif row.metric != SROCC:
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
    """Hold coverage to the nominal 90 %, and the error to that of the champion."""
    allowed = params.calibration_tolerance
    if row.champion is None or row.challenger is None or row.users < params.min_slice_users:
        return Check("calibration", row, f"{params.min_slice_users} people", SHOWN)
    sure = True
    if row.metric == RMSE:
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
    """Return why, in one line: the overall score, then what decided."""
    overall = next(check.row for check in checks if _is_overall(check.row))
    line = (
        f"SROCC {_number(overall.challenger)} against {_number(overall.champion)} on "
        f"{overall.rows:,} frozen hold-out ratings of {overall.users:,} people"
    )
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


def _sentence(check: Check) -> str:
    """Return one check in words: ``unseen people of faces: SROCC -.031 [-.05, -.01]``."""
    row = check.row
    where = one_line(" of ".join(part for part in (row.slice, row.dataset) if part) or row.rows_of)
    against = " against the best so far" if check.kind == "best so far" else ""
    name = {SROCC: "SROCC", RMSE: "RMSE", COVERAGE_90: "90 % coverage"}[row.metric]
    if row.difference is None:
        return f"{where}: {name}{against} cannot be compared ({row.users} people)"
    span = "" if row.ci_low is None else f" [{row.ci_low:+.3f}, {row.ci_high:+.3f}]"
    wanted = f", wanted {check.wanted}" if check.result in (FAILED, UNSURE, NO_GAIN, SHOWN) else ""
    return f"{where}: {name} {row.difference:+.3f}{span}{against}{wanted}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
