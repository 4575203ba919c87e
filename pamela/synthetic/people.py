"""Who rates: demographics, the types of picture a person rates, taste and use of the scale."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.schema import TRAIN, USER
from pamela.synthetic import taste

Rng = np.random.Generator
Floats = npt.NDArray[np.float64]

# --- demographics: the release's ranges; the shares within them are our own choice ----------------
AGES: Final = (19, 60)
AGE_BANDS: Final = {"19-25": 25, "26-35": 35, "36-45": 45, "46-60": 60}  # name: last age
GENDERS: Final = {"female": 0.49, "male": 0.48, "non-binary": 0.03}
NATIONALITIES: Final = (
    "South Africa", "United Kingdom", "Poland", "Portugal", "Italy", "Mexico", "Germany", "Spain",
    "Greece", "United States", "Hungary", "Chile", "Canada", "France", "Netherlands", "Kenya",
    "Belgium", "Nigeria", "India", "Czech Republic", "Ireland", "Estonia", "Australia",
)  # fmt: skip

# --- which types a person rates -----------------------------------------------------------------
ART_ONLY: Final = 0.50
BOTH: Final = 0.035
ACTIVITY: Final = 0.22  # spread of the logarithm of how much a person rates

# --- taste (rating units; spreads over people) ----------------------------------------------------
FACTORS: Final = 3
_OWN_SPREAD: Final = {
    "warmth": 0.30,
    "saturation": 0.32,
    "key": 0.28,
    "contrast": 0.26,
    "palette": 0.16,
    "angle": 0.08,
    "distance": 0.12,
    "symmetry": 0.08,
    "clutter": 0.14,
    "focus": 0.10,
    "grain": 0.16,
    "warmth^2": 0.10,
    "saturation^2": 0.16,
    "key^2": 0.14,
    "contrast^2": 0.10,
}
_LIGHTING_SPREAD: Final = 0.34
_INTERACTION_SPREAD: Final = 0.08
_GROUP_SPREAD: Final = 0.17
_STYLE_SPREAD: Final = 0.24
FACTOR_SHARE: Final = 0.5  # of the variance of a weight that is common to the factors
# What demographics explain: shift of weights per standard deviation of age, and between genders.
_AGE_SHIFT: Final = {"saturation": -0.07, "contrast": -0.05, "warmth": 0.05, "lighting:neon": -0.12}
_GENDER_SHIFT: Final = {"warmth": 0.05, "key": 0.05, "lighting:neon": -0.06, "grain": -0.04}
_BIAS_BY_AGE: Final = 0.06
_BIAS_BY_NATION: Final = 0.09

# --- use of the scale -----------------------------------------------------------------------------
BIAS_SPREAD: Final = 0.33
STRETCH_SPREAD: Final = 0.16  # of its logarithm
NOISE: Final = 0.85
NOISE_SPREAD: Final = 0.15  # of its logarithm

BLOCK: Final = "block"
RATES_ART: Final = "rates_art"
RATES_PHOTO: Final = "rates_photorealism"
WEIGHTS: Final = "weights"
DEMOGRAPHICS: Final = ("age", "age_binned", "gender", "nationality")


def create_people(blocks: dict[str, int], rng: Rng) -> pl.DataFrame:
    """Draw people.

    Parameters
    ----------
    blocks : how many people of each part of the release: train, val_unseen, test_unseen.

    Returns
    -------
    user_id, demographics, block, the types that they rate, activity, weights on the columns of
    `taste.design`, bias, stretch, noise_std. Deviations sum to zero over the training people of one
    type, so that shared taste and published means stay what they are.
    """
    n = sum(blocks.values())
    people = _demographics(n, rng).with_columns(
        pl.Series(BLOCK, [name for name, count in blocks.items() for _ in range(count)]),
        pl.Series("activity", np.exp(ACTIVITY * rng.normal(size=n))),
    )
    art, photo = _rated_types(blocks, rng)
    weights, bias = _tastes(people, rng)
    stretch = np.exp(STRETCH_SPREAD * rng.normal(size=n))
    trained = (people.get_column(BLOCK) == TRAIN).to_numpy()
    counted = trained * people.get_column("activity").to_numpy()
    centred = _centred(np.column_stack([weights, bias]), art, photo, counted)
    return people.with_columns(
        pl.Series(RATES_ART, art),
        pl.Series(RATES_PHOTO, photo),
        pl.Series("bias", centred[:, -1]),
        pl.Series("stretch", stretch / stretch.mean()),
        pl.Series("noise_std", NOISE * np.exp(NOISE_SPREAD * rng.normal(size=n))),
        pl.Series(WEIGHTS, centred[:, :-1].tolist(), dtype=pl.List(pl.Float64)),
    )


def _demographics(n: int, rng: Rng) -> pl.DataFrame:
    low, high = AGES
    age = np.floor(low + (high - low + 1) * rng.beta(1.15, 2.1, n)).astype(int).clip(low, high)
    bands = np.array(list(AGE_BANDS))[np.searchsorted(list(AGE_BANDS.values()), age)]
    shares = 1 / (np.arange(len(NATIONALITIES)) + 2.0)
    nation = rng.choice(len(NATIONALITIES), n, p=shares / shares.sum())
    once = min(n, len(NATIONALITIES))  # every nationality occurs, where there are people enough
    nation[rng.permutation(n)[:once]] = np.arange(once)
    return pl.DataFrame(
        {
            USER: [f"p{i + 1:03d}" for i in rng.permutation(n)],
            "age": age,
            "age_binned": bands,
            "gender": rng.choice(list(GENDERS), n, p=list(GENDERS.values())),
            "nationality": np.array(NATIONALITIES)[nation],
        }
    )


def _rated_types(
    blocks: dict[str, int], rng: Rng
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return who rates Art and who Photorealism: in every block both types have raters."""
    art, photo = [], []
    for count in blocks.values():
        place = (rng.permutation(count) + 0.5) / count
        alone = count == 1  # a block of one rates both
        art.append((place < ART_ONLY) | (place >= 1 - BOTH) | alone)
        photo.append((place >= ART_ONLY) | alone)
    return np.concatenate(art), np.concatenate(photo)


