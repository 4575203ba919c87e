"""The page of retraining: what was decided, the last gate's table, batches, drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.evaluation.choices.metrics import CHOICE_METRICS
from pamela.params import Params
from pamela.reporting.presentation.html import DASH, Cell, Picture, Table, inline, write_page
from pamela.reporting.retraining_page import NOTHING, PAGE, TEMPLATE
from pamela.retraining import overview, records
from pamela.retraining.drift.measure import DRIFTED, SHOWN, Measure
from pamela.retraining.drift.record import Drift, last_drift
from pamela.retraining.gate.decision import Decision, last_decision
from pamela.retraining.gate.judgement import FAILED, UNSURE
from pamela.retraining.gate.judgement import SHOWN as NO_PART

DRIFT_COLUMNS = [
    "measure", "champion's", "new", "shift", "threshold", "by chance", "about", "result",
]  # fmt: skip
SHOWN_STATES = (overview.SET_ASIDE, overview.REFUSED, overview.ACCEPTED)


def write_retraining_page(project: Project, params: Params) -> None:
    """Write ``reports/retraining.html`` from the records that lie beside it."""
    write_page(project.reports / PAGE, TEMPLATE, context(project, params))


def renew_page(project: Project, params: Params, done: str) -> None:
    """Write the page again after a command that changed what it tells.

    Parameters
    ----------
    done : what the command has done, for the message of a page that cannot be written.

    Raises
    ------
    PamelaError
        If it cannot be written; what was done stays.
    """
    try:
        write_retraining_page(project, params)
    except (PamelaError, OSError) as error:
        raise PamelaError(
            f"{done}, and {project.relative(project.reports / PAGE)} could not be written ({error})"
            "; the next `pamela retrain --once` writes it"
        ) from None


def context(project: Project, params: Params) -> dict[str, Any]:
    """Return everything the template shows."""
    known = records.read(project)
    last, drift = last_decision(project), last_drift(project)
    rows = [
        row
        for row in overview.overview(project, params.ingest.datasets)
        if row.state in SHOWN_STATES
    ]
    shown = {**NOTHING, "title": params.report.title}
    if known:
        shown |= {"lead": _lead(known[-1]), "decisions": decisions_table(known)}
    if last and last.checks:
        decided, other = gate_tables(last)
        shown |= {"gate": decided, "gate_other": other, "gate_line": last.line}
    if rows:
        shown["batches"] = batches_table(rows)
    if drift:
        shown |= {
            "drift": drift_table(drift),
            "drift_line": drift.line,
            "drifted": drift.drifted,
            "drift_of": [_drawn(name, drift) for name in drift.datasets],
        }
    return shown


def _lead(last: records.Record) -> list[str]:
    about = f" version {last.version}" if last.version else ""
    return [f"Last decision, {last.at}: {last.action}{about}, by {last.by}. {last.why}"]


def decisions_table(known: Sequence[records.Record]) -> Table:
    """Return every decision, newest first."""
    return Table(
        title="Decisions",
        columns=["when (UTC)", "action", "by", "version", "before", "why"],
        rows=[[Cell(text or DASH) for text in _said(one)] for one in reversed(known)],
        caption="From reports/promotions.jsonl. Version: the one it is about; before: the champion "
        "until then.",
    )  # fmt: skip


def _said(one: records.Record) -> tuple[str | None, ...]:
    when = one.at[:16].replace("T", " ")
    return when, one.action, one.by, one.version, one.previous, one.why


def gate_tables(last: Decision) -> tuple[Table, Table | None]:
    """Return the table of the last decision: what had a part in it, and what is only shown."""
    parts = [check for check in last.checks if check["result"] != NO_PART]
    other = [check for check in last.checks if check["result"] == NO_PART]
    decided = _gate_table(
        "The last gate",
        parts,
        "Means over people; below a difference its 95 % interval. From reports/gate.json.",
    )
    title = f"{len(other)} with too few people to decide anything"
    return decided, _gate_table(title, other, "") if other else None


def _gate_table(title: str, checks: Sequence[dict[str, Any]], caption: str) -> Table:
    rows = [
        [
            Cell(check["kind"], check["metric"]),
            Cell(" · ".join(x for x in (check["rows_of"], check["dataset"], check["slice"]) if x),
                 f"{check['rows']:,} {_unit(check)}, {check['users']:,} people"),
            _number(check["champion"]),
            _number(check["challenger"]),
            _difference(check),
            Cell(check["wanted"]),
            Cell(check["result"]),
        ]
        for check in checks
    ]  # fmt: skip
    return Table(
        title=title,
        columns=["check", "rows", "champion", "challenger", "difference", "wanted", "result"],
        rows=rows,
        caption=caption,
        strong={k for k, c in enumerate(checks) if c["result"] in (FAILED, UNSURE)},
    )


def _unit(check: dict[str, Any]) -> str:
    return "choices" if check["metric"] in CHOICE_METRICS else "ratings"


def _number(value: float | None, form: str = ".3f") -> Cell:
    return Cell(DASH if value is None else format(value, form))


def _difference(check: dict[str, Any]) -> Cell:
    if check["difference"] is None or check["ci_low"] is None:
        return _number(check["difference"], "+.3f")
    span = f"{check['ci_low']:+.3f} to {check['ci_high']:+.3f}"
    return Cell(f"{check['difference']:+.3f}", span)


def batches_table(rows: Sequence[overview.Row]) -> Table:
    """Return every batch that was looked at, and why it is where it is."""
    ordered = sorted(rows, key=lambda row: (SHOWN_STATES.index(row.state), row.batch))
    return Table(
        title="Batches",
        columns=["batch", "state", "ratings", "choices", "quarantined", "why"],
        rows=[
            [Cell(row.batch), Cell(row.state), _number(row.ratings, ","), _number(row.choices, ","),
             _number(row.quarantined, ","), Cell(row.why or DASH)]
            for row in ordered
        ],
        caption="Set aside: out of the data, because the gate rejected it; `pamela batches "
        "take-back` brings one back. Refused: still in data/inbox.",
        strong={k for k, row in enumerate(ordered) if row.state == overview.SET_ASIDE},
    )  # fmt: skip


# --- drift ------------------------------------------------------------------------------------


def drift_table(drift: Drift) -> Table:
    """Return every measure with its threshold."""
    several = len(drift.datasets) > 1
    return Table(
        title="Drift",
        columns=DRIFT_COLUMNS,
        rows=[[Cell(f"{one.dataset}: {one.title}" if several else one.title), *_cells(one)]
              for one in drift.measures],
        caption=f"{', '.join(drift.batches)} against what version {drift.champion} was trained on. "
        "Drifted: the shift is above the threshold (retrain.drift) and above what equal ratings "
        "show by chance. Shown: too few to say.",
        strong={k for k, one in enumerate(drift.measures) if one.result == DRIFTED},
    )  # fmt: skip


def _cells(one: Measure) -> Iterator[Cell]:
    yield _number(one.old, ".2f")
    yield _number(one.new, ".2f")
    yield _number(one.shift, ".3f")
    yield Cell(f"{one.threshold:g}")
    yield _number(one.chance, ".3f")
    unit = "pictures" if one.kind == "pictures" else "people"
    yield Cell(f"{one.count:,} {unit}", "too few" if one.result == SHOWN else "")
    yield Cell(one.result)


def _drawn(name: str, drift: Drift) -> dict[str, Any]:
    found = drift.datasets[name]
    each, text = found["ratings_per_person"], f"{found['people']:,} people chose between pictures."
    if found["ratings"] is not None:
        text = (
            f"{found['ratings']:,} new ratings of {found['people']:,} people; "
            f"a person gave {each['median']:g} (median), the most {each['most']:,}."
        )
    return {"name": name, "text": text, "pictures": list(_pictures(found))}


def _pictures(found: dict[str, Any]) -> Iterator[Picture]:
    from pamela.reporting.plots import drift as plots  # matplotlib: for the page alone

    if found["ratings"] is not None:
        ratings = plots.draw_ratings(found["values"], found["old_ratings"], found["new_ratings"])
        yield inline(ratings, "How people rate.")
    raters = {column: rows for column, rows in found["raters"].items() if rows}
    for columns in _threes(raters):
        yield inline(plots.draw_raters(columns), "Who they are, as they say themselves.")
    if found["score_edges"]:
        picture = plots.draw_pictures(
            found["score_edges"], found["old_scores"], found["new_scores"]
        )
        yield inline(picture, "What tells new pictures from the champion's: alike, they overlap.")


def _threes(columns: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = list(columns)
    for start in range(0, len(names), 3):
        yield {name: columns[name] for name in names[start : start + 3]}
