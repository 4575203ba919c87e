"""From ``steer.rewriter`` in params.yaml to a rewriter."""

from __future__ import annotations

from typing import Final

from pamela.core.errors import PamelaError
from pamela.params import Params
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.rewriters.vocabulary import VocabularyRewriter

VOCABULARY: Final = "vocabulary"


def get_rewriter(params: Params) -> Rewriter:
    """Return the rewriter that ``steer.rewriter`` names.

    Raises
    ------
    PamelaError
        If no rewriter has that name.
    """
    name = params.steer.rewriter
    if name == VOCABULARY:
        return VocabularyRewriter()
    raise PamelaError(f"params.yaml: steer.rewriter: {name!r} is unknown; write {VOCABULARY!r}")
