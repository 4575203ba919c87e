"""The exception and the warning that a person is meant to read: what, where, what to do.

Packages that scoring does without are extras of the distribution; where one is missing, the line
says how to install it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

LONGEST: Final = 600  # characters of a message; what a file holds may be of any length
TAIL: Final = 200  # of which at the end, where the advice stands


class PamelaError(Exception):
    """A fault the user can mend.

    The message is one line naming what is wrong, where (file, row, key) and what to do. The CLI
    and the flows print it without a traceback and exit with status 1.
    """

    def __init__(self, message: str) -> None:
        # What is quoted from a file may hold line breaks, control characters, half a character.
        line = " ".join(message.splitlines())
        line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - TAIL]} ... {line[-TAIL:]}"
        super().__init__(line)


class PromptWarning(UserWarning):
    """A prompt of which an encoder does not read all; the features are those of what it reads."""


# package -> the extra of pyproject.toml that brings it
EXTRAS: Final = {
    "cv2": "pipeline",
    "dvc": "pipeline",
    "great_expectations": "pipeline",
    "jinja2": "pipeline",
    "lightning": "pipeline",
    "matplotlib": "pipeline",
    "mlflow": "pipeline",
    "pandas": "pipeline",
    "prefect": "pipeline",
    "psutil": "pipeline",
    "sklearn": "pipeline",
    "fastapi": "serve",
    "fastapi_offline": "serve",
    "python_multipart": "serve",
    "uvicorn": "serve",
    "transformers": "transformers",
}


def missing_package(package: str, what: str) -> PamelaError:
    """Return the error that says how to install a package that `what` needs.

    Parameters
    ----------
    package : its import name, one of `EXTRAS`.
    what : the thing that cannot be done without it, the start of a sentence.
    """
    extra = EXTRAS[package]
    return PamelaError(
        f"{what} needs the package {package}, which is not installed: pip install "
        f"'pamela[{extra}]' (in a clone: pip install -c constraints.txt -e '.[{extra}]')"
    )


def require(package: str, what: str) -> None:
    """Raise `missing_package` unless `package` is installed; it is not imported."""
    if find_spec(package) is None:
        raise missing_package(package, what)
