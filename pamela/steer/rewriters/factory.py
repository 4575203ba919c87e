"""From ``steer.rewriter`` in params.yaml to a rewriter."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError, require
from pamela.params import Params
from pamela.steer.generators.factory import EMBEDDED
from pamela.steer.rewriters.base import Rewriter
from pamela.steer.rewriters.protocol import Keeps
from pamela.steer.rewriters.subjects import keeps_world_subject, shares_a_word
from pamela.steer.rewriters.vocabulary import VocabularyRewriter
from pamela.steer.servers.endpoints import read_endpoint

KEY: Final = "steer.rewriter"
VOCABULARY: Final = "vocabulary"
SHIPPED: Final = "embedded"  # the language model that is shipped, which knows the embedded world
SHIPPED_FOLDER: Final = Path(__file__).parents[1] / "language_model" / "weights"
CHAT: Final = "chat"
TRANSFORMERS: Final = "transformers"
STEER_EXTRA: Final = "steer"


def get_rewriter(params: Params) -> Rewriter:
    """Return the rewriter that ``steer.rewriter`` names.

    Raises
    ------
    PamelaError
        If no rewriter has that name, its address is none, or its extra is not installed.
    """
    name = params.steer.rewriter
    if name == VOCABULARY:
        return VocabularyRewriter()
    kind, _, rest = name.partition(":")
    if kind == CHAT:
        endpoint = read_endpoint(KEY, rest, needs_model=True)
        require("openai", f"{KEY}: {name}")
        from pamela.steer.rewriters.chat import ChatRewriter

        return ChatRewriter(endpoint, params.steer.language_model, _keeps(params))
    if name == SHIPPED or (kind == TRANSFORMERS and rest):
        require("transformers", f"{KEY}: {name}", extra=STEER_EXTRA)
        from pamela.steer.rewriters.transformers_model import TransformersRewriter

        folder = str(SHIPPED_FOLDER) if name == SHIPPED else rest
        return TransformersRewriter(folder, params.steer.language_model, _keeps(params))
    raise PamelaError(
        f"params.yaml: {KEY}: {name!r} is unknown; write {VOCABULARY}, {SHIPPED}, "
        f"{CHAT}:<base url>#<model> or {TRANSFORMERS}:<folder or id>"
    )


def _keeps(params: Params) -> Keeps:
    """Return the check of the subject: exact where the prompts are the embedded world's."""
    return keeps_world_subject if params.steer.generator == EMBEDDED else shares_a_word
