"""``reports/index.html``: the whole run in one self-contained page.

Images are inline, nothing is fetched from anywhere. Written by the report stage
(``python -m flows.report``) from what the stages before it wrote.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pamela.evaluation.choices.metrics import CHOICE_ACCURACY, CHOICE_LOG_LOSS
from pamela.evaluation.provenance import (
    dataset_hashes,
    encoder_info,
    git_state,
    model_hashes,
    versions,
)
from pamela.evaluation.results import Results
from pamela.registry.tracking.flat_params import flat_params
from pamela.reporting.ablation_page import section as ablation_section
from pamela.reporting.data_tables import splits_table, validation_table
from pamela.reporting.presentation.html import Picture, Section, Table, inline, write_page
from pamela.reporting.sections.choices import (
    choice_differences,
    choice_table,
    choices_sections,
)
from pamela.reporting.sections.ideal_share import shares_section
from pamela.reporting.sections.image_slices import reliability_section, slices_section
from pamela.reporting.sections.joint_training import held_out_note, joint_table
from pamela.reporting.sections.known_pictures import (
    known_pictures_note,
    known_pictures_section,
)
from pamela.reporting.sections.people import PeoplePart, people_note
from pamela.reporting.sections.personalisation import people_sections
from pamela.reporting.sections.steering import arms_table, gains_table
from pamela.reporting.sections.subgroups import gaps_section
from pamela.reporting.sections.synthetic_world import (
    admirers_table,
    calibration_table,
    ideal_table,
)
from pamela.reporting.tables import (
    differences_table,
    further_table,
    paper_table,
    results_table,
)
from pamela.reporting.text import headline_sentences, skipped

FIGURES = {
    "srocc": "Rank correlation between predicted and given ratings, per user. Whiskers: 95 % "
    "intervals. Dashed lines: what knowing the truth would reach.",
    "margins": "Share of picture pairs ordered rightly, by how far apart the two ratings must be. "
    "Bands: 95 % intervals.",
    "gap": "Filled: users seen in training. Hollow: users never seen.",
    "shots": (
        "What ratings of an unseen user are worth. Fewer users have many (how many, in brackets): "
        "a curve on the left also shows who is left, on the right all are asked of the same users. "
        "Band: 95 % interval of the champion."
    ),
    "calibration": "Left: mean rating given, by predicted rating (ten equally filled bins). Right: "
    "how often the predictive interval holds the rating. On the diagonal is right.",
    "reliability": "Left: share of ratings inside the interval, by how many it should hold. "
    "Right: root mean squared error in ten equally filled bins of the predicted deviation. On the "
    "diagonal is right. Solid: seen users; dotted: unseen users after a few of their ratings.",
    "ratings": "The ratings that passed validation.",
}
SHEET = (
    "A prompt in each row: the original, what pleases the population, and what pleases two people, "
    "with what is said otherwise."
)
ROUNDS = (
    "The best picture so far by each arm's own reward, round by round. Left: that reward, one that "
    "was trained on other ratings, and the truth. Where only the first still rises, the search "
    "exploits its errors. Right: the true utility of each arm; the rounds of chance are as many "
    "drawings."
)
ORDER = ("srocc", "margins", "gap", "shots")


def write_report(results: Results, path: Path, people: PeoplePart | None) -> None:
    """Write the page to `path`; the plots must lie in ``reports/plots``.

    Parameters
    ----------
    people : the part of `pamela.reporting.sections.people`; without it there is no such section.
    """
    write_page(path, "report.html.j2", context(results, people))


def context(results: Results, people: PeoplePart | None) -> dict[str, Any]:
    """Return everything the template shows."""
    project, params = results.project, results.params
    plots = project.reports / "plots"
    git = git_state(project)
    return {
        "title": params.report.title,
        "headline": headline_sentences(results),
        "datasets": [_dataset(results, name, plots) for name in results.datasets],
        "joint": joint_table(results),
        "ablation": ablation_section(project),
        "people": people,
        "paper": paper_table(results),
        "world": calibration_table(results),
        "admirers": admirers_table(results),
        "steering": _steering(results, plots),
        "validation": validation_table(results),
        "training": [
            inline(path, f"{path.stem.removeprefix('training_')}. Thin lines: further folds.")
            for path in sorted(plots.glob("training_*.png"))
        ],
        "skipped": [
            *skipped(results),
            *filter(None, (known_pictures_note(results, name) for name in results.datasets)),
            *filter(None, [held_out_note(results), people_note(results)]),
        ],
        "provenance": {
            "git commit": git.commit + (" (with uncommitted changes)" if git.dirty else ""),
            "encoder": "{encoder} ({fingerprint:.12}), {image_dim} image and {prompt_dim} prompt "
            "features".format(**encoder_info(project)),
            **{f"dataset {name}": digest for name, digest in dataset_hashes(project).items()},
            **{
                f"model {name}": ", ".join(f"{k} {v}" for k, v in found.items())
                for name in params.train.models
                if (found := model_hashes(project, name))
            },
        },
        "versions": versions(),
        "params": flat_params(results, tuple(params.model_dump(by_alias=True))),
    }


def _dataset(results: Results, name: str, plots: Path) -> dict[str, Any]:
    def figure(kind: str) -> Picture | None:
        path = plots / f"{name}_{kind}.png"
        return inline(path, FIGURES[kind]) if path.is_file() else None

    # where all margins select the same pairs there is nothing to draw over them
    order = [k for k in ORDER if k != "margins" or len(results.margin_groups(name)) > 1]
    return {
        "name": name,
        "simulated": name == "synthetic",
        **_main_tables(results, name),
        "ideal": ideal_table(results, name),
        "parts": _parts(results, name, figure("reliability")),
        "figures": [found for kind in order if (found := figure(kind))],
        "calibration": figure("calibration"),
        "ratings": figure("ratings"),
        "splits": splits_table(results, name),
    }


def _main_tables(results: Results, name: str) -> dict[str, Table | None]:
    """Return the tables that every dataset has: of ratings, or of choices where it has none."""
    if results.has_ratings(name):
        return {
            "results": results_table(results, name),
            "further": further_table(results, name),
            "differences": differences_table(results, name),
        }
    return {
        "results": choice_table(results, name, CHOICE_ACCURACY),
        "further": choice_table(results, name, CHOICE_LOG_LOSS),
        "differences": choice_differences(results, name),
    }


def _parts(results: Results, name: str, reliability: Picture | None) -> list[Section]:
    """Return the sections that there are numbers for, in reading order."""
    found = [
        shares_section(results, name),
        *people_sections(results, name),
        known_pictures_section(results, name),
        *choices_sections(results, name),
        gaps_section(results, name),
        slices_section(results, name),
        reliability_section(results, name, reliability),
    ]
    return [section for section in found if section is not None]


def _steering(results: Results, plots: Path) -> dict[str, Any] | None:
    sheet = inline(results.sheet, SHEET, dots_per_pixel=1.0) if results.sheet else None
    if not results.steered:
        return {"tables": [], "plots": [], "sheet": sheet} if sheet else None
    pictures = {
        "Elo of each arm and win shares of self": ("steering_elo.png", ""),
        "Gain by round": ("steering_rounds.png", ROUNDS),
    }
    return {
        "tables": [arms_table(results.steering), gains_table(results.steering)],
        "plots": [
            (name, inline(plots / file, caption))
            for name, (file, caption) in pictures.items()
            if (plots / file).is_file()
        ],
        "sheet": sheet,
    }
