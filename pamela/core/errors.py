"""The exception and the warning that a person is meant to read: what, where, what to do.

Names and passwords inside addresses are found and hidden here, in one place: every message goes
through `hidden`, and what else prints or records an address calls it too. Files that are shared
(``params.yaml``, ``.dvc/config``: both in git) may hold none.

Packages that scoring does without are extras of the distribution; where one is missing, the line
says how to install it.
"""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final

LONGEST: Final = 600  # characters of a message; what a file holds may be of any length
TAIL: Final = 200  # of which at the end, where the advice stands
HIDDEN: Final = "***"
WEB: Final = "https?"  # a name alone is a token there: https://TOKEN@host
# A password may hold an unescaped @ (all up to the last one is meant) or a slash; in
# ``host:5000/path@v1`` the number is a port. The lengths bound the work on text of any kind.
NAME_AND_PASSWORD: Final = re.compile(
    r"(?P<before>\b[a-z][a-z0-9+.-]{0,30}:/{1,2})"  # a path has lost one of its slashes
    r"(?P<secret>[^\s/@:\[\"]{0,300}:(?!\d+(?:[/?#]|$))[^\s\"]{0,300})@",
    re.I,
)
NAME_ALONE: Final = re.compile(
    rf"(?P<before>\b{WEB}:/{{1,2}})(?P<secret>[^\s/?#\"]{{1,600}})@", re.I
)
WORDS: Final = (
    r"(?:pass(?:word|wd|phrase)?|pwd?|secret|token|sig(?:nature)?|credentials?|auth|jwt|bearer"
    r"|(?:api|account|access|private|secret|secret_?access|shared_?access)[_-]?key"
    r"|(?:client|shared)_?secret|(?:access|refresh|id|auth|sas|session)_?token)"
)
PREFIX: Final = r"(?:[a-z0-9]{1,30}[_.-]){0,5}"  # as in ``x-amz-signature``, ``private_token``
# ``?token=...``, ``;AccountKey=...``, ``#access_token=...``; by itself in a driver's words:
# ``host=h password=...``
ARGUMENT: Final = re.compile(
    rf"(?P<before>(?:[?&;#]|(?<![\w.-])){PREFIX}{WORDS}=|[?&;#]key=)(?P<secret>[^\s&;#'\"]+)", re.I
)
PATTERNS: Final = (NAME_AND_PASSWORD, NAME_ALONE, ARGUMENT)


class PamelaError(Exception):
    """A fault the user can mend.

    The message is one line naming what is wrong, where (file, row, key) and what to do. The CLI
    and the flows print it without a traceback and exit with status 1.
    """

    def __init__(self, message: str) -> None:
        line = hidden(one_line(message))  # before it is cut: half a password is one, too
        if len(line) > LONGEST:
            line = f"{line[: LONGEST - TAIL]} ... {line[-TAIL:]}"
        super().__init__(line)


class DiskFullError(PamelaError):
    """No room to write; whoever makes some can go on, and nothing else is wrong."""


def one_line(text: str) -> str:
    """Return `text` on one line, nothing of which commands a terminal.

    What is quoted from a file may hold line breaks, control characters, half a character.
    """
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def hidden(text: str) -> str:
    """Return `text` with the secret parts of its addresses replaced by ``***``."""
    for pattern in PATTERNS[:2]:
        text = pattern.sub(rf"\g<before>{HIDDEN}@", text)
    return ARGUMENT.sub(rf"\g<before>{HIDDEN}", text)


def hide_in_tracebacks() -> None:
    """Hide credentials in what nobody catches, too: libraries name the address that failed."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(hidden("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show


def show_warnings_as_lines() -> None:
    """Print every warning as one line on stderr, without the place in the code."""
    warnings.showwarning = _show


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {hidden(one_line(str(message)))}", file=sys.stderr)


def holds_secret(text: str) -> bool:
    """Tell whether an address in `text` holds a name with a password, or a token."""
    found = (match for pattern in PATTERNS for match in pattern.finditer(text))
    return any(match["secret"] != HIDDEN for match in found)


def secret_keys(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the keys (``tracking.uri``) of a nested mapping whose text holds a secret."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secret_keys(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from secret_keys(inner, prefix)
    elif isinstance(value, str) and holds_secret(value):
        yield prefix


class PromptWarning(UserWarning):
    """A prompt of which an encoder does not read all; the features are those of what it reads."""


# package -> the extra of pyproject.toml that brings it
EXTRAS: Final = {
    "cv2": "pipeline",
    "distributed": "dask",
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
    "ray": "ray",
    "uvicorn": "serve",
    "boto3": "scale",
    "dvc_s3": "scale",
    "psycopg2": "scale",
    "sqlalchemy": "pipeline",
    "accelerate": "steer",
    "diffusers": "steer",
    "openai": "steer",
    "nicegui": "study",
    "transformers": "transformers",
}


def missing_package(package: str, what: str, extra: str | None = None) -> PamelaError:
    """Return the error that says how to install a package that `what` needs.

    Parameters
    ----------
    package : its import name, one of `EXTRAS`.
    what : the thing that cannot be done without it, the start of a sentence.
    extra : the one to name, where several bring the package; by default that of `EXTRAS`.
    """
    extra = extra or EXTRAS[package]
    return PamelaError(
        f"{what} needs the package {package}, which is not installed: pip install "
        f"'pamela[{extra}]' (in a clone: pip install -c constraints.txt -e '.[{extra}]')"
    )


def require(package: str, what: str, extra: str | None = None) -> None:
    """Raise `missing_package` unless `package` is installed; it is not imported."""
    if find_spec(package) is None:
        raise missing_package(package, what, extra)
