"""Params as text under flat names, as MLflow takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pamela.evaluation.results import Results

UNFIT: Final = re.compile(r"[^\w\-. :/]", re.ASCII)  # what MLflow takes in no name


def flat_params(results: Results, sections: tuple[str, ...]) -> dict[str, str]:
    """Return ``{section.key: value}`` of the params as text."""
    dumped = results.params.model_dump(by_alias=True, mode="json")
    return {k: v for name in sections for k, v in _flatten(name, dumped[name])}


def flat(prefix: str, value: Mapping[str, Any]) -> dict[str, str]:
    """Return ``{prefix.key: value}`` as text, under names that MLflow takes."""
    return {UNFIT.sub("_", key): text for key, text in _flatten(prefix, value)}


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(f"{prefix}.{key}", inner)
    elif isinstance(value, list):
        yield prefix, ", ".join(str(v) for v in value)
    else:
        yield prefix, str(value)
