"""What could be known of the embedded world's ratings: ideal observers, for the evaluation.

They read the truth about pictures and the priors of people; no stage before evaluate imports them.
"""

from __future__ import annotations

from pamela.evaluation.observers.observer import (
    FEATURE_OBSERVER,
    IDEAL_OBSERVER,
    IDEAL_POPULATION,
    Observer,
    create_observers,
)

__all__ = ["FEATURE_OBSERVER", "IDEAL_OBSERVER", "IDEAL_POPULATION", "Observer", "create_observers"]
