"""From ``steer.generator`` in params.yaml to a generator."""

from __future__ import annotations

from typing import Final

from pamela.core.errors import PamelaError, require
from pamela.params import Params
from pamela.steer.generators.base import Generator
from pamela.steer.generators.embedded import EmbeddedGenerator
from pamela.steer.servers.endpoints import read_endpoint

KEY: Final = "steer.generator"
EMBEDDED: Final = "embedded"
DIFFUSERS: Final = "diffusers"
OPENAI: Final = "openai"


def get_generator(params: Params) -> Generator:
    """Return the generator that ``steer.generator`` names.

    Raises
    ------
    PamelaError
        If no generator has that name, its address is none, or its extra is not installed.
    """
    name = params.steer.generator
    if name == EMBEDDED:
        return EmbeddedGenerator(params.synthetic.image_size, max(1, params.embed.workers))
    kind, _, rest = name.partition(":")
    if kind == DIFFUSERS and rest:
        require("diffusers", f"{KEY}: {name}")
        from pamela.steer.generators.diffusers_pipeline import DiffusersGenerator

        return DiffusersGenerator(rest, params.steer.diffusers)
    if kind == OPENAI and rest:
        endpoint = read_endpoint(KEY, rest, needs_model=False)
        require("openai", f"{KEY}: {name}")
        from pamela.steer.generators.image_server import ImageServerGenerator

        return ImageServerGenerator(endpoint, params.steer.image_server)
    raise PamelaError(
        f"params.yaml: {KEY}: {name!r} is unknown; write {EMBEDDED}, {DIFFUSERS}:<id or folder> or "
        f"{OPENAI}:<base url>[#<model>]"
    )
