"""A client of the project's own MLflow database that says of a full disk in a line where it is."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pamela.core.files import writing_to

if TYPE_CHECKING:
    from mlflow import MlflowClient

OF_FILES: Final = ("log_artifact", "log_table")  # what such calls are named after


def saying_where(client: MlflowClient, database: Path, artifacts: Path) -> MlflowClient:
    """Return `client`; what a full disk makes of a call becomes a `DiskFullError`.

    MLflow and SQLAlchemy wrap it in errors of their own, in pages of text without a path.

    Parameters
    ----------
    database, artifacts : what the client writes to.
    """
    return cast("MlflowClient", _SayingWhere(client, database.parent, artifacts))


class _SayingWhere:
    def __init__(self, client: MlflowClient, database: Path, artifacts: Path) -> None:
        self._client, self._database, self._artifacts = client, database, artifacts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found
        folder = self._artifacts if name.startswith(OF_FILES) else self._database

        @wraps(found)
        def call(*args: Any, **settings: Any) -> Any:
            with writing_to(folder):
                return found(*args, **settings)

        return call
