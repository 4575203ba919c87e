"""The generator `openai:<base url>[#<model>]`: a server with the OpenAI images endpoint."""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import openai

from pamela.core.errors import PamelaError
from pamela.core.images import open_rgb
from pamela.params import ImageServerParams
from pamela.steer.generators.base import Image
from pamela.steer.servers.endpoints import Endpoint
from pamela.steer.servers.openai_server import MalformedError, OpenAIServer, read_json

SECTION: Final = "steer.image_server"
_REFUSED: Final = (400, 404, 415, 422, 501)  # how servers say that they know no such field
# What is asked for, tried in this order where a server refuses: the seed is no part of the
# protocol, and the newest models of OpenAI send base64 without being asked.
_FORMS: Final = (("seed", "response_format"), ("response_format",), ())


class ImageServerGenerator:
    """Asks for one picture a request. A context manager, which closes the connections.

    Where the server takes no seed, equal requests give unequal pictures; that is said once.
    """

    def __init__(self, endpoint: Endpoint, settings: ImageServerParams) -> None:
        self.endpoint, self.settings = endpoint, settings
        self._form = 0  # of `_FORMS`
        self._server: OpenAIServer | None = None

    @property
    def fingerprint(self) -> str:
        """The server, its model and the size."""
        return f"openai:{self.endpoint}:{self.settings.width}x{self.settings.height}"

    @property
    def at_once(self) -> int:
        """Pictures that are asked for, and kept, together."""
        return self.settings.concurrent_requests

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Image]:
        """Draw one picture per prompt and seed, several requests at once."""
        if self._server is None:
            asked = self.settings
            self._server = OpenAIServer(
                self.endpoint,
                SECTION,
                timeout_s=asked.timeout_s,
                attempts=asked.attempts,
                threads=asked.concurrent_requests,
            )
        return self._server.map(self._draw, list(zip(prompts, seeds, strict=True)), _named)

    def _draw(self, client: openai.OpenAI, asked: tuple[str, int]) -> Image:
        first = self._form
        for form in range(first, len(_FORMS)):
            try:
                image = self._create(client, *asked, _FORMS[form])
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSED or form == len(_FORMS) - 1:
                    raise
                continue
            if form > self._form:
                self._form = form
                self._say_form()
            return image
        raise AssertionError("the last form returns or raises")

    def _say_form(self) -> None:
        print(
            f"steer: {self.endpoint}: takes no seed: its pictures are not repeatable; those that "
            "are drawn are kept",
            file=sys.stderr,
        )

    def _create(
        self, client: openai.OpenAI, prompt: str, seed: int, fields: Sequence[str]
    ) -> Image:
        words: dict[str, Any] = {}
        if self.endpoint.model:
            words["model"] = self.endpoint.model
        if "response_format" in fields:
            words["response_format"] = "b64_json"
        if "seed" in fields:
            words["extra_body"] = {"seed": seed}
        answer = client.images.with_raw_response.generate(
            prompt=prompt, n=1, size=f"{self.settings.width}x{self.settings.height}", **words
        )
        return self._read(read_json(answer.text))

    def _read(self, body: dict[str, Any]) -> Image:
        """Return the first picture of an answer."""
        try:
            first = body["data"][0]
            coded = first.get("b64_json")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise MalformedError("an answer without data[0].b64_json") from None
        if not isinstance(coded, str) or not coded:
            what = "an address instead of a picture" if first.get("url") else "no picture"
            raise MalformedError(f"{what} (data[0].b64_json is wanted)")
        try:
            image = open_rgb(base64.b64decode(coded, validate=True), "its picture")
        except (binascii.Error, PamelaError) as error:
            raise MalformedError(f"no picture in data[0].b64_json ({error})") from None
        if image.size != (self.settings.width, self.settings.height):
            raise PamelaError(
                f"params.yaml: {SECTION}: {self.endpoint} draws {image.width} x {image.height}, "
                f"not the {self.settings.width} x {self.settings.height} asked for: write a size "
                "that it has"
            )
        return np.asarray(image)


def _named(asked: tuple[str, int]) -> str:
    return f" to draw {asked[0][:80]!r}"
