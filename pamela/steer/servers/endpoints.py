"""Addresses of servers that speak the OpenAI protocol, as params.yaml names them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pamela.core.errors import PamelaError, holds_secret


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model behind one server.

    Attributes
    ----------
    key : the key of params.yaml that names it, for messages.
    url : base URL, such as http://127.0.0.1:8000/v1.
    model : the server's name of the model; empty where the server has one alone.
    """

    key: str
    url: str
    model: str

    def __str__(self) -> str:
        return f"{self.url}#{self.model}" if self.model else self.url


def read_endpoint(key: str, text: str, *, needs_model: bool) -> Endpoint:
    """Read ``<base url>#<model>``.

    Raises
    ------
    PamelaError
        If that is no address of a server, holds a password or token, or lacks the model.
    """
    url, _, model = text.partition("#")
    if holds_secret(text):
        raise PamelaError(
            f"params.yaml: {key}: the address holds a name and password or a token: write it "
            "without them and set OPENAI_API_KEY in the environment"
        )
    if not _is_server(url):
        raise PamelaError(
            f"params.yaml: {key}: {url!r} is no base URL; write one such as http://127.0.0.1:8000/v1"
        )
    if needs_model and not model:
        raise PamelaError(f"params.yaml: {key}: name the server's model, as in {url}#llama3.1")
    return Endpoint(key, url.rstrip("/"), model)


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    web = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    return web and has_port and not parts.query and not any(c.isspace() for c in url)
