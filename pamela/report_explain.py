"""The report's part on single people: a profile, example pictures and the figures behind them.

A handful of training users per dataset, chosen by the size of their personal part: the two most
unusual, the one in the middle and the most usual.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.figure import Figure

from pamela import schema as s
from pamela.api import Reward
from pamela.bundle import load_bundle
from pamela.explain_lens import NO_TEXT
from pamela.explain_parts import LinearParts
from pamela.explain_pictures import files_of
from pamela.explain_plots import pictures_figure, profile_figure
from pamela.explanation import Explanation, ends, preferred, sentences
from pamela.hashing import hash_ids
from pamela.io import read_parquet
from pamela.models import model_class
from pamela.pages import Cell, Picture, Table, inline, number
from pamela.plot_style import STYLE
from pamela.results import Results
from pamela.train import BUNDLE

MOST_PEOPLE: Final = 300  # whose size of taste is compared; more are sampled
PICTURES: Final = 100  # on which a model without known columns is asked for that
ROWS: Final = 6  # of metadata, words and prompts, each way
UNUSUAL, MIDDLE, USUAL = "the most personal taste", "a taste in the middle", "the least personal"
SECOND: Final = "the second most personal"
DOTS: Final = 1.44


@dataclass(frozen=True)
class PersonPart:
    """One person in the report.

    Attributes
    ----------
    pictures : profile and, where the files are there, example pictures; `alts` says what they are.
    """

    title: str
    text: list[str]
    pictures: list[Picture]
    alts: list[str]
    tables: list[Table]


@dataclass(frozen=True)
class PeoplePart:
    """The section: people by dataset."""

    model: str
    datasets: dict[str, list[PersonPart]]
    notes: list[str]


def people_part(results: Results) -> PeoplePart | None:
    """Return the section; None where the champion scores everybody alike."""
    champion = results.params.train.champion
    if not model_class(champion).personal:
        return None
    embed = results.params.embed
    reward = Reward(
        load_bundle(results.project.models / BUNDLE),
        batch_size=embed.batch_size,
        workers=embed.workers,
    )
    datasets, notes = {}, []
    for dataset in results.datasets:
        chosen = choose_people(reward, dataset)
        explained = [(why, reward.explain(user=user)) for user, why in chosen]
        datasets[dataset] = [_person(results, why, one) for why, one in explained]
        notes += [f"{dataset}: {note}" for _, one in explained for note in one.notes]
    return PeoplePart(champion, datasets, list(dict.fromkeys(notes)))


def people_note(results: Results) -> str:
    """Say why nobody is explained; empty where people are."""
    champion = results.params.train.champion
    if model_class(champion).personal:
        return ""
    return f"explanations: the champion {champion} orders pictures alike for everybody"


def choose_people(reward: Reward, dataset: str) -> list[tuple[str, str]]:
    """Return (``dataset/user``, why) of the training users to show, each once."""
    bundle = reward.bundle
    own = (bundle.people.frame[s.DATASET] == dataset).to_numpy() & bundle.in_train_people
    keys = np.array(bundle.people.keys)[own]
    keys = np.sort(keys[np.argsort(hash_ids(keys.tolist(), 0), kind="stable")[:MOST_PEOPLE]])
    people = reward.people(keys.tolist())
    parts = reward.explainer.parts(dataset, reward.stranger(dataset))
    sizes = parts.spreads(people) if isinstance(parts, LinearParts) else parts.some(
        PICTURES
    ).spreads(people)  # fmt: skip
    order = np.argsort(-sizes, kind="stable")
    n = len(order)
    wanted = {0: UNUSUAL, n - 1: USUAL, n // 2: MIDDLE, 1: SECOND}
    return [(str(keys[order[at]]), wanted[at]) for at in sorted(wanted) if 0 <= at < n]


def _person(results: Results, why: str, one: Explanation) -> PersonPart:
    files = files_of(results.project, one)
    with rc_context(STYLE):
        drawn = [(profile_figure(one), f"What raises and lowers the ratings of {one.user}")]
        examples = pictures_figure(one, files)
        if examples is not None:
            drawn.append((examples, f"Pictures that {one.user} is predicted to like more or less"))
        pictures = [inline(_png(figure), dots_per_pixel=DOTS) for figure, _ in drawn]
    return PersonPart(
        title=f"{one.user.split('/', 1)[1]}: {why}",
        text=sentences(one),
        pictures=pictures,
        alts=[alt for _, alt in drawn],
        tables=tables(one),
    )


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": "pamela"})
    return stream.getvalue()


def tables(one: Explanation) -> list[Table]:
    """Return the figures behind the pictures."""
    found = []
    if one.concepts.height:
        found.append(_looks(one.concepts))
    for title, frame, label, counted in (
        ("Metadata", one.levels, "level", True),
        ("Words of prompts", one.words, "word", True),
        ("Prompts", one.prompts, "prompt", False),
    ):
        up, down = ends(frame, ROWS)
        if up.height + down.height:
            found.append(_both_ways(title, up.vstack(down.reverse()), label, counted))
    return found


def _looks(concepts: pl.DataFrame) -> Table:
    rows = [
        [
            Cell(row["words"]),
            Cell(row["against"] or f"other {row['theme']}"),
            number(_value(row, "effect", "ci_low", "ci_high"), "+.2f"),
            number(_value(row, "alone", "alone_low", "alone_high"), "+.2f"),
        ]
        for row in preferred(concepts).iter_rows(named=True)
    ]
    return Table(
        title="Looks",
        columns=["look", "rather than", "points", "taken alone"],
        rows=rows,
        caption="What moving from the 10th to the 90th percentile of a look changes, with the "
        "other looks held, and with nothing held.",
    )


def _both_ways(title: str, frame: pl.DataFrame, label: str, counted: bool) -> Table:
    rows = [
        [
            Cell(row[label]),
            *([Cell(f"{row['pictures']:,}")] if counted else []),
            number(_value(row, "effect", "ci_low", "ci_high"), "+.2f"),
        ]
        for row in frame.iter_rows(named=True)
    ]
    return Table(
        title=title,
        columns=[label, *(["pictures"] if counted else []), "points"],
        rows=rows,
    )


def _value(row: dict[str, Any], value: str, low: str, high: str) -> dict[str, Any]:
    return {"value": row[value], "ci_low": row[low], "ci_high": row[high]}
