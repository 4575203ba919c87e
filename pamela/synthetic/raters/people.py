"""Who rates: demographics, the types of picture a person rates, taste and use of the scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from pamela.core.arrays import Floats
from pamela.core.schema import USER
from pamela.synthetic.raters import prior as pr

Rng = np.random.Generator

# --- demographics: the release's ranges; the shares within them are our own choice ----------------
AGES: Final = (19, 60)
AGE_BANDS: Final = {"19-25": 25, "26-35": 35, "36-45": 45, "46-60": 60}  # name: last age
GENDERS: Final = {"female": 0.49, "male": 0.48, "non-binary": 0.03}
NATIONALITIES: Final = (
    "South Africa", "United Kingdom", "Poland", "Portugal", "Italy", "Mexico", "Germany", "Spain",
    "Greece", "United States", "Hungary", "Chile", "Canada", "France", "Netherlands", "Kenya",
    "Belgium", "Nigeria", "India", "Czech Republic", "Ireland", "Estonia", "Australia",
)  # fmt: skip

# --- how much of which type a person rates --------------------------------------------------------
# Of 156 people of the release 36 rated both types. 81 have three ratings or more in a small group
# of photographs, and 62 to 67 in a style: so most of the 36 rated one type mainly and the other a
# little, and a few rated little of either. Kinds: people of 156, Art, Photorealism.
LITTLE: Final = 0.05  # of what those rate who rate a type mainly
KINDS: Final = (
    (61, 1.0, 0.0),
    (59, 0.0, 1.0),
    (22, LITTLE, 1.0),
    (4, 1.0, LITTLE),
    (10, LITTLE, LITTLE),
)
ACTIVITY: Final = 0.22  # spread of the logarithm of how much a person rates

BLOCK: Final = "block"
RATES_ART: Final = "rates_art"
RATES_PHOTO: Final = "rates_photorealism"
WEIGHTS: Final = "weights"
DEMOGRAPHICS: Final = ("age", "age_binned", "gender", "nationality")


def create_people(
    n: int,
    prior: pr.TastePrior,
    nations: Floats,
    rng: Rng,
    *,
    group: int | None = None,
    all_busy: bool = False,
) -> pl.DataFrame:
    """Draw people.

    Parameters
    ----------
    nations : (len(NATIONALITIES),), what each nationality adds to its people's bias.
    group : the types that people rate are divided as in the release within every `group` people
        in turn; all of them where absent.
    all_busy : leave out the kind of people who rate little of everything.

    Returns
    -------
    demographics, how much of each type they rate, activity, weights on the columns of
    `taste.design`, bias, stretch, noise_std; n rows.
    """
    people = _demographics(n, rng)
    size = group or n
    kinds = KINDS[:-1] if all_busy else KINDS
    types = np.concatenate(
        [_rated_types(min(size, n - start), kinds, rng) for start in range(0, n, size)]
    )
    weights = prior.draw_weights(people, rng)
    nation = people.get_column("nationality").replace_strict(
        dict(zip(NATIONALITIES, nations.tolist(), strict=True)), return_dtype=pl.Float64
    )
    bias = pr.BIAS_SPREAD * rng.normal(size=n) + prior.bias_shift(people) + nation.to_numpy()
    stretch = np.exp(pr.STRETCH_SPREAD * rng.normal(size=n))
    return people.with_columns(
        pl.Series("activity", np.exp(ACTIVITY * rng.normal(size=n))),
        pl.Series(RATES_ART, types[:, 0]),
        pl.Series(RATES_PHOTO, types[:, 1]),
        pl.Series("bias", bias),
        pl.Series("stretch", stretch / np.exp(pr.STRETCH_SPREAD**2 / 2)),
        pl.Series("noise_std", pr.NOISE * np.exp(pr.NOISE_SPREAD * rng.normal(size=n))),
        pl.Series(WEIGHTS, weights.tolist(), dtype=pl.List(pl.Float64)),
    )


def draw_nations(rng: Rng) -> Floats:
    """Draw what each nationality adds to its people's bias."""
    return pr.BIAS_BY_NATION * rng.normal(size=len(NATIONALITIES))


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
            "age": age,
            "age_binned": bands,
            "gender": rng.choice(list(GENDERS), n, p=list(GENDERS.values())),
            "nationality": np.array(NATIONALITIES)[nation],
        }
    )


def _rated_types(count: int, kinds: Sequence[tuple[int, float, float]], rng: Rng) -> Floats:
    """Return how much Art and Photorealism (count, 2) people rate: both types have raters."""
    people, *amounts = np.array(kinds).T
    place = (rng.permutation(count) + 0.5) / count
    if count == 1:
        return np.ones((1, 2))
    kind = np.searchsorted(np.cumsum(people) / people.sum(), place)
    return np.stack(amounts, axis=1)[kind]


def busy(people: pl.DataFrame) -> pl.DataFrame:
    """Return those who rate a type mainly, not a little of everything."""
    return people.filter(pl.max_horizontal(RATES_ART, RATES_PHOTO) > LITTLE)


def weights_of(people: pl.DataFrame) -> Floats:
    """Return the weights (n, columns) of people on the columns of `taste.design`."""
    return np.stack(people.get_column(WEIGHTS).to_list())


def centred(people: pl.DataFrame) -> pl.DataFrame:
    """Take off each person's weights and bias the mean of those who mainly rate the same type.

    Their stretch of the scale is divided by its mean. Means count people by how much they rate, so
    that shared taste and published means stay what they are.
    """
    stretch = people.get_column("stretch").to_numpy().copy()
    values = np.column_stack([weights_of(people), people.get_column("bias").to_numpy()])
    art, photo = (people.get_column(name).to_numpy() for name in (RATES_ART, RATES_PHOTO))
    activity = people.get_column("activity").to_numpy()
    for rows in (art > photo, photo > art):
        if rows.any():
            values[rows] -= np.average(values[rows], axis=0, weights=activity[rows])
            stretch[rows] /= np.average(stretch[rows], weights=activity[rows])
    return people.with_columns(
        pl.Series("bias", values[:, -1]),
        pl.Series("stretch", stretch),
        pl.Series(WEIGHTS, values[:, :-1].tolist(), dtype=pl.List(pl.Float64)),
    )


def numbered(people: pl.DataFrame, rng: Rng) -> pl.DataFrame:
    """Give people ids that tell nothing of them."""
    names = [f"p{i + 1:03d}" for i in rng.permutation(people.height)]
    return people.select(pl.Series(USER, names), pl.all())
