"""What ratings leave open of the order of pictures, worked out pair by pair."""

from __future__ import annotations

import numpy as np


def pair_variance(columns: np.ndarray, covariance: np.ndarray) -> float:
    """Mean variance of the difference of two pictures' scores, pair by pair."""
    n = len(columns)
    gaps = [columns[i] - columns[j] for i in range(n) for j in range(i)]
    return float(np.mean([gap @ covariance @ gap for gap in gaps]))


def after(covariance: np.ndarray, noise: float, rated: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.linalg.inv(covariance) + rated.T @ rated / noise)
