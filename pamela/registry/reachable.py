"""Whether a tracking server answers: asked first, as MLflow itself goes on trying for minutes."""

from __future__ import annotations

import http.client
import os
import socket
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pamela.core.errors import PamelaError

TIMEOUT_S: Final = 5.0
DATABASE_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"


def require_server(uri: str) -> None:
    """Raise if `uri` names a server and nothing answers there within seconds.

    Raises
    ------
    PamelaError
        Saying where the address was set, and why nothing answers.
    """
    try:
        address = urlsplit(uri)
        port = address.port or DATABASE_PORTS.get(address.scheme.partition("+")[0])
        if address.scheme in ("http", "https"):
            _ask(shown(uri))
        elif address.hostname and port:
            socket.create_connection((address.hostname, port), TIMEOUT_S).close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise PamelaError(
            f"{said_by()}: no MLflow server answers at {shown(uri)} ({_why(error)}); start it, or "
            f"{'unset the variable' if os.environ.get(TRACKING_URI) else 'correct the address'}"
        ) from None


def said_by() -> str:
    """Return where the tracking address comes from, for messages."""
    return TRACKING_URI if os.environ.get(TRACKING_URI) else "params.yaml: tracking.uri"


def shown(uri: str) -> str:
    """Return an address without the name and password that it may hold."""
    try:
        address = urlsplit(uri)
    except ValueError:
        return "this address"
    if not address.netloc:
        return uri
    host = address.netloc.rpartition("@")[2]
    return SplitResult(address.scheme, host, address.path, "", "").geturl()


def _ask(address: str) -> None:
    """Wait for any answer to ``GET /health``; one that asks for a password is one, too."""
    try:
        # an address of the web: `require_server` has looked
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=TIMEOUT_S):  # noqa: S310
            pass
    except urllib.error.HTTPError:
        pass


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
