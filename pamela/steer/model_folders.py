"""Folders of published models: a local one, or the snapshot of a repository on Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from huggingface_hub.utils import HFValidationError, validate_repo_id

from pamela.core.errors import PamelaError
from pamela.core.files import folder_sha256


def model_folder(key: str, name: str, download: Callable[[str], str]) -> Path:
    """Return the folder of the model `name`: a folder, or the id of a repository.

    Parameters
    ----------
    key : of params.yaml, for messages.
    download : brings a repository here once (``HF_HOME``) and returns the folder of its snapshot.

    Raises
    ------
    PamelaError
        If there is neither such a folder nor such a repository.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve()
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise PamelaError(f"params.yaml: {key}: {name!r}: no such folder") from None
    try:
        return Path(download(name))
    except Exception as error:  # of the hub, of the network, of the disk: a dozen kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PamelaError(
            f"params.yaml: {key}: {name!r} is no folder here, and no model that can be downloaded "
            f"from Hugging Face ({reason}); a gated one needs HF_TOKEN in the environment"
        ) from None


def identity(name: str, folder: Path) -> str:
    """Return what identifies a model: a repository's commit, or the content of a folder."""
    if folder.parent.name == "snapshots":
        return f"{name}@{folder.name}"
    return folder_sha256(folder)[:16]


def first_line(error: Exception) -> str:
    """Return a library's own words, for a message."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
