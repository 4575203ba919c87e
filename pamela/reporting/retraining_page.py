"""``reports/retraining.html`` before there is anything to tell.

It is no output of a stage: whoever has the report by ``dvc pull`` alone does not have it, and
``reports/index.html`` names it without a link. `pamela.retraining.report.page` writes it
with each cycle of retraining.
"""

from __future__ import annotations

from typing import Any, Final

from pamela.core.paths import Project
from pamela.reporting.presentation.html import write_page

PAGE: Final = "retraining.html"
TEMPLATE: Final = "retraining.html.j2"
NOTHING: Final[dict[str, Any]] = {
    "lead": ["No retraining yet: `pamela retrain --once` learns new ratings."],
    "decisions": None,
    "gate": None,
    "gate_other": None,
    "gate_line": "",
    "batches": None,
    "drift": None,
    "drift_line": "",
    "drifted": False,
    "drift_of": [],
}


def ensure_page(project: Project, title: str) -> None:
    """Write the page that says so, unless a cycle has written one."""
    if not (project.reports / PAGE).is_file():
        write_page(project.reports / PAGE, TEMPLATE, {**NOTHING, "title": title})
