"""A dataset repository on the Hugging Face hub, fetched through its client and its cache.

``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``. What the cache holds is not fetched again, and
with ``HF_HUB_OFFLINE=1`` the cache is all there is. ``HF_ENDPOINT`` names another hub.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pamela.core.errors import PamelaError
from pamela.data.image_files import SUFFIXES

SCHEME: Final = "hf://"
ADDRESS: Final = re.compile(
    r"hf://(?:datasets/)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?/?"
)
# A card and its pictures' thumbnails are no part of a release.
WANTED: Final = ("*.zip", "*.json", *(f"*{suffix}" for suffix in SUFFIXES))


@dataclass(frozen=True)
class Address:
    """A dataset repository and, where given, its branch, tag or commit."""

    repo: str
    revision: str | None

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def parse(text: str) -> Address:
    """Return the address that `text` writes.

    Raises
    ------
    PamelaError
        If it is not ``hf://OWNER/NAME[@REVISION]``.
    """
    match = ADDRESS.fullmatch(text)
    if match is None:
        raise PamelaError(f"{text}: not an address on the hub; give hf://OWNER/NAME[@REVISION]")
    return Address(match["repo"], match["revision"])


class Snapshot:
    """The files of one revision in the hub's cache, whose entries are links to their contents."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._contents = folder.resolve().parents[1]  # <cache>/datasets--OWNER--NAME
        self._files = {
            path.relative_to(folder).as_posix(): path
            for home, _, files in os.walk(folder)
            for path in (Path(home) / file for file in sorted(files))
        }

    def names(self) -> list[str]:
        """Return the files' paths inside the repository."""
        return sorted(self._files)

    def without(self, names: Iterable[str]) -> Snapshot:
        """Return the same snapshot less the files `names`."""
        other = Snapshot(self.path)
        for name in names:
            del other._files[name]
        return other

    def size(self, names: Iterable[str]) -> int:
        """Return the bytes of the files `names`."""
        return sum(self._files[name].stat().st_size for name in names)

    def extract(self, name: str, to: Path) -> None:
        """Copy the contents of file `name` to the file `to`."""
        content = self._files[name].resolve()
        if not content.is_relative_to(self._contents):
            raise PamelaError(f"{self._files[name]}: a link that leads out of the hub's cache")
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(content, to)
        except OSError as error:
            raise PamelaError(f"{content}: cannot be copied ({error.strerror})") from None


def fetch(address: Address) -> Path:
    """Return the cache's folder with the release's files of `address`, fetching what is missing.

    Raises
    ------
    PamelaError
        If the repository or revision does not exist, is not open to this user, or the hub cannot
        be reached and the cache does not hold it.
    """
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(
            snapshot_download(
                address.repo,
                repo_type="dataset",
                revision=address.revision,
                allow_patterns=list(WANTED),
            )
        )
    except errors.GatedRepoError:
        why = "its terms must be accepted first: do so on its page, then `hf auth login`"
    except errors.RevisionNotFoundError:
        why = "no such revision; give a branch, tag or commit of it"
    except errors.RepositoryNotFoundError:
        why = "no such dataset, or a private one: check the name, or `hf auth login`"
    except errors.LocalEntryNotFoundError:
        why = (
            "the hub cannot be reached and the cache does not hold it whole: check the network "
            "and HF_HUB_OFFLINE, or download its zip elsewhere and import that"
        )
    except Exception as error:  # the client, its HTTP library and the disk each raise their own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        why = f"cannot be fetched ({reason}); try again, or download its zip and import that"
    raise PamelaError(f"{address}: {why}")
