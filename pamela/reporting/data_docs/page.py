"""``reports/data.html``: the data docs of all datasets in one self-contained page.

Written by the validate stage (``python -m flows.validate``) after the quarantine.
"""

from __future__ import annotations

from typing import Any

from pamela.core.files import read_json, write_json
from pamela.core.paths import Project
from pamela.params import ValidateParams
from pamela.reporting.data_docs import flag_text, retest_text
from pamela.reporting.data_docs import text as words
from pamela.reporting.data_docs.agreement_text import agreement_sentences, agreement_table
from pamela.reporting.data_docs.choices import text as choice_text
from pamela.reporting.data_docs.choices.plots import draw_choice_counts, draw_choosers
from pamela.reporting.data_docs.choices.statistics import ChoiceStatistics
from pamela.reporting.data_docs.describe import (
    DatasetDocs,
    agreement_record,
    describe_dataset,
    flags_record,
)
from pamela.reporting.data_docs.plots import draw_counts, draw_raters
from pamela.reporting.presentation.html import inline, write_page


def write_data_docs(project: Project, params: ValidateParams) -> None:
    """Write ``reports/data.html`` and add the flags to ``reports/validation.json``.

    Reads ``data/tables/``, ``data/quarantine/`` and ``reports/validation.json``, which must be
    there. Every dataset of the report gains the keys ``flags`` and ``agreement``, one
    with choices ``choices_in_figures``.
    """
    path = project.reports / "validation.json"
    report = read_json(path)
    sections = []
    for name, checked in report["datasets"].items():
        docs = describe_dataset(project, name, params)
        checked["flags"] = flags_record(docs, params)
        checked["agreement"] = agreement_record(docs.agreement)
        if docs.choices is not None:
            checked["choices_in_figures"] = choice_text.choices_record(docs.choices)
        if docs.retest is not None:
            checked["retest"] = retest_text.retest_record(docs.retest)
        sections.append(_section(project, docs, params, checked["flags"]))
    context = {
        "passed": report["passed"],
        "verdict": words.validation_sentence(report),
        "datasets": sections,
        "thresholds": params,
    }
    write_page(project.reports / "data.html", "data.html.j2", context)
    write_json(path, report)


def _section(
    project: Project, docs: DatasetDocs, params: ValidateParams, flags: dict[str, Any]
) -> dict[str, Any]:
    """Return what the template shows of one dataset."""
    rated = docs.statistics.rows > 0
    counts = draw_counts(docs.statistics) if rated else []
    spread = draw_raters(docs.raters, docs.statistics.scale) if rated else []
    return {
        "name": docs.name,
        "simulated": docs.name == "synthetic",
        "lead": words.lead(docs),
        "facts": words.facts(docs),
        "rating_facts": words.rating_facts(docs),
        "expectations": words.expectations_table(docs),
        "quarantine": words.quarantine_table(project, docs),
        "counts": [inline(picture) for picture in counts],
        "counts_caption": words.COUNTS_CAPTION,
        "per": words.per_table(docs),
        "agreement": agreement_sentences(docs.agreement),
        "agreement_table": agreement_table(docs.agreement),
        **_retest(docs),
        "raters": [inline(picture) for picture in spread],
        "raters_caption": words.RATERS_CAPTION,
        "flagged": flag_text.flagged_table(docs),
        "flags": flag_text.flag_sentences(docs, params, flags),
        "choices": _on_choices(docs, docs.choices) if docs.choices else None,
        "demographics": [words.demographic_card(d) for d in docs.demographics],
    }


def _on_choices(docs: DatasetDocs, found: ChoiceStatistics) -> dict[str, Any]:
    """Return what the template shows of a dataset's choices."""
    choosers = draw_choosers(found)
    titles = list(choosers)
    return {
        "facts": choice_text.facts(found, docs.checked["choices"], docs.users, docs.images),
        "counts": [inline(picture) for picture in draw_choice_counts(found)],
        "counts_caption": choice_text.COUNTS_CAPTION,
        "per": words.counts_table("choices", found.users["n"], found.images["n"]),
        "sentences": choice_text.sentences(found),
        "figures": choice_text.figures_table(found),
        "choosers": [inline(picture) for picture in choosers.values()],
        "choosers_titles": titles,
        "choosers_caption": choice_text.plots_caption(titles),
        "images": choice_text.images_table(found),
    }


def _retest(docs: DatasetDocs) -> dict[str, Any]:
    if docs.retest is None:
        return {"retest": [], "retest_tables": []}
    return {
        "retest": retest_text.retest_sentences(docs.retest),
        "retest_tables": [
            retest_text.retest_table(docs.retest),
            retest_text.noisiest_table(docs.retest),
        ],
    }
