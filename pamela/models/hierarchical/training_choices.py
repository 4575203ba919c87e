"""The choices that `hierarchical` learns from, beside ratings (`Fitting`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Floats32, Ints
from pamela.core.dataset import Choices, Items
from pamela.models.choices.taste_posterior import ChoiceRows, Sites
from pamela.models.choices.thurstone import Thurstone
from pamela.models.random_effects.posterior import Posterior, SufficientStatistics, predict_rows


@dataclass(frozen=True)
class TrainingChoices:
    """Choices, sorted by user.

    Attributes
    ----------
    user, a, b : int64 arrays (c,), places among the users and the pictures of a `Fitting`.
    outcome : as in `Choices`.
    base, score : arrays (c,), difference of the pictures' consensus, and of their held-out scores.
    kind : int64 array (c,), place in `names`.
    names, choosing : datasets with choices, and how people choose there.
    overall : as of `ChoiceRows`.
    sites : what each says of its difference, once that was worked out.
    """

    user: Ints
    a: Ints
    b: Ints
    outcome: Floats32
    base: Floats
    score: Floats
    kind: Ints
    names: tuple[str, ...]
    choosing: tuple[Thurstone, ...]
    overall: tuple[float | None, ...]
    sites: Sites | None = None

    @classmethod
    def make(
        cls,
        chosen: Choices,
        items: Items,
        mean: Floats,
        score: Floats,
        known: Mapping[str, Thurstone],
        rated: Collection[str],
    ) -> Self:
        """Prepare canonical choices over places.

        Parameters
        ----------
        mean, score : arrays (m,), consensus and held-out scores of `items`.
        known : how people on the whole choose, by dataset.
        rated : datasets with ratings.
        """
        column = items.frame[s.DATASET].to_numpy()[chosen.a].astype(str)
        names, kind = np.unique(column, return_inverse=True)
        return cls(
            chosen.user,
            chosen.a,
            chosen.b,
            chosen.outcome,
            mean[chosen.a] - mean[chosen.b],
            score[chosen.a] - score[chosen.b],
            kind.astype(np.int64),
            tuple(names.tolist()),
            tuple(known[name] for name in names.tolist()),
            tuple(None if name in rated else known[name].noise for name in names.tolist()),
        )

    @classmethod
    def none(cls) -> Self:
        """Return no choices."""
        places, nothing = np.zeros(0, np.int64), np.zeros(0)
        outcome = np.zeros(0, np.float32)
        return cls(places, places, places, outcome, nothing, nothing, places, (), (), ())

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Ints | Bools) -> Self:
        """Return these choices."""
        names = ("user", "a", "b", "outcome", "base", "score", "kind")
        sites = None if self.sites is None else self.sites.take(rows)
        return replace(self, sites=sites, **{name: getattr(self, name)[rows] for name in names})

    def of_users(self, users: Ints, keep: Bools | None = None) -> Self:
        """Return the choices of some users (sorted), who are numbered anew.

        Parameters
        ----------
        keep : bool array (c,), which choices count; all where not given.
        """
        place = np.searchsorted(users, self.user).clip(max=max(len(users) - 1, 0))
        mine = users[place] == self.user if len(users) else np.zeros(len(self), np.bool_)
        rows = np.flatnonzero(mine if keep is None else mine & keep)
        return replace(self.take(rows), user=place[rows])

    def rows(self, columns: Floats) -> ChoiceRows:
        """Return them as rows of people's weights for `columns` (m, k)."""
        features = columns[self.a] - columns[self.b]
        return ChoiceRows(
            self.user,
            features,
            self.base,
            self.outcome,
            self.kind,
            self.choosing,
            self.overall,
        )

    def statistics(self, columns: Floats, users: int) -> SufficientStatistics:
        """Return the sums, per user, of the Gaussian rows that say what `sites` do."""
        sites = Sites.none(len(self)) if self.sites is None else self.sites
        return self.rows(columns).statistics(sites, users)

    def agreement(self, columns: Floats, found: Posterior) -> float | None:
        """Return how well people's posteriors predict these choices, which they have not seen.

        A correlation, as that of ratings: of outcomes and differences, either way round.
        """
        own, _ = predict_rows(found, self.user, columns[self.a] - columns[self.b])
        differences, chosen = self.score + own, 2.0 * self.outcome - 1.0
        size = float(np.sqrt((differences @ differences) * (chosen @ chosen)))
        return float(differences @ chosen) / size if size > 0 else None
