"""What a model learned of a person, as a record and as a short table."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rich.console import Console

    from pamela.models.base import Prediction
    from pamela.serving.api import Reward
    from pamela.serving.saved.people import SavedPeople
    from pamela.serving.saved.records import SavedPerson
    from pamela.serving.user_context import User


@dataclass(frozen=True)
class AdaptationSummary:
    """What a model learned of a person from ratings, in units of their dataset's scale.

    Attributes
    ----------
    ratings, known : how many, and of how many pictures of the model's catalog.
    choices : how many.
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
    choices: int = 0


def summarise(reward: Reward, user: User, name: str, person: SavedPerson) -> AdaptationSummary:
    """Return what `reward` learned of `user`, who is saved as `person`."""
    import numpy as np

    user_contexts = reward.user_contexts
    me, anyone = user_contexts.adapted(user), user_contexts.nobody(user.dataset)
    low, high = reward.bundle.scales[user.dataset]
    unit = (high - low) / 4.0
    catalogue = user_contexts.catalogue(user.dataset).items
    rated = user.context.take(np.arange(len(user.ratings)))
    expected = user_contexts.predict(anyone, rated).mean if user.ratings else None
    given = [one.rating for one in person.ratings]
    return AdaptationSummary(
        name=name,
        dataset=user.dataset,
        source=me.source,
        ratings=len(given),
        known=sum(one.image_id is not None for one in person.ratings),
        mean=float(np.mean(given)) if given else None,
        expected=None if expected is None else low + (float(expected.mean()) - 1.0) * unit,
        std=_mean_std(user_contexts.predict(me, catalogue)) * unit,
        std_before=_mean_std(user_contexts.predict(anyone, catalogue)) * unit,
        model_version=reward.version,
        file=os.path.relpath(cast("SavedPeople", reward.people).path(name)),
        choices=len(person.choices),
    )


def _mean_std(prediction: Prediction) -> float:
    from pamela.models.base import std_on_scale

    return float(std_on_scale(prediction.mean, prediction.std).mean())


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
    if learned.choices:
        table.add_row("choices", f"{learned.choices}")
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
