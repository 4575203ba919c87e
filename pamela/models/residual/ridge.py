"""`residual_ridge`: the population's score plus a ridge regression of each person's residuals.

The usual baseline of personalisation: a person's residuals are regressed on a constant and the
leading components of image and prompt features, with one penalty for everybody. How many
components, and how strong the penalty is, is chosen by cross-validation over prompts inside train.
k ratings of a new person are the same regression. See `pamela.models.residual.base`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from pamela.core.arrays import Bools, Floats
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.models.base import Progress
from pamela.models.gaussian_process.item_consensus import Consensus
from pamela.models.residual.base import LearnedResiduals, ResidualModel
from pamela.models.residual.item_features import ItemDesign
from pamela.models.residual.tuning import STRENGTHS, ResidualRows, mean_score, predict_held_out

COMPONENTS: tuple[int, ...] = (8, 16, 32, 64)  # of each kind of feature


class ResidualRidge(ResidualModel):
    """Population plus a ridge regression per person."""

    name: ClassVar[str] = "residual_ridge"
    components: tuple[int, ...] = COMPONENTS
    _design: ItemDesign | None = None

    def _offer(self, chosen: dict[str, Any]) -> None:
        self.components = (chosen["components"],)

    def _learn(
        self,
        rows: ResidualRows,
        some: ResidualRows,
        folds: list[Bools],
        consensus: Consensus,
        progress: Progress,
    ) -> LearnedResiduals:
        scores: dict[tuple[int, float], float] = {}
        for number, components in enumerate(self.components):
            progress(number / len(self.components), f"{components} components")
            columns = ItemDesign.fit(rows.items, components).transform(rows.items)
            for strength in STRENGTHS:
                prior = some.prior(strength, columns.shape[1])
                found = [
                    predict_held_out(some, columns, prior, inside, ~inside) for inside in folds
                ]
                scores[components, strength] = mean_score(found)
        # the fewer components and the stronger penalty where two are alike
        components = max(scores, key=lambda key: (scores[key], -key[0], key[1]))[0]
        self._design = ItemDesign.fit(rows.items, components)
        columns = self._design.transform(rows.items)
        return LearnedResiduals(
            columns,
            [columns] * len(folds),  # components are of pictures, not of ratings
            {"components": components},
            {f"{size} components, strength {by:g}": v for (size, by), v in scores.items()},
        )

    def _columns(self, items: Items, consensus: Consensus) -> Floats:
        if self._design is None:
            raise PamelaError("model residual_ridge: not fitted; fit or load it first")
        return self._design.transform(items)

    def _columns_state(self) -> dict[str, npt.NDArray[Any]]:
        return self._design.arrays() if self._design is not None else {}

    def _load_columns(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        self._design = ItemDesign.from_arrays(arrays)
