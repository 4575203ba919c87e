"""The environment of the project's own commands; light, so that it may come before Prefect."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from pamela.core.errors import PamelaError, holds_secret, require
from pamela.core.paths import Project

try:
    for _package in ("dvc", "prefect"):
        require(_package, "the pipeline")
except PamelaError as error:  # on import: what follows imports them
    sys.exit(f"error: {error}")

API_URL = "PREFECT_API_URL"
TRIES = 3  # a busy server may miss one
# Prefect, Great Expectations, MLflow and DVC read these when they are imported.
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Run logs go to the server's page; on the terminal the stages speak for themselves.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a page of text where a server went away
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # bare stages on a busy machine
    "GX_ANALYTICS_ENABLED": "false",
    # Threads that wait must not spin: beside another job that made training five times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
}
# Options of a DVC remote that are secrets themselves; ``ask_password = true`` is none.
SECRET_OPTION = re.compile(
    r"(?!ask_)\w*(?:password|passphrase|secret|token|account_key|customer_key|connection_string)\w*$",
    re.I,
)


def refuse_shared_secrets(project: Project) -> None:
    """Raise `PamelaError` if ``.dvc/config``, which is in git, holds a remote's credentials."""
    path = project.root / ".dvc" / "config"
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        key, _, value = (part.strip() for part in line.partition("="))
        if value and (SECRET_OPTION.match(key) or holds_secret(value)):
            raise PamelaError(
                f".dvc/config:{number + 1}: {key} holds credentials, and this file is in git: "
                "take the line out and use `dvc remote modify --local NAME OPTION VALUE`, which "
                "writes .dvc/config.local, or the environment"
            )


def environment(project: Project, **more: str) -> dict[str, str]:
    """Return the environment of the project's own commands: its venv first, no telemetry."""
    bin_dir = str(Path(sys.executable).parent)
    return {
        **QUIET,
        "PREFECT_HOME": str(project.prefect_home),
        **os.environ,
        "PATH": bin_dir + os.pathsep + os.environ.get("PATH", ""),
        **more,
    }


def require_given_server() -> None:
    """Raise if ``PREFECT_API_URL`` is set and no Prefect server answers there within seconds."""
    given = os.environ.get(API_URL)
    if not given:
        return
    url = _without_password(given)
    import http.client
    import urllib.error
    import urllib.request

    why = ""
    for _ in range(TRIES):
        try:
            if not url.startswith(("http://", "https://")):  # urllib reads files, too
                raise ValueError("no http or https address")
            with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=2) as reply:  # noqa: S310
                if reply.headers.get_content_type() == "application/json":
                    return
                why = "a page, and not the API: its address ends in /api"
        except urllib.error.HTTPError as error:
            if error.code != 404:
                return  # an answer, though it wants to know who asks
            why = "no API there: its address ends in /api"
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = str(getattr(error, "reason", error))
    raise PamelaError(
        f"{API_URL}: no Prefect server answers at {url} ({why}); start it, or "
        "unset the variable: then each command starts a server of its own"
    )


def _without_password(url: str) -> str:
    scheme, slashes, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"
