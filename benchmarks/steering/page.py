"""The study's report: reports/steering_study/, and figures and pictures of docs/steering.md."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import polars as pl
from PIL import Image

from benchmarks.steering.judged import Judged
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path, write_metrics, write_parquet
from pamela.core.paths import Project
from pamela.params import Params
from pamela.reporting.plots.steering import write_steering_plots
from pamela.reporting.presentation.html import Cell, Table
from pamela.reporting.sections.steering import arms_table, gains_table
from pamela.steer.generators.factory import get_generator
from pamela.steer.judging.judges import SimulatedJudge
from pamela.steer.outcomes.contact_sheet import write_steering_sheet
from pamela.steer.search.store import MemoryStore

BEGIN: Final = "<!-- figures of the full study; python -m benchmarks.steering writes them -->"
END: Final = "<!-- end of the figures -->"
SHOWN_ROUNDS: Final = (1, 3, 5)
SHEET_ROWS: Final = 6
COLOURS: Final = 128  # of the contact sheet in the docs


def write_study(project: Project, params: Params, judge: SimulatedJudge, found: Judged) -> None:
    """Write everything."""
    folder = project.reports / "steering_study"
    write_metrics(folder / "metrics.json", found.metrics)
    write_parquet(folder / "judgments.parquet", found.judgments)
    write_parquet(folder / "chosen.parquet", found.chosen)
    found.gains.write_csv(folder / "gains_by_round.csv", float_precision=4)
    docs = project.root / "docs"
    write_steering_plots(found.metrics, found.gains, docs)
    with get_generator(params) as generator:
        sheet = folder / "sheet.png"
        write_steering_sheet(found.chosen, generator, MemoryStore(), judge, sheet, rows=SHEET_ROWS)
    _write_small(sheet, docs / "steering_sheet.png")
    write_figures(docs / "steering.md", found)


def write_figures(page: Path, found: Judged) -> None:
    """Put the study's tables between the two marks of the page."""
    text = page.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise PamelaError(f"{page}: the marks {BEGIN!r} and {END!r} must each stand there once")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    with atomic_path(page) as aside:
        aside.write_text(f"{before}{BEGIN}\n\n{figures(found)}\n{END}{after}", "utf-8")


def figures(found: Judged) -> str:
    """Return the tables as Markdown."""
    flat = found.metrics
    size = (
        f"{flat['n_people']:.0f} people, {flat['n_prompts']:.0f} prompts, "
        f"{flat['n_judgments']:,.0f} judgments; {flat['n_drawn']:,.0f} pictures drawn for "
        f"{flat['n_asked']:,.0f} trials. {flat['tie_share']:.0%} of the comparisons are ties."
    )
    tables = (arms_table(flat), gains_table(flat), rounds_table(found.gains), likeness_table(flat))
    return "\n\n".join([size, *(markdown(table) for table in tables)]) + "\n"


def rounds_table(gains: pl.DataFrame) -> Table:
    """Return what the best so far is worth after some rounds, by whom it is asked."""
    rows = [
        [
            Cell(f"{row['arm']}, round {row['round']}"),
            *(Cell(f"{row[name]:+.2f}") for name in ("reward", "independent", "truth")),
        ]
        for row in gains.filter(pl.col("round").is_in(SHOWN_ROUNDS)).iter_rows(named=True)
    ]
    return Table(
        title="Gain on the original by round",
        columns=["arm", "optimised reward", "reward trained on other ratings", "true utility"],
        rows=rows,
        caption=(
            "Points, means. The optimised reward of other is that person's, of population "
            "everybody's, of self_cautious less its standard deviation."
        ),
    )


def likeness_table(flat: dict[str, float]) -> Table:
    """Return how alike independent runs end."""
    names = {
        "within_person": "ends for one person, two runs",
        "between_people": "ends for two people, two runs",
        "by_chance": "random variants, two runs",
    }
    rows = [
        [
            Cell(said),
            Cell(
                f"{flat[f'likeness_{name}']:.2f}",
                f"{flat[f'likeness_{name}_ci_low']:.2f} to {flat[f'likeness_{name}_ci_high']:.2f}",
            ),
        ]
        for name, said in names.items()
    ]
    return Table(
        title="Do independent runs end in like pictures?",
        columns=["two pictures of one prompt", "likeness"],
        rows=rows,
        caption="Cosine of the encoder's features, centred; 1 is alike, 0 as any two.",
    )


def markdown(table: Table) -> str:
    """Return a table as Markdown, with its title and caption."""
    rows = [table.columns, ["---", *["---:"] * (len(table.columns) - 1)]]
    rows += [[_words(cell) for cell in row] for row in table.rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"### {table.title}", "", *lines, "", table.caption])


def _words(cell: Cell) -> str:
    return f"{cell.text} ({cell.small})" if cell.small else cell.text


def _write_small(sheet: Path, path: Path) -> None:
    """Write a PNG of few colours, which is a third of the size."""
    stream = io.BytesIO()
    with Image.open(sheet) as picture:
        picture.quantize(COLOURS).save(stream, "PNG", optimize=True)
    with atomic_path(path) as aside:
        aside.write_bytes(stream.getvalue())
