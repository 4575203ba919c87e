"""The means by metadata: how far a small group's mean is pulled to the coarser one."""

from __future__ import annotations

import numpy as np
import pytest

from pamela.models.baselines import shrunken_means


def test_a_groups_mean_is_shrunken_by_the_ratio_of_variances() -> None:
    """By hand: means +2 and -2; within groups (1 + 1 + 1 + 1) / (4 - 2) = 2, between groups
    ((2 * 4 + 2 * 4) / 2 - 1) * 2 / (4 - 8 / 4) = 7, so a mean of two keeps 2 / (2 + 2 / 7) = 7/8.
    """
    code, residual = np.array([0, 0, 1, 1]), np.array([1.0, 3.0, -1.0, -3.0])
    mean, variance, between = shrunken_means(code, residual, 2)
    assert between == pytest.approx(7)
    assert mean == pytest.approx([1.75, -1.75])
    assert variance == pytest.approx([7 / 8, 7 / 8])
