"""Tests of an extra of the distribution: run where its packages are, and said where they are not.

``make extras`` installs them, `.ci/run` does so first; `make test` ends with what it skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Final

import pytest

# extra of pyproject.toml -> the import names of what it brings
PACKAGES: Final = {
    "dask": ("distributed",),
    "ray": ("ray",),
    "recommenders": ("surprise",),
    "scale": ("boto3", "dvc_s3", "psycopg2"),
    "scale-tests": ("moto",),
    "steer": ("accelerate", "diffusers", "openai", "transformers"),
    "study": ("nicegui",),
    "transformers": ("transformers",),
}
REASON: Final = "needs the extra"


def absent(extra: str) -> bool:
    """Tell whether a package of `extra` is not installed."""
    return any(find_spec(package) is None for package in PACKAGES[extra])


def needs(extra: str) -> pytest.MarkDecorator:
    """Return the mark of tests that are skipped where `extra` is not installed."""
    return pytest.mark.skipif(absent(extra), reason=f"{REASON} `{extra}`")


def summary(reasons: Iterable[str]) -> list[str]:
    """Return the lines that say which tests were skipped for want of an extra."""
    found = [reason for reason in reasons if REASON in reason]
    counts = {extra: sum(f"`{extra}`" in reason for reason in found) for extra in PACKAGES}
    lines = [f"skipped: {n} tests of the extra `{extra}`" for extra, n in counts.items() if n]
    return [*lines, "`make extras` installs the extras"] if lines else []
