"""``pamela adapt``: a new person from a few ratings and choices, kept for `pamela score`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pamela.cli.model import CHAMPION_URI, ModelOption, load_reward
from pamela.cli.people.summary import print_learned, summarise
from pamela.core.errors import PamelaError
from pamela.core.paths import Project

if TYPE_CHECKING:
    from pamela.serving.api import Reward
    from pamela.serving.arguments.choices_table import ChoicesTable
    from pamela.serving.arguments.ratings_table import RatingsTable
    from pamela.serving.saved.people import SavedPeople
    from pamela.serving.saved.records import SavedPerson
    from pamela.serving.user_context import User


def adapt(
    name: Annotated[str, typer.Option("--name", metavar="USER", help="What to call the person.")],
    ratings: Annotated[
        Path | None,
        typer.Option(
            "--ratings",
            metavar="FILE",
            help="CSV, Parquet or JSON lines: image (a path, relative to FILE's folder) or "
            "image_id (of a known picture), rating, optional prompt.",
        ),
    ] = None,
    choices: Annotated[
        Path | None,
        typer.Option(
            "--choices",
            metavar="FILE",
            help="The same of choices: image_a and image_b (of known pictures) or file_a and "
            "file_b (paths), choice (a, b or tie), optional prompt.",
        ),
    ] = None,
    demographic: Annotated[
        list[str] | None,
        typer.Option("--demographic", metavar="NAME=VALUE", help="E.g. gender=female; repeatable."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Whose scale the ratings are on; needed with several.")
    ] = None,
    model: ModelOption = CHAMPION_URI,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget what was saved under this name.")
    ] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Add to what was saved under this name.")
    ] = False,
) -> None:
    """Adapt to a new person from a few ratings, choices or both; keep them in data/people/."""
    from pamela.cli.people.files import read_choices_file, read_ratings_file

    if replace and add:
        raise PamelaError("say either --replace or --add")
    if ratings is None and choices is None:
        raise PamelaError("nothing to learn from: give --ratings FILE, --choices FILE or both")
    Project.here()  # where the person is kept
    rated = None if ratings is None else read_ratings_file(ratings)
    unrated = "" if rated is None else rated.drop_unrated()
    chosen = None if choices is None else read_choices_file(choices)
    facts = _demographics(demographic or [])
    reward = load_reward(model)
    people = _people(reward)
    while True:  # again if somebody else saved this person meanwhile
        before = people.state(name)
        _check_name(reward, name, replace=replace, add=add)
        person, user, changed = _person(reward, rated, chosen, name, facts, dataset, add=add)
        learned = summarise(reward, user, name, person)
        if people.save(name, person, before):
            break
    left_out = [column for table in (rated, chosen) if table for column in table.left_out]
    if left_out:
        print(f"columns left out: {', '.join(left_out)}", file=sys.stderr)
    if unrated:
        print(f"rows left out, as they have no rating: {unrated}", file=sys.stderr)
    if changed:
        print(f"{changed} earlier ratings replaced", file=sys.stderr)
    if sys.stdout.isatty():
        from pamela.reporting.presentation.terminal import PlainConsole

        print_learned(learned, PlainConsole())
    else:
        typer.echo(json.dumps(asdict(learned), ensure_ascii=False))


def _demographics(pairs: Sequence[str]) -> dict[str, str]:
    """Return what ``NAME=VALUE`` pairs say, each name once."""
    facts: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name or not value:
            raise PamelaError(f"--demographic {pair!r}: write NAME=VALUE, e.g. gender=female")
        if facts.setdefault(name, value) != value:
            raise PamelaError(f"--demographic {name}: both {facts[name]} and {value}; say one")
    return facts


def _people(reward: Reward) -> SavedPeople:
    """Return where people are kept; there is such a place, as `Project.here` found the project."""
    return cast("SavedPeople", reward.people)


def _check_name(reward: Reward, name: str, *, replace: bool, add: bool) -> None:
    path = _people(reward).path(name)
    clash = reward.user_contexts.users.matches(name)
    if clash:
        raise PamelaError(f"name {name!r} is the user {clash[0]}: choose another name")
    if path.exists() and not (replace or add):
        raise PamelaError(
            f"{name!r} is there already ({os.path.relpath(path)}): say --add for more ratings of "
            "the same person, or --replace"
        )
    if add and not path.exists():
        raise PamelaError(f"--add: nobody is saved as {name!r}; leave --add out")


def _person(
    reward: Reward,
    rated: RatingsTable | None,
    choices: ChoicesTable | None,
    name: str,
    demographics: dict[str, str],
    dataset: str | None,
    *,
    add: bool,
) -> tuple[SavedPerson, User, int]:
    """Return what to save, the user it makes, and how many earlier ratings it replaces."""
    from dataclasses import replace as replaced

    from pamela.serving.arguments.chosen_pictures import NO_CHOICES
    from pamela.serving.arguments.ratings import NO_RATINGS, RatedPictures
    from pamela.serving.saved.records import joined

    people, adapter = _people(reward), reward.adapter
    before = people.load(name) if add else None
    if before is not None and dataset not in (None, before.dataset):
        raise PamelaError(f"{name!r} was adapted on dataset {before.dataset}, not {dataset}")
    dataset = adapter.dataset(before.dataset if before else dataset)
    catalog = adapter.pictures.catalog
    given = NO_RATINGS
    if rated is not None:
        rated.check_scale(dataset, *adapter.bundle.scales[dataset])
        given = RatedPictures(rated.images(dataset), rated.prompts, rated.ratings, rated.names)
    chosen = NO_CHOICES if choices is None else choices.chosen(dataset)
    asked = catalog.find(given.images, given.names)
    chosen = replaced(chosen, images=catalog.find(chosen.images, chosen.picture_names))
    user = adapter.user(
        dataset,
        demographics,
        asked,
        given.prompts,
        given.ratings,
        given.names,
        chosen=chosen,
        keep=True,
    )
    person = people.record(adapter, user, asked, given.ratings, chosen)
    if before is None:
        return person, user, 0
    person, changed = joined(before, person)
    return person, people.recall(name, adapter, person), changed
