"""From ``steer.generator`` in params.yaml to a generator."""

from __future__ import annotations

from typing import Final

from pamela.core.errors import PamelaError
from pamela.params import Params
from pamela.steer.generators.base import Generator
from pamela.steer.generators.embedded import EmbeddedGenerator

EMBEDDED: Final = "embedded"


def get_generator(params: Params) -> Generator:
    """Return the generator that ``steer.generator`` names.

    Raises
    ------
    PamelaError
        If no generator has that name.
    """
    name = params.steer.generator
    if name == EMBEDDED:
        return EmbeddedGenerator(params.synthetic.image_size, max(1, params.embed.workers))
    raise PamelaError(f"params.yaml: steer.generator: {name!r} is unknown; write {EMBEDDED!r}")
