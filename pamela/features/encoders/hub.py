"""The Hugging Face hub: whether it answers, its cache alone where it does not, its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
from huggingface_hub.utils import get_session

HUB_TIMEOUT_S = 5.0


def hub_answers() -> bool:
    """Tell whether the hub can be reached; ``HF_HUB_OFFLINE`` says no."""
    constants = huggingface_hub.constants
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
    except Exception:  # which HTTP client the hub's library uses changes with its version
        return False
    return True


@contextmanager
def hub_offline(offline: bool) -> Iterator[None]:
    """Use the hub's local cache alone: where the hub does not answer, retries take a minute."""
    constants = huggingface_hub.constants
    previous = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = previous or offline
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = previous


def hub_file(repository: str, file: str) -> Path:
    """Return the path of a repository's file, fetched if it is not in the cache."""
    return Path(huggingface_hub.hf_hub_download(repository, file))
