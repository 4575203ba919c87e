"""The report's part on single people: a profile, example pictures and the figures behind them.

A handful of training users per dataset, chosen by the size of their personal part: the two most
unusual, the one in the middle and the most usual.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib import rc_context
from PIL import Image

from pamela.core import schema as s
from pamela.core.dataset import People
from pamela.core.hashing import hash_ids
from pamela.evaluation.metrics.schema import SEEN
from pamela.evaluation.results import Results
from pamela.explain.explainer import Explainer, Person
from pamela.explain.result import Explanation, ends, preferred, sentences, telling_words
from pamela.features.factory import same_encoder
from pamela.models import create_model
from pamela.reporting.plots.explanation import files_of, profile_figure, thumbnails
from pamela.reporting.presentation.html import Cell, Picture, Table, inline, number_cell
from pamela.reporting.presentation.plot_style import STYLE, png
from pamela.training.bundle import load_bundle
from pamela.training.train import BUNDLE

MOST_PEOPLE: Final = 300  # whose size of taste is compared; more are sampled
ROWS: Final = 6  # of metadata, words and prompts, each way
UNUSUAL, MIDDLE, USUAL = "the most personal taste", "a taste in the middle", "the least personal"
SECOND: Final = "the second most personal"
TILES: Final = 9  # pictures each way
SIDE: Final = 192  # pixels of a picture


@dataclass(frozen=True)
class Tile:
    """A small picture as a data URI, what stands under it, and its prompt."""

    source: str
    caption: str
    prompt: str


@dataclass(frozen=True)
class PersonPart:
    """One person in the report: the profile, examples by title, and the figures."""

    title: str
    text: list[str]
    profile: Picture
    alt: str
    examples: dict[str, list[Tile]]
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
    if not create_model(champion, results.params.train).personal:
        return None
    embed = results.params.embed
    bundle = load_bundle(results.project.models / BUNDLE)
    settings = {"batch_size": embed.batch_size, "workers": embed.workers}
    explainer = Explainer(bundle, lambda: same_encoder(bundle.encoder, "explanations", **settings))
    datasets, notes = {}, []
    for dataset in results.datasets:
        chosen = choose_people(explainer, dataset)
        explained = [(why, explainer.explain(person)) for person, why in chosen]
        datasets[dataset] = [_person(results, why, one) for why, one in explained]
        notes += [f"{dataset}: {note}" for _, one in explained for note in one.notes]
    return PeoplePart(champion, datasets, list(dict.fromkeys(notes)))


def people_note(results: Results) -> str:
    """Say why nobody is explained; empty where people are."""
    champion = results.params.train.champion
    if create_model(champion, results.params.train).personal:
        return ""
    return f"explanations: the champion {champion} orders pictures alike for everybody"


def choose_people(explainer: Explainer, dataset: str) -> list[tuple[Person, str]]:
    """Return the training users to show, each once, and why."""
    people = explainer.bundle.people
    own = (people.frame[s.DATASET] == dataset).to_numpy() & explainer.bundle.in_train_people
    rows, names = np.flatnonzero(own), people.keys
    hashed = hash_ids((names[row] for row in rows), 0)
    rows = np.sort(rows[np.argsort(hashed, kind="stable")[:MOST_PEOPLE]])
    sizes = explainer.sizes(dataset, People(people.frame[rows]))
    found = [Person(names[row], SEEN, People(people.frame[[row]])) for row in rows.tolist()]
    order = np.argsort(-sizes, kind="stable")
    n = len(order)
    wanted = {0: UNUSUAL, n - 1: USUAL, n // 2: MIDDLE, 1: SECOND}
    return [(found[order[at]], wanted[at]) for at in sorted(wanted) if 0 <= at < n]


def _person(results: Results, why: str, one: Explanation) -> PersonPart:
    with rc_context(STYLE):
        profile = inline(png(profile_figure(one)))
    return PersonPart(
        title=f"{one.user.split('/', 1)[1]}: {why}",
        text=sentences(one),
        profile=profile,
        alt=f"What raises and lowers the ratings of {one.user}",
        examples=_examples(results, one),
        tables=tables(one),
    )


def _examples(results: Results, one: Explanation) -> dict[str, list[Tile]]:
    """Return the pictures raised and lowered most, where their files are there."""
    files = files_of(results.project, one)
    up, down = ends(one.pictures, TILES)
    found = {
        title: [
            Tile(_jpeg(tile), f"{row['person']:.1f}, others {row['population']:.1f}",
                 row["prompt"] or row["image_id"])
            for row, tile in thumbnails(table, files, SIDE)
        ]
        for title, table in (("Raised most", up), ("Lowered most", down))
    }  # fmt: skip
    return {title: tiles for title, tiles in found.items() if tiles}


def _jpeg(tile: npt.NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(tile).save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def tables(one: Explanation) -> list[Table]:
    """Return the figures behind the pictures."""
    found = []
    if one.concepts.height:
        found.append(_looks(one.concepts))
    for title, (up, down), label, counted in (
        ("Metadata", ends(one.levels, ROWS), "level", True),
        ("Words of prompts", telling_words(one.words, ROWS), "word", True),
        ("Prompts", ends(one.prompts, ROWS), "prompt", False),
    ):
        if up.height + down.height:
            found.append(_both_ways(title, up.vstack(down.reverse()), label, counted))
    return found


def _looks(concepts: pl.DataFrame) -> Table:
    rows = [
        [
            Cell(row["words"]),
            Cell(row["against"] or f"other {row['theme']}"),
            number_cell(_value(row, "effect", "ci_low", "ci_high"), "+.2f"),
            number_cell(_value(row, "alone", "alone_low", "alone_high"), "+.2f"),
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
            number_cell(_value(row, "effect", "ci_low", "ci_high"), "+.2f"),
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
