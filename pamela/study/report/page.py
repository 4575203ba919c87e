"""``reports/studies/<name>/``: the tables as Parquet and ``index.html``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pamela.core import schema as s
from pamela.core.files import write_parquet
from pamela.core.paths import Project
from pamela.reporting.presentation.html import DASH, Cell, Table, number_cell, write_page
from pamela.study.closing import is_closed
from pamela.study.report import figures as f
from pamela.study.report.judgments import judgment_table, people_table
from pamela.study.settings import Settings, load_settings, study_folder
from pamela.study.study import load_people

TEMPLATE: Final = "study.html.j2"
PAGE: Final = "index.html"
NAMES: Final = {
    f.TIES: "both alike, share of first answers",
    f.LEFT_SHARE: "left picture chosen, share of decided answers",
    f.RETEST: "same answer to a repeated pair",
    f.CHANCE: "the same by chance, with as many ties",
}


class StudyReport:
    """What a study found so far.

    Attributes
    ----------
    judgments, people, results : the tables.
    closed : whether nobody may take part any more.
    folder : where they are written.
    """

    def __init__(self, project: Project, name: str) -> None:
        source = study_folder(project, name)
        self.settings: Settings = load_settings(source)
        people = load_people(source)
        self.closed = is_closed(source)
        self.folder = project.reports / "studies" / name
        self.judgments = judgment_table(people)
        self.people = people_table(people)
        self.results = f.study_figures(self.judgments, self.settings.seed)

    @property
    def sentences(self) -> list[str]:
        """How many took part, and how far."""
        reached = dict(self.people["reached"].value_counts().iter_rows())
        done, total = reached.get("done", 0), self.people.height
        left = ", ".join(
            f"{reached[stage]} while {stage}"
            for stage in ("rating", "waiting", "comparing")
            if stage in reached
        )
        return [
            f"{total} {'person' if total == 1 else 'people'} took part, {done} to the end"
            + (f"; not {'' if self.closed else '(yet) '}at the end: {left}" if left else "")
            + ("; the study is closed." if self.closed else "."),
            f"{self.judgments.drop_nulls('number').height} answers to pairs, "
            f"{self.judgments.drop_nulls('repeat_of').height} of them to repeated pairs; "
            f"{self.people['ratings'].sum()} ratings.",
        ]

    @property
    def tables(self) -> list[Table]:
        """Arms, each against each, and what tells how people answered."""
        return [t for t in (self._elo(), self._wins(), self._answers()) if t.rows]

    def write(self) -> Path:
        """Write tables and page; return the page."""
        for name in ("judgments", "people", "results"):
            write_parquet(self.folder / f"{name}.parquet", getattr(self, name))
        comments = self.people.drop_nulls("comment").select(s.USER, "comment").rows()
        context: dict[str, Any] = {
            "title": f"Study {self.settings.name}",
            "sentences": self.sentences,
            "tables": self.tables,
            "comments": comments,
            "made": {
                "dataset": self.settings.dataset,
                "model": self.settings.model_version,
                "ratings a person": self.settings.ratings,
                "prompts": len(self.settings.prompts) or DASH,
                "steering": self.settings.steering or "pictures made elsewhere",
                "seed": self.settings.seed,
            },
        }
        write_page(self.folder / PAGE, TEMPLATE, context)
        return self.folder / PAGE

    def _elo(self) -> Table:
        found = self.results.filter(metric=f.ELO).sort("value", descending=True)
        rows = [
            [Cell(row["arm"]), number_cell(row, ".0f"), Cell(str(row["n"]))]
            for row in found.iter_rows(named=True)
        ]
        caption = (
            "Bradley-Terry strengths on the Elo scale, mean 1000; 95 % intervals over people and "
            "prompts. A tie counts half a win for each."
        )
        return Table("Elo", ["arm", "Elo", "judgments"], rows, caption)

    def _wins(self) -> Table:
        found = self.results.filter(metric=f.WIN_RATE)
        arms = self.results.filter(metric=f.ELO).sort("value", descending=True)["arm"].to_list()
        by_pair = {(row["arm"], row["opponent"]): row for row in found.iter_rows(named=True)}
        rows = [
            [Cell(arm), *(self._rate(by_pair.get((arm, other))) for other in arms)] for arm in arms
        ]
        caption = (
            "Share of judgments that the arm of the row won against that of the column, a tie one "
            "half; 95 % intervals over people and prompts. Repeated pairs do not count."
        )
        return Table("Win rates", ["arm", *(f"against {arm}" for arm in arms)], rows, caption)

    def _rate(self, row: dict[str, Any] | None) -> Cell:
        return Cell(DASH) if row is None else number_cell(row, ".0%")

    def _answers(self) -> Table:
        rows = [
            [Cell(NAMES[row["metric"]]), number_cell(row, ".0%"), Cell(str(row["n"]))]
            for row in self.results.iter_rows(named=True)
            if row["metric"] in NAMES and row["n"]
        ]
        caption = (
            "How people answered; 95 % intervals over people. Without a bias the left picture is "
            "chosen in half of the decided answers. Repeated pairs have their sides changed."
        )
        return Table("Answers", ["", "share", "answers"], rows, caption)