def spreads() -> Floats:
    """Return the standard deviation over people of the weight on each column of the design."""
    out = []
    for name in taste.COLUMNS:
        if name.startswith("lighting:"):
            out.append(_LIGHTING_SPREAD)
        elif name.startswith("group:"):
            out.append(_GROUP_SPREAD)
        elif name.startswith("style:"):
            out.append(_STYLE_SPREAD)
        else:
            out.append(_OWN_SPREAD.get(name, _INTERACTION_SPREAD))
    return np.array(out)


def _tastes(people: pl.DataFrame, rng: Rng) -> tuple[Floats, Floats]:
    """Return weights (n, columns) and bias (n,): common factors, own part, demographics."""
    n, d = people.height, len(taste.COLUMNS)
    loadings = rng.normal(size=(FACTORS, d))
    loadings /= np.sqrt((loadings**2).sum(axis=0))
    common = rng.normal(size=(n, FACTORS)) @ loadings
    own = rng.normal(size=(n, d))
    weights = spreads() * (np.sqrt(FACTOR_SHARE) * common + np.sqrt(1 - FACTOR_SHARE) * own)
    age = people.get_column("age").to_numpy().astype(float)
    age = (age - age.mean()) / max(float(age.std()), 1e-9)
    woman = np.where(people.get_column("gender").to_numpy() == "female", 1.0, -1.0)
    for shifts, by in ((_AGE_SHIFT, age), (_GENDER_SHIFT, woman)):
        for name, shift in shifts.items():
            weights[:, taste.COLUMNS.index(name)] += shift * by
    nations = dict(zip(NATIONALITIES, rng.normal(size=len(NATIONALITIES)), strict=True))
    by_nation = np.array([nations[name] for name in people.get_column("nationality")])
    bias = BIAS_SPREAD * rng.normal(size=n) + _BIAS_BY_AGE * age + _BIAS_BY_NATION * by_nation
    return weights, bias


def _centred(
    values: Floats,
    art: npt.NDArray[np.bool_],
    photo: npt.NDArray[np.bool_],
    counted: Floats,
) -> Floats:
    """Subtract from each person the `counted`-weighted mean of those who rate the same types."""
    out = values.copy()
    for rows in (art & ~photo, photo & ~art):
        if counted[rows].sum() > 0:
            out[rows] -= np.average(values[rows], axis=0, weights=counted[rows])
    return out
