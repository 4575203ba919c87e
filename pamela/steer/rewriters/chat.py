"""The rewriter `chat:<base url>#<model>`: vLLM, Ollama, ``transformers serve`` and others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, Self

import openai

from pamela.params import LanguageModelParams
from pamela.steer.rewriters.base import RewriteRequest
from pamela.steer.rewriters.dialogue import Dialogue, Question
from pamela.steer.rewriters.protocol import SCHEMA, Keeps
from pamela.steer.servers.endpoints import Endpoint
from pamela.steer.servers.openai_server import MalformedError, OpenAIServer, read_json

_STRUCTURED: Final = {
    "type": "json_schema",
    "json_schema": {"name": "prompts", "strict": True, "schema": SCHEMA},
}
_REFUSED: Final = (400, 404, 415, 422, 501)  # how servers say that they know no such field


class ChatRewriter:
    """Asks a server for structured output; a server without it is asked for plain text.

    Either is checked alike. A context manager, which closes the connections.
    """

    def __init__(self, endpoint: Endpoint, settings: LanguageModelParams, keeps: Keeps) -> None:
        self.endpoint, self.settings = endpoint, settings
        self._dialogue = Dialogue(str(endpoint), settings, keeps)
        self._structured = True
        self._server: OpenAIServer | None = None

    @property
    def fingerprint(self) -> str:
        """The server, its model and how it is asked."""
        asked = self.settings
        return (
            f"chat:{self.endpoint}:{asked.temperature}:{asked.top_p}:{asked.max_tokens}:"
            f"{asked.context_trials}:{asked.variants_per_answer}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._dialogue.report()

    def rewrite(self, requests: Sequence[RewriteRequest]) -> list[list[str]]:
        """Return the variants of each request; equal ones where the server keeps its seeds."""
        return self._dialogue.rewrite(requests, self._ask)

    def _ask(self, questions: Sequence[Question]) -> list[str]:
        if self._server is None:
            asked = self.settings
            self._server = OpenAIServer(
                self.endpoint,
                "steer.language_model",
                timeout_s=asked.timeout_s,
                attempts=asked.attempts,
                threads=asked.concurrent_requests,
            )
        return self._server.map(self._answer, questions)

    def _answer(self, client: openai.OpenAI, question: Question) -> str:
        if self._structured:
            try:
                return self._create(client, question, response_format=_STRUCTURED)
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSED:
                    raise
            text = self._create(client, question)  # where this fails too, it was something else
            if self._structured:
                self._structured = False
                print(
                    f"steer: {self.endpoint}: has no structured output (response_format): its "
                    "answers are read as text and checked",
                    file=sys.stderr,
                )
            return text
        return self._create(client, question)

    def _create(self, client: openai.OpenAI, question: Question, **more: Any) -> str:
        answer = client.chat.completions.with_raw_response.create(
            model=self.endpoint.model,
            messages=question.messages,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            max_tokens=self.settings.max_tokens,
            seed=question.seed,
            **more,
        )
        return _content(read_json(answer.text))


def _content(body: dict[str, Any]) -> str:
    """Return the text of the first choice; empty where the model said none."""
    try:
        text = body["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise MalformedError("an answer without choices[0].message.content") from None
    if not isinstance(text, str | None):
        raise MalformedError("an answer whose content is no text")
    return text or ""
