"""What a participant's scores are kept by."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl

from pamela.study.steering import PeopleReward


def fingerprint(rating: float) -> str:
    """Return that of a reward which knows one rating of one person."""
    context = SimpleNamespace(
        person=SimpleNamespace(frame=pl.DataFrame({"user_id": ["pilot-1"]})),
        context=SimpleNamespace(
            frame=pl.DataFrame({"image_id": ["i1"]}), image=np.zeros((1, 2), np.float32)
        ),
        ratings=[rating],
        choices=[],
    )
    return PeopleReward(SimpleNamespace(version="v"), "d", {"pilot-1": context}, []).fingerprint


def test_scores_of_one_id_with_other_ratings_are_not_mixed():
    assert fingerprint(4.0) == fingerprint(4.0)
    assert fingerprint(4.0) != fingerprint(2.0)
