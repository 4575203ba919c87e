"""Everybody's ratings in shards, and what is known of all people and pictures.

Most of `hierarchical` is learned from a sample of people, whose rows are gathered (`of_users`).
What takes everybody is a function of one shard's rows (`map`): people's weights belong to one
person, and the sums that pictures' factors are learned from are added up. So no process holds all
rows; what each holds is a shard, and a few numbers for every person and picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Self, TypeVar

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.dataset import Choices, Fold, Items, Pairs
from pamela.core.shards.fold import shards_of
from pamela.core.shards.rows import Shard, Shards
from pamela.models.choices.thurstone import Thurstone
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.hierarchical.features.user_covariates import PeopleColumns
from pamela.models.hierarchical.training_choices import TrainingChoices
from pamela.models.hierarchical.training_rows import Fitting
from pamela.models.preprocessing import canonical, canonical_choices
from pamela.models.repeats import NO_REPEATS, RepeatSums, averaged, repeat_sums, weights_of

R = TypeVar("R")


@dataclass(frozen=True)
class TrainingData:
    """The training rows, with what all raters think of each picture.

    Attributes
    ----------
    shards : the ratings.
    items, used : the m pictures that were rated or chosen between, and their rows in the fold.
    users, rated : int64 arrays (n,), rows of the people who rated or chose, and how many pictures
        each rated.
    mean, score : arrays (m,), consensus and the population's held-out score.
    people, described : the columns of what is known of a person, and their values (n, q).
    item_variance, choices, stable : as of `Fitting`.
    repeated : whether anybody rated a picture twice.
    """

    shards: Shards
    items: Items
    used: Ints
    users: Ints
    rated: Ints
    mean: Floats
    score: Floats
    item_variance: float
    people: PeopleColumns
    described: Floats
    choices: TrainingChoices
    stable: float
    repeated: bool

    @classmethod
    def make(
        cls,
        fold: Fold,
        consensus: Consensus,
        choosing: Mapping[str, Thurstone],
        *,
        demographics: bool,
    ) -> Self:
        """Prepare the training rows of `fold`.

        Parameters
        ----------
        choosing : how people on the whole choose, by dataset.
        demographics : whether what people say of themselves is looked at.
        """
        shards, chosen = shards_of(fold, s.TRAIN), canonical_choices(fold.choices_of(s.TRAIN))
        there = _added(list(shards.map(partial(_presence, len(fold.items)))))
        users = np.union1d(there.users, chosen.user)
        touched = np.flatnonzero(there.pictures)
        used = np.union1d(touched, np.concatenate([chosen.a, chosen.b]))
        items = fold.items.take(used)
        mean, score = consensus.of_known(items)
        rated = np.zeros(len(users), np.int64)
        rated[np.searchsorted(users, there.users)] = there.rated
        placed = Choices(
            np.searchsorted(users, chosen.user),
            np.searchsorted(used, chosen.a),
            np.searchsorted(used, chosen.b),
            chosen.outcome,
        )
        stable, repeated = NO_REPEATS, there.repeats > 0
        if repeated:
            said = shards.map(partial(_repeats, used, mean))
            stable = sum(said, RepeatSums.none()).stable
        column = fold.items.frame[s.DATASET].to_numpy()
        choices = TrainingChoices.make(placed, items, mean, score, choosing, set(column[touched]))
        people = PeopleColumns.of_rows(fold.people, users, demographics=demographics)
        return cls(
            shards, items, used, users, rated, mean, score, consensus.item_variance,
            people, people.transform(fold.people)[users], choices, stable, repeated,
        )  # fmt: skip

    def with_choosing(self, choosing: tuple[Thurstone, ...]) -> Self:
        """Return the same, knowing how people choose given their own taste."""
        return replace(self, choices=replace(self.choices, choosing=choosing))

    def sample(self, most: int, seed: int) -> Ints:
        """Return at most `most` places in `users`, sorted."""
        order = np.random.default_rng([seed, 29]).permutation(len(self.users))
        return np.sort(order[:most])

    def of_users(self, places: Ints) -> Fitting:
        """Return the rows of some users (places in `users`, sorted)."""
        wanted = np.zeros(int(self.users.max(initial=0)) + 1, np.bool_)
        wanted[self.users[places]] = True
        found = [*self.shards.map(partial(_of_people, wanted))]
        pairs = found[0] if len(found) == 1 else Pairs.concat(Pairs.empty(), *found)
        return self._rows(self.users[places], canonical(pairs))

    def map(self, function: Callable[[Fitting], R]) -> Iterator[tuple[Ints, R]]:
        """Return what `function` finds in the rows of each shard, and whose (places in `users`).

        There are no pictures' features in those rows: they would be sent with every one.
        """
        bare = replace(self, items=self.items.take(np.zeros(0, np.int64)))
        yield from self.shards.map(partial(_answer, bare, function))
        silent = np.flatnonzero(self.rated == 0)  # who only chose is in no shard of ratings
        if len(silent):
            yield silent, function(bare._rows(self.users[silent], Pairs.empty()))

    def _rows(self, users: Ints, pairs: Pairs) -> Fitting:
        """Return the rows of these users (rows of the people), canonical `pairs` of theirs."""
        means, count = averaged(pairs)
        item, rating = np.searchsorted(self.used, means.item), means.rating.astype(np.float64)
        places = np.searchsorted(self.users, users)
        return Fitting(
            self.items,
            users,
            np.searchsorted(users, means.user),
            item,
            rating,
            rating - self.mean[item],
            self.score,
            self.item_variance,
            self.described[places],
            self.choices.of_users(places),
            self.stable,
            weights_of(count, self.stable) if self.repeated else None,
        )


# --- of one shard ---------------------------------------------------------------------------------
class _Presence(NamedTuple):
    """Who rated how many pictures, which pictures (mask), and how many rows are repeats."""

    users: Ints
    rated: Ints
    pictures: Bools
    repeats: int


def _presence(pictures: int, shard: Shard) -> _Presence:
    pairs = canonical(shard.read())
    means, _ = averaged(pairs)
    users, rated = np.unique(means.user, return_counts=True)
    there = np.zeros(pictures, np.bool_)
    there[means.item] = True
    return _Presence(users, rated, there, len(pairs) - len(means))


def _added(found: list[_Presence]) -> _Presence:
    users = np.concatenate([one.users for one in found])
    order = np.argsort(users)
    if (np.diff(users[order]) == 0).any():
        raise ValueError("ratings of one person are in two shards")
    rated = np.concatenate([one.rated for one in found])
    there = np.any([one.pictures for one in found], axis=0)
    return _Presence(users[order], rated[order], there, sum(one.repeats for one in found))


def _repeats(used: Ints, mean: Floats, shard: Shard) -> RepeatSums:
    pairs = canonical(shard.read())
    means, count = averaged(pairs)
    residual = means.rating.astype(np.float64) - mean[np.searchsorted(used, means.item)]
    return repeat_sums(pairs, means, count, residual)


def _of_people(wanted: Bools, shard: Shard) -> Pairs:
    pairs = shard.read()
    return pairs.take(wanted[np.minimum(pairs.user, len(wanted) - 1)])


def _answer(data: TrainingData, function: Callable[[Fitting], R], shard: Shard) -> tuple[Ints, R]:
    pairs = canonical(shard.read())
    users = np.unique(pairs.user)
    return np.searchsorted(data.users, users), function(data._rows(users, pairs))
