"""``pamela adapt`` and ``pamela suggest``: people the model was not trained on, from the shell."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from pamela.cli.model import CHAMPION_URI, MODEL_HELP, load_reward
from pamela.core.errors import PamelaError
from pamela.core.paths import Project

if TYPE_CHECKING:
    from rich.console import Console

    from pamela.serving.api import Reward
    from pamela.serving.arguments.ratings_table import RatingsTable
    from pamela.serving.saved_users import SavedPeople, SavedPerson
    from pamela.serving.types import Suggestion
    from pamela.serving.user_context import User


@dataclass(frozen=True)
class AdaptationSummary:
    """What a model learned of a person from ratings, in units of their dataset's scale.

    Attributes
    ----------
    ratings, known : how many, and of how many pictures of the model's catalog.
    mean, expected : of the ratings, and what people in general would give the same pictures.
    std, std_before : of one rating of a training picture about its prediction: for this person,
        and for people in general. Means over the training pictures.
    """

    name: str
    dataset: str
    source: str
    ratings: int
    known: int
    mean: float | None
    expected: float | None
    std: float
    std_before: float
    model_version: str
    file: str


def adapt(
    ratings: Annotated[
        Path,
        typer.Option(
            "--ratings",
            metavar="FILE",
            help="CSV, Parquet or JSON lines: image (a path, relative to FILE's folder) or "
            "image_id (of a known picture), rating, optional prompt.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="USER", help="What to call the person.")],
    demographic: Annotated[
        list[str] | None,
        typer.Option("--demographic", metavar="NAME=VALUE", help="E.g. gender=female; repeatable."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Whose scale the ratings are on; needed with several.")
    ] = None,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = CHAMPION_URI,
    replace: Annotated[
        bool, typer.Option("--replace", help="Forget what was saved under this name.")
    ] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Add to what was saved under this name.")
    ] = False,
) -> None:
    """Adapt to a new person from a few ratings and keep them in data/people/ for `pamela score`."""
    from pamela.cli.ratings_file import read_ratings_file

    if replace and add:
        raise PamelaError("say either --replace or --add")
    Project.here()  # where the person is kept
    rated = read_ratings_file(ratings)
    unrated = rated.drop_unrated()
    facts = _demographics(demographic or [])
    reward = load_reward(model)
    people = _people(reward)
    while True:  # again if somebody else saved this person meanwhile
        before = people.state(name)
        _check_name(reward, name, replace=replace, add=add)
        person, user, changed = _person(reward, rated, name, facts, dataset, add=add)
        learned = _learned(reward, user, name, person)
        if people.save(name, person, before):
            break
    if rated.left_out:
        print(f"columns left out: {', '.join(rated.left_out)}", file=sys.stderr)
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
    rated: RatingsTable,
    name: str,
    demographics: dict[str, str],
    dataset: str | None,
    *,
    add: bool,
) -> tuple[SavedPerson, User, int]:
    """Return what to save, the user it makes, and how many earlier ratings it replaces."""
    from pamela.serving.saved_users import joined

    people, adapter = _people(reward), reward.adapter
    before = people.load(name) if add else None
    if before is not None and dataset not in (None, before.dataset):
        raise PamelaError(f"{name!r} was adapted on dataset {before.dataset}, not {dataset}")
    dataset = adapter.dataset(before.dataset if before else dataset)
    rated.check_scale(dataset, *adapter.bundle.scales[dataset])
    asked = adapter.pictures.catalog.find(rated.images(dataset), rated.names)
    user = adapter.user(
        dataset, demographics, asked, rated.prompts, rated.ratings, rated.names, keep=True
    )
    person = people.record(adapter, user, asked, rated.ratings)
    if before is None:
        return person, user, 0
    person, changed = joined(before, person)
    return person, people.recall(name, adapter, person), changed


def _learned(reward: Reward, user: User, name: str, person: SavedPerson) -> AdaptationSummary:
    import numpy as np

    user_contexts = reward.user_contexts
    me, anyone = user_contexts.adapted(user), user_contexts.nobody(user.dataset)
    low, high = reward.bundle.scales[user.dataset]
    unit = (high - low) / 4.0
    catalogue = user_contexts.catalogue(user.dataset).items
    expected = user_contexts.predict(anyone, user.context).mean if user.ratings else None
    given = [one.rating for one in person.ratings]
    return AdaptationSummary(
        name=name,
        dataset=user.dataset,
        source=me.source,
        ratings=len(given),
        known=sum(one.image_id is not None for one in person.ratings),
        mean=float(np.mean(given)) if given else None,
        expected=None if expected is None else low + (float(expected.mean()) - 1.0) * unit,
        std=float(user_contexts.predict(me, catalogue).std.mean()) * unit,
        std_before=float(user_contexts.predict(anyone, catalogue).std.mean()) * unit,
        model_version=reward.version,
        file=os.path.relpath(_people(reward).path(name)),
    )


def print_learned(learned: AdaptationSummary, console: Console) -> None:
    """Print what was learned as a short table."""
    from pamela.reporting.presentation.terminal import PlainTable

    table = PlainTable(
        f"{learned.name} ({learned.source}) · {learned.model_version}",
        title_justify="left",
        show_header=False,
    )
    new = learned.ratings - learned.known
    table.add_row("ratings", f"{learned.ratings}: {learned.known} known pictures, {new} new")
    if learned.mean is not None and learned.expected is not None:
        table.add_row(
            "mean rating",
            f"{learned.mean:.2f}; people in general, same pictures: {learned.expected:.2f}",
        )
    table.add_row(
        "std of one rating", f"{learned.std:.2f}; knowing nobody: {learned.std_before:.2f}"
    )
    table.add_row("saved in", learned.file)
    console.print(table)
    console.print(f"next: pamela score --user {learned.name} IMAGE...")


# --- suggest --------------------------------------------------------------------------------------
def suggest(
    user: Annotated[
        str | None,
        typer.Option(help="dataset/user, a saved person's name; none: somebody quite new."),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many pictures.")] = 10,
    dataset: Annotated[
        str | None, typer.Option(help="Whose pictures, without a user and with several datasets.")
    ] = None,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = CHAMPION_URI,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a sheet to fill in with ratings, for `pamela adapt`.",
        ),
    ] = None,
) -> None:
    """Name the pictures whose ratings would teach most about what a person likes."""
    reward = load_reward(model)
    found = reward.suggest(user=user, n=n, dataset=dataset)
    if sheet is not None:
        _write_sheet(sheet, found)
    if sys.stdout.isatty():
        from pamela.reporting.presentation.terminal import PlainConsole

        print_suggestions(found, user, PlainConsole())
        if sheet is not None:
            print(
                f"fill in the ratings in {sheet}, then: pamela adapt --ratings {sheet} --name NAME"
            )
        return
    for one in found:
        row = {
            "image_id": one.image_id,
            "file": _shown(one.file),
            "prompt": one.prompt,
            "before": one.before,
            "left": one.left,
        }
        typer.echo(json.dumps(row, ensure_ascii=False))


def _shown(file: Path | None) -> str | None:
    return None if file is None else os.path.relpath(file)


def _write_sheet(path: Path, found: Sequence[Suggestion]) -> None:
    """Write image_id, rating (empty), file and prompt of each; an existing file is not replaced."""
    try:
        with path.open("x", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["image_id", "rating", "file", "shows"])
            rows.writerows([one.image_id, "", _shown(one.file), one.prompt] for one in found)
    except FileExistsError:
        raise PamelaError(f"{path}: there already; name another file") from None
    except OSError as error:
        raise PamelaError(f"{path}: {error.strerror}") from None


def print_suggestions(found: Sequence[Suggestion], user: str | None, console: Console) -> None:
    """Print what to rate next as a table."""
    from pamela.reporting.presentation.terminal import PlainTable

    if not found:
        console.print("nothing is left to rate: all training pictures are")
        return
    table = PlainTable(f"to rate next: {user or 'somebody new'}", title_justify="left")
    table.add_column("image_id")
    table.add_column("file", overflow="fold")
    table.add_column("prompt", overflow="ellipsis", no_wrap=True)
    table.add_column("left", justify="right")
    for one in found:
        table.add_row(one.image_id, _shown(one.file) or "", one.prompt or "", f"{one.left:.2f}")
    console.print(table)
    console.print(
        f"left: how far the difference of two pictures may be off; {found[0].before:.2f} before"
    )
