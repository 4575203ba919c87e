"""The model that a command asks for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pamela.serving.api import Reward

MODEL_HELP: Final = "models:/NAME@ALIAS, models:/NAME/VERSION or a bundle folder."
CHAMPION_URI: Final = "models:/pamela@champion"


def load_reward(uri: str) -> Reward:
    """Load a model for the few small products of matrices that a command takes.

    OpenBLAS's threads wait for the next product at full speed, for longer than these take: here
    they sleep at once. Read when numpy is first loaded.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # 2^4 cycles; 2^26 by default
    import pamela

    return pamela.load(uri)
