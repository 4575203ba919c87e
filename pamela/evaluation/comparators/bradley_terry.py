"""`bradley_terry`: pictures' strengths from others' choices, the bar for choices of known ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from scipy import sparse

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Choices, Fold, Items, Pairs, People
from pamela.models.choices.preference import Preference

BRADLEY_TERRY: Final = "bradley_terry"
PRIOR_VARIANCE: Final = 1.0  # of a strength, in logits
LEAST_TIES: Final = 0.5  # ties are counted from here, so that none is never impossible


@dataclass(frozen=True)
class BradleyTerry:
    """The strength of every picture of a fold; ask it like a model what people choose.

    Attributes
    ----------
    strength : float array (items,), logits; 0 where nobody chose.
    ties : share of training choices that are ties, whoever chose between whatever.
    """

    strength: Floats
    ties: float
    adapts: bool = False

    @classmethod
    def fit(cls, fold: Fold) -> Self:
        """Fit the fold's training choices: logistic regression with a Gaussian prior.

        A tie is half a win for each side.
        """
        from sklearn.linear_model import LogisticRegression

        train = fold.choices_of(s.TRAIN)
        n, items = len(train), len(fold.items)
        tied = train.outcome == 0.5
        ties = (float(tied.sum()) + LEAST_TIES) / (n + 2 * LEAST_TIES)
        if not n:
            return cls(np.zeros(items), ties)
        row = np.arange(n)
        design = sparse.csr_array(
            (
                np.concatenate([np.ones(n), -np.ones(n)]),
                (np.concatenate([row, row]), np.concatenate([train.a, train.b])),
            ),
            shape=(n, items),
        )
        # every choice once as won by a and once as won by b, weighing what the outcome says
        weight = np.concatenate([train.outcome, 1.0 - train.outcome]).astype(np.float64)
        said = np.repeat([1, 0], n)
        model = LogisticRegression(C=PRIOR_VARIANCE, fit_intercept=False, max_iter=1000)
        model.fit(sparse.vstack([design, design]).tocsr(), said, sample_weight=weight)
        return cls(model.coef_[0].astype(np.float64), ties)

    def prefer(
        self,
        items: Items,
        people: People,
        asked: Choices,
        context: Pairs | None = None,
        choices: Choices | None = None,
    ) -> Preference:
        """Predict what people choose; see `pamela.models.base.RewardModel.prefer`."""
        gap = self.strength[asked.a] - self.strength[asked.b]
        first = (1.0 - self.ties) / (1.0 + np.exp(-gap))
        second = (1.0 - self.ties) / (1.0 + np.exp(gap))
        return Preference(first, second, np.full(len(gap), self.ties))
