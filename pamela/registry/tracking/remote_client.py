"""A client of a shared registry that says in one line what went wrong, and where.

Databases, tracking servers and stores of files fail in ways of their own, in pages of text. What a
call had done stays; everything that uses the client can be done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, cast

from pamela.core.errors import EXTRAS, PamelaError, hidden, missing_package

if TYPE_CHECKING:
    from mlflow import MlflowClient

OF_FILES: Final = ("log_artifact", "log_table", "list_artifacts")  # what such calls begin with
# The libraries between us and a server; what else is raised is a fault of ours.
LIBRARIES: Final = frozenset(
    ("mlflow", "sqlalchemy", "psycopg2", "requests", "urllib3", "boto3", "botocore", "s3transfer")
)
LONGEST: Final = 300  # characters of a reason
AGAIN: Final = "what was done stays: run the command again, it goes on from there"


def telling(client: MlflowClient, uri: str) -> MlflowClient:
    """Return `client`; what a server makes of a call becomes a `PamelaError`.

    Parameters
    ----------
    uri : of the registry, without name and password.
    """
    return cast("MlflowClient", _Telling(client, uri))


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn what a server, or a missing driver of one, raises into one line that names `place`.

    Raises
    ------
    PamelaError
        Saying what the server said.
    """
    try:
        yield
    except ImportError as error:
        if error.name in EXTRAS:
            raise missing_package(error.name, place) from None
        raise
    except Exception as error:
        if not is_of_a_server(error):
            raise
        raise PamelaError(f"{place}: {reason_of(error)}; {AGAIN}") from None


def is_of_a_server(error: Exception) -> bool:
    """Tell whether an error is one of the libraries that talk to servers."""
    return any(kind.__module__.partition(".")[0] in LIBRARIES for kind in type(error).__mro__)


def reason_of(error: Exception) -> str:
    """Return the first line of what went wrong, without credentials."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return hidden(said[0])[:LONGEST]


class _Telling:
    def __init__(self, client: MlflowClient, uri: str) -> None:
        self._client, self._uri = client, uri

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found
        place = f"the files of {self._uri}" if name.startswith(OF_FILES) else self._uri

        @wraps(found)
        def call(*args: Any, **settings: Any) -> Any:
            with told(place):
                return found(*args, **settings)

        return call
