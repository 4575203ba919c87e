"""The bundle's pictures, found by their content or by their id."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from pamela.core import schema as s
from pamela.core.dataset import Items
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256
from pamela.serving.arguments.unknown import missing_file, unknown_image
from pamela.serving.types import NEW, CatalogImage, ImageLike, Recorded, ResolvedImage, names_of


class ImageCatalog:
    """Known pictures by content and id.

    Attributes
    ----------
    items : their features and metadata.
    prompts : all their prompts.
    """

    def __init__(self, items: Items) -> None:
        self.items, frame = items, items.frame
        self._prompts: list[str | None] = frame[s.PROMPT].to_list()
        self.prompts = frozenset(p for p in self._prompts if p is not None)
        self._sha256: list[str | None] = frame[s.SHA256].to_list()
        self._by_content = {sha: row for row, sha in enumerate(self._sha256) if sha}
        names = zip(frame[s.DATASET].to_list(), frame[s.IMAGE].to_list(), strict=True)
        self._by_id = {name: row for row, name in enumerate(names)}

    def find(
        self, images: Sequence[ImageLike], names: Sequence[str] | None = None
    ) -> list[ResolvedImage]:
        """Look up `images` in the catalog.

        Parameters
        ----------
        names : what a message calls each of them; by default its position and path.

        Raises
        ------
        PamelaError
            Naming a picture whose file cannot be read, or whose id is unknown.
        """
        names = names or names_of(images)
        return [self._find(image, name) for image, name in zip(images, names, strict=True)]

    def _find(self, image: ImageLike, name: str) -> ResolvedImage:
        if isinstance(image, ResolvedImage):
            return image
        if isinstance(image, CatalogImage):
            row = self._by_id.get((image.dataset, image.image_id), NEW)
            if row == NEW:
                ids = (key for dataset, key in self._by_id if dataset == image.dataset)
                raise PamelaError(f"{name}: {unknown_image(image.image_id, image.dataset, ids)}")
            return ResolvedImage(row, self._sha256[row], None)
        if isinstance(image, Recorded):
            return self._find_recorded(image)
        if isinstance(image, bytes):
            return self._find_content(hashlib.sha256(image).hexdigest(), image)
        if isinstance(image, str | Path):
            # the path goes on, not the content: thousands of them would fill the memory
            path = Path(image)
            return self._find_content(content_hash(path, name), path)
        return ResolvedImage(NEW, None, image)

    def _find_content(self, sha256: str, picture: bytes | Path) -> ResolvedImage:
        return ResolvedImage(self._by_content.get(sha256, NEW), sha256, picture)

    def _find_recorded(self, image: Recorded) -> ResolvedImage:
        """Its content first; its id where either side knows no content."""
        row = self._by_content.get(image.sha256 or "", NEW)
        if row == NEW and image.image_id is not None:
            same_id = self._by_id.get((image.dataset, image.image_id), NEW)
            if same_id != NEW and None in (image.sha256, self._sha256[same_id]):
                row = same_id
        return ResolvedImage(row, image.sha256, image)

    def image_id(self, resolved: ResolvedImage, dataset: str) -> str | None:
        """Return the id of a known picture, if it is one of `dataset`'s."""
        if resolved.row == NEW or self.items.frame[s.DATASET][resolved.row] != dataset:
            return None
        return str(self.items.frame[s.IMAGE][resolved.row])

    def file(self, resolved: ResolvedImage) -> str | None:
        """Return where a known picture lies, relative to the project root, if that is recorded."""
        frame = self.items.frame
        if resolved.row == NEW or s.FILE not in frame.columns:
            return None
        found: str | None = frame[s.FILE][resolved.row]
        return found

    def file_of(self, dataset: str, image_id: str | None) -> str | None:
        """Return where the picture of an id lies, as `file` does."""
        row = self._by_id.get((dataset, image_id or ""), NEW)
        return self.file(ResolvedImage(row, None, None))

    def prompts_of(self, rows: Iterable[int]) -> list[str | None]:
        """Return the prompts of known pictures; none of new ones."""
        return [self._prompts[row] if row != NEW else None for row in rows]

    def first_rows(self, rows: Iterable[int]) -> list[int]:
        """Return rows with the one that stands for its content in place of each."""
        return [row if row == NEW else self._by_content.get(self._sha256[row] or "", row)
                for row in rows]  # fmt: skip


def content_hash(path: Path, name: str) -> str:
    """Return the hash of a file's content; what is no regular file is not waited for."""
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise PamelaError(f"{name}: not a regular file; give the file of a picture")
        return file_sha256(path)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if isinstance(error, FileNotFoundError):
            why = missing_file(str(path), why)
        raise PamelaError(f"{name}: {why}") from None
