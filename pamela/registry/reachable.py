"""Whether a tracking server answers: asked first, as MLflow itself goes on trying for minutes.

One that has answered before may only be restarting: it is waited for.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from typing import Final
from urllib.parse import SplitResult, urlsplit

from pamela.core.errors import PamelaError, hidden, require

TIMEOUT_S: Final = 5.0
PATIENCE_S: Final = 20.0  # with a server that has answered this process before
POSTGRESQL: Final = ("postgresql", "postgresql+psycopg2")  # what psycopg2 is the driver of
DATABASE_PORTS: Final = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
TRACKING_URI: Final = "MLFLOW_TRACKING_URI"
NO_ADDRESS: Final = "this is no address; in a name or password write / as %2F, @ as %40, : as %3A"
_answered: set[str] = set()


def require_server(uri: str) -> None:
    """Raise if `uri` names a server and nothing answers there within seconds.

    Raises
    ------
    PamelaError
        Saying where the address was set, and why nothing answers.
    """
    until = time.monotonic() + (PATIENCE_S if uri in _answered else 0.0)
    while fault := _fault_at(uri):
        if time.monotonic() >= until:
            raise PamelaError(
                f"{said_by()}: no MLflow server answers at {shown(uri)} ({fault}); start it, or "
                f"{'unset the variable' if os.environ.get(TRACKING_URI) else 'correct the address'}"
            )
        time.sleep(0.5)
    _answered.add(uri)


def _fault_at(uri: str) -> str:
    """Return why no server answers; empty where one does, or `uri` names none."""
    try:
        address = urlsplit(uri)
        port = address.port or DATABASE_PORTS.get(address.scheme.partition("+")[0])
    except ValueError:
        return NO_ADDRESS
    if address.netloc.count("@") > 1:
        return NO_ADDRESS
    try:
        if address.scheme in ("http", "https"):
            _ask(shown(uri))
        elif address.scheme in POSTGRESQL:
            _log_in(uri)
        elif address.hostname and port:
            socket.create_connection((address.hostname, port), TIMEOUT_S).close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _why(error)
    return ""


def _log_in(uri: str) -> None:
    """Open a PostgreSQL database once: where it refuses, MLflow would try for minutes."""
    require("psycopg2", f"{said_by()}: PostgreSQL")
    require("sqlalchemy", f"{said_by()}: PostgreSQL")
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        settings = {"connect_timeout": round(TIMEOUT_S)}
        create_engine(uri, poolclass=NullPool, connect_args=settings).connect().close()
    except SQLAlchemyError as error:
        said = str(getattr(error, "orig", error)).strip().splitlines()
        raise OSError(hidden((said or [type(error).__name__])[0])) from None


def is_database(uri: str) -> bool:
    """Tell whether `uri` names a database on a server, with no tracking server before it."""
    return uri.partition(":")[0].partition("+")[0] in DATABASE_PORTS


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
