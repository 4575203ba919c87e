"""`mf`: matrix factorisation with biases, its item factors regressing on features.

rating = population + person's level + p_u . q_x. The picture's bias is the population's score: a
weak one would make the personal part look good. Factors come from alternating least squares
(`pamela.models.residual.als`), which pulls a picture's factors towards a linear function of its
features: **a picture nobody rated is scored by that function alone**, which plain matrix
factorisation cannot do. k ratings of a new person are folded in: the person's factors given the
pictures' ones, in closed form. Rank and regularisation are chosen by cross-validation over prompts
inside train.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pamela.core.arrays import Bools, Floats
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.models.base import Progress
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.random_effects.posterior import SufficientStatistics, posterior
from pamela.models.residual.als import Cells, factorise, leading_directions
from pamela.models.residual.base import LearnedResiduals, ResidualModel
from pamela.models.residual.item_features import ItemDesign
from pamela.models.residual.tuning import ResidualRows, mean_score, predict_held_out

COMPONENTS = 48  # of each kind of feature, that factors regress on
RANKS: tuple[int, ...] = (1, 2, 4, 8, 16)
LEARNING: tuple[float, ...] = (3.0, 10.0, 30.0)  # strengths with which factors are learned
USUAL_STRENGTH = 10.0  # with which ranks are compared
START_STRENGTH = 100.0  # of the ridge regressions whose leading directions factors start from


class MatrixFactorisation(ResidualModel):
    """Population plus low-rank taste."""

    name: ClassVar[str] = "mf"
    ranks: tuple[int, ...] = RANKS
    learning: tuple[float, ...] = LEARNING
    _design: ItemDesign | None = None
    _projection: Floats | None = None
    _factors: Floats | None = None  # of training pictures, in the order of the consensus

    def _offer(self, chosen: dict[str, Any]) -> None:
        self.ranks, self.learning = (chosen["rank"],), (chosen["strength"],)

    def _learn(
        self,
        rows: ResidualRows,
        some: ResidualRows,
        folds: list[Bools],
        consensus: Consensus,
        progress: Progress,
    ) -> LearnedResiduals:
        design = ItemDesign.fit(rows.items, COMPONENTS)
        features = design.transform(rows.items)[:, 1:]
        tried: dict[tuple[int, float], tuple[float, list[Floats]]] = {}
        steps = len(self.ranks) + len(self.learning) - 1

        def score(rank: int, strength: float) -> float:
            key = (rank, strength)
            if key not in tried:
                progress(len(tried) / steps, f"rank {rank}, strength {strength:g}")
                columns = [_learned(some, features, rank, strength, one)[1] for one in folds]
                found = [
                    predict_held_out(some, own, some.prior(strength, own.shape[1]), inside, ~inside)
                    for own, inside in zip(columns, folds, strict=True)
                ]
                tried[key] = (mean_score(found), columns)
            return tried[key][0]

        # the lower rank and the stronger penalty where two are alike
        rank = max(self.ranks, key=lambda one: (score(one, USUAL_STRENGTH), -one))
        strength = max(self.learning, key=lambda one: (score(rank, one), one))
        everything = np.ones(len(rows.user), np.bool_)
        projection, columns = _learned(rows, features, rank, strength, everything)
        self._design, self._projection = design, projection
        self._factors = np.zeros((len(consensus.keys), projection.shape[1]))
        self._factors[consensus.place_of(rows.items)] = columns[:, 1:]
        return LearnedResiduals(
            columns,
            tried[rank, strength][1],
            {"rank": projection.shape[1], "strength": strength},
            {f"rank {size}, strength {by:g}": v for (size, by), (v, _) in tried.items()},
        )

    def _columns(self, items: Items, consensus: Consensus) -> Floats:
        if self._design is None or self._projection is None or self._factors is None:
            raise PamelaError("model mf: not fitted; fit or load it first")
        place = consensus.place_of(items)
        q = self._design.transform(items)[:, 1:] @ self._projection
        known = place >= 0
        q[known] = self._factors[place[known]]
        return np.concatenate([np.ones((len(items), 1)), q], axis=1)

    def _columns_state(self) -> dict[str, npt.NDArray[Any]]:
        if self._design is None or self._projection is None or self._factors is None:
            return {}
        return {
            **self._design.arrays(),
            "projection": self._projection,
            "factors": self._factors,
        }

    def _load_columns(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._design = ItemDesign.from_arrays(arrays)
        self._projection, self._factors = arrays["projection"], arrays["factors"]


def _learned(
    rows: ResidualRows, features: Floats, rank: int, strength: float, inside: Bools
) -> tuple[Floats, Floats]:
    """Return the projection (d, r) and the columns (m, 1 + r) learned from the rows `inside`."""
    user, item, y = rows.user[inside], rows.item[inside], rows.residual[inside]
    ones = np.ones((len(features), 1))
    wide = np.concatenate([ones, features], axis=1)
    ridge = posterior(
        rows.prior(START_STRENGTH, wide.shape[1]),
        np.ones((rows.users, 1)),
        SufficientStatistics.collect(user, wide[item], y, rows.users),
    )
    start = leading_directions(ridge.mean[:, 1:], rank)
    cells = Cells.make(user, item, y, (rows.users, len(features)))
    level = rows.noise / rows.level
    found = factorise(cells, features, start, level=level, strength=strength)
    return found.projection, np.concatenate([ones, found.q], axis=1)
