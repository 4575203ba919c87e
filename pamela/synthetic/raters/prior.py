"""What a person of the embedded world may be like, before any of their ratings is known.

One definition for two users: `pamela.synthetic.raters.people` draws people from it, and the ideal
observers of the evaluation (`pamela.evaluation.observers`) reason with it. Everything is in rating
units (1..5) and our own choice, sized so that correlations and reliability come out near what is
published (docs/synthetic.md). A weight is as large as what it weighs can be seen in a picture:
attributes that an onlooker hardly tells apart carry little taste.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from pamela.core.arrays import Floats
from pamela.synthetic.raters import utility

Rng = np.random.Generator

# --- own taste: standard deviations over people of the weights on `taste.COLUMNS` ---------------
OWN_SPREAD: Final = {
    "warmth": 0.39,
    "saturation": 0.41,
    "key": 0.37,
    "contrast": 0.34,
    "palette": 0.09,
    "angle": 0.10,
    "distance": 0.16,
    "symmetry": 0.06,
    "clutter": 0.10,
    "focus": 0.07,
    "grain": 0.23,
    "warmth^2": 0.14,
    "saturation^2": 0.21,
    "key^2": 0.19,
    "contrast^2": 0.14,
    "focus in some groups": 0.07,
}
LIGHTING_SPREAD: Final = 0.44
INTERACTION_SPREAD: Final = 0.10
GROUP_SPREAD: Final = 0.23
STYLE_SPREAD: Final = 0.31
FACTORS: Final = 3
FACTOR_SHARE: Final = 0.8  # of the variance of a weight that is common to the factors

# --- what demographics explain ------------------------------------------------------------------
# A band stands for its middle, over the spread of ages: about the mean of 0 and deviation of 1.
AGE_OF_BAND: Final = {"19-25": -1.1, "26-35": -0.3, "36-45": 0.7, "46-60": 2.0}
# Shift of weights per standard deviation of age, and by half the difference between genders.
AGE_SHIFT: Final = {"saturation": -0.07, "contrast": -0.05, "warmth": 0.05, "lighting:neon": -0.12}
GENDER_SHIFT: Final = {"warmth": 0.05, "key": 0.05, "lighting:neon": -0.06, "grain": -0.04}
BIAS_BY_AGE: Final = 0.10
BIAS_BY_NATION: Final = 0.12  # standard deviation over nations

# --- use of the scale ---------------------------------------------------------------------------
BIAS_SPREAD: Final = 0.33
STRETCH_SPREAD: Final = 0.16  # of its logarithm
NOISE: Final = 0.80
NOISE_SPREAD: Final = 0.15  # of its logarithm
ROUNDING_VARIANCE: Final = 1 / 12
MIDDLE: Final = 3.16  # a person's stretch of the scale leaves this rating in place


@dataclass(frozen=True)
class TastePrior:
    """The distribution that people are drawn from.

    Attributes
    ----------
    loadings : (FACTORS, columns), how the common factors move the weights on `taste.design`; the
        columns have unit length.
    """

    loadings: Floats

    @classmethod
    def create(cls, rng: Rng) -> TastePrior:
        """Draw the factors of a world."""
        loadings = rng.normal(size=(FACTORS, len(utility.COLUMNS)))
        return cls(loadings / np.sqrt((loadings**2).sum(axis=0)))

    def weight_shift(self, people: pl.DataFrame) -> Floats:
        """Return the expected weights (n, columns) of people of these ages and genders."""
        shift = np.zeros((people.height, len(utility.COLUMNS)))
        for table, by in ((AGE_SHIFT, standard_age(people)), (GENDER_SHIFT, _gender(people))):
            for name, size in table.items():
                shift[:, utility.COLUMNS.index(name)] += size * by
        return shift

    def bias_shift(self, people: pl.DataFrame) -> Floats:
        """Return the expected bias (n,) of people of these ages."""
        return BIAS_BY_AGE * standard_age(people)

    def weight_covariance(self) -> Floats:
        """Return the covariance (columns, columns) of weights around `weight_shift`."""
        spread = own_spreads()
        common = FACTOR_SHARE * self.loadings.T @ self.loadings
        return np.outer(spread, spread) * (common + (1 - FACTOR_SHARE) * np.eye(len(spread)))

    def draw_weights(self, people: pl.DataFrame, rng: Rng) -> Floats:
        """Draw everybody's weights (n, columns): common factors, own part, demographics."""
        common = rng.normal(size=(people.height, FACTORS)) @ self.loadings
        own = rng.normal(size=(people.height, len(utility.COLUMNS)))
        mixed = np.sqrt(FACTOR_SHARE) * common + np.sqrt(1 - FACTOR_SHARE) * own
        return own_spreads() * mixed + self.weight_shift(people)


def own_spreads() -> Floats:
    """Return the standard deviation over people of the weight on each column of the design."""
    out = []
    for name in utility.COLUMNS:
        if name in OWN_SPREAD:
            out.append(OWN_SPREAD[name])
        elif name.startswith("lighting:"):
            out.append(LIGHTING_SPREAD)
        elif name.startswith("group:"):
            out.append(GROUP_SPREAD)
        elif name.startswith("style:"):
            out.append(STYLE_SPREAD)
        else:
            out.append(INTERACTION_SPREAD)
    return np.array(out)


def bias_variance() -> float:
    """Return the variance of a person's bias around `TastePrior.bias_shift`."""
    return BIAS_SPREAD**2 + BIAS_BY_NATION**2


def stretch_variance() -> float:
    """Return the variance of a person's stretch of the scale around 1."""
    return float(np.expm1(STRETCH_SPREAD**2))


def noise_variance() -> float:
    """Return the mean variance of a rating around its person's opinion, rounding included."""
    return float(NOISE**2 * np.exp(2 * NOISE_SPREAD**2)) + ROUNDING_VARIANCE


def standard_age(people: pl.DataFrame) -> Floats:
    """Return each age band (n,) in standard deviations from the mean; 0 where unknown."""
    bands = people.get_column("age_binned")
    return bands.replace_strict(AGE_OF_BAND, default=0.0, return_dtype=pl.Float64).to_numpy()


def _gender(people: pl.DataFrame) -> Floats:
    """Return 1 for women, -1 for others, 0 where unknown."""
    woman = (people.get_column("gender") == "female").cast(pl.Float64)
    return (2.0 * woman - 1.0).fill_null(0.0).to_numpy()
