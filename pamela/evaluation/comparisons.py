"""Which models are compared with which, and which of them know the world's truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pamela.evaluation.comparators.image_mean import IMAGE_MEAN
from pamela.evaluation.comparators.population_user_mean import POPULATION_USER_MEAN
from pamela.evaluation.metrics.normalised_gain import Ideal
from pamela.evaluation.metrics.schema import NOISE_CEILING, SHUFFLED
from pamela.evaluation.observers import FEATURE_OBSERVER, IDEAL_OBSERVER, IDEAL_POPULATION

BASELINE: Final = "population"  # the model that knows no person
PAPER: Final = "paper"
LEVELS: Final = ("global_mean", "user_mean")  # one value per user: no order to compare


def comparisons(models: Sequence[str], champion: str | None = None) -> list[tuple[str, str]]:
    """Return (model, baseline) to subtract.

    All against `population`, and `population` against its controls; the champion against every
    other trained model, it and `paper` against `population` with user means; where the ideal is
    known, what the encoder lost (feature observer minus ideal) and what each model lost (minus
    feature observer).
    """
    found = []
    if BASELINE in models:
        found += [(name, BASELINE) for name in models if name not in (BASELINE, SHUFFLED)]
        found += [(BASELINE, name) for name in ("group_mean", SHUFFLED) if name in models]
    leads = [name for name in dict.fromkeys((champion, PAPER)) if name in models]
    others = [*trained(models), *([POPULATION_USER_MEAN] if POPULATION_USER_MEAN in models else [])]
    for lead in leads:
        wanted = others if lead == champion else [POPULATION_USER_MEAN]
        found += [
            (str(lead), name)
            for name in wanted
            if name in models and name not in (lead, BASELINE, *LEVELS)
        ]
    if FEATURE_OBSERVER in models:
        found += [(FEATURE_OBSERVER, IDEAL_OBSERVER)]
        found += [(name, FEATURE_OBSERVER) for name in trained(models)]
    return list(dict.fromkeys(found))


def known_pictures_models(models: Sequence[str]) -> list[str]:
    """Return who is asked about known pictures, of `models` that are asked about new ones."""
    asked = {*trained(models), POPULATION_USER_MEAN}
    return [*(name for name in models if name in asked), IMAGE_MEAN]


def known_pictures_comparisons(
    models: Sequence[str], champion: str | None = None
) -> list[tuple[str, str]]:
    """Return (model, baseline) to subtract on known pictures: each minus `image_mean` as well."""
    beside = [name for name in models if name not in (IMAGE_MEAN, POPULATION_USER_MEAN, *LEVELS)]
    found = [*comparisons(models, champion), *((name, IMAGE_MEAN) for name in beside)]
    return list(dict.fromkeys(found))


def trained(models: Sequence[str]) -> list[str]:
    """Return those of `models` that are trained: no control, nothing that knows truth."""
    known = (SHUFFLED, NOISE_CEILING, IDEAL_OBSERVER, IDEAL_POPULATION, FEATURE_OBSERVER)
    made_here = (POPULATION_USER_MEAN, IMAGE_MEAN)
    return [name for name in models if name not in (*known, *made_here)]


def ideal_of(models: Sequence[str]) -> Ideal | None:
    """Return the places of the models that the normalised gain needs, None without an oracle."""
    if not {IDEAL_OBSERVER, IDEAL_POPULATION, BASELINE} <= set(models):
        return None
    place = {name: number for number, name in enumerate(models)}
    return Ideal(
        models=tuple(place[name] for name in (*trained(models), FEATURE_OBSERVER) if name in place),
        population=place[BASELINE],
        observer=place[IDEAL_OBSERVER],
        ideal_population=place[IDEAL_POPULATION],
        feature_observer=place.get(FEATURE_OBSERVER),
    )
