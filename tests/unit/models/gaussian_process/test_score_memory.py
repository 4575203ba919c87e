"""Pictures that several models ask about are scored once, and never taken for others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.arrays import Floats
from pamela.core.dataset import Items
from pamela.models.gaussian_process.score_memory import Scores, mean_and_variance, scores_kept


@dataclass
class Fitted:
    """Stands for a fit: scores are sums of features times `alpha`; counts what it is asked."""

    alpha: Floats
    asked: list[int] = field(default_factory=list)

    def mean_and_variance(self, items: Items) -> Scores:
        self.asked.append(len(items))
        return items.image.sum(axis=1) * self.alpha[0], np.ones(len(items))


def pictures(start: int, *, style: str = "plain") -> Items:
    frame = pl.DataFrame({s.IMAGE: ["a", "b"], s.STYLE: style})
    features = np.arange(start, start + 6, dtype=np.float32).reshape(2, 3)
    return Items(frame, features, features[:, :1])


def test_the_same_question_is_answered_once_within_the_block() -> None:
    first, again, other = (Fitted(np.array([alpha])) for alpha in (2.0, 2.0, 3.0))
    with scores_kept():
        mean, _ = mean_and_variance(first, pictures(0))  # type: ignore[arg-type]
        with scores_kept():  # a loaded copy of the same fit, deeper inside
            assert mean_and_variance(again, pictures(0))[0] is mean  # type: ignore[arg-type]
        assert (first.asked, again.asked) == ([2], [])
        for items in (pictures(1), pictures(0, style="other")):  # features or metadata differ
            mean_and_variance(first, items)  # type: ignore[arg-type]
        assert first.asked == [2, 2, 2]
        assert mean_and_variance(other, pictures(0))[0].tolist() == [9.0, 36.0]  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="read-only"):
            mean += 1.0
    mean_and_variance(first, pictures(0))  # type: ignore[arg-type]
    mean_and_variance(first, pictures(0))  # type: ignore[arg-type]
    assert first.asked == [2] * 5
