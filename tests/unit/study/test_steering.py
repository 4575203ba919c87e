"""What a participant's scores are kept by."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl

from pamela.study.steering import people_reward
from tests.helpers.study_kit import settings


def fingerprint(rating: float, group: str = "g") -> str:
    """Return that of a reward which knows one rating of one person, and the prompts' metadata."""
    context = SimpleNamespace(
        person=SimpleNamespace(frame=pl.DataFrame({"user_id": ["pilot-1"]})),
        context=SimpleNamespace(
            frame=pl.DataFrame({"image_id": ["i1"]}), image=np.zeros((1, 2), np.float32)
        ),
        ratings=[rating],
        choices=[],
    )
    bundle = SimpleNamespace(version="v", encoder={"fingerprint": "e"})
    reward = SimpleNamespace(user_contexts=SimpleNamespace(bundle=bundle), pictures=None)
    prompts = [one.model_copy(update={"group": group}) for one in settings().prompts]
    return people_reward(reward, settings(prompts=prompts), {"pilot-1": context}).fingerprint


def test_scores_of_one_id_with_other_ratings_are_not_mixed():
    assert fingerprint(4.0) == fingerprint(4.0)
    assert fingerprint(4.0) != fingerprint(2.0)
    assert fingerprint(4.0) != fingerprint(4.0, "h")
