"""The PAMELA release out of a zip file or the hub's cache, straight into a dataset's folder.

The annotations come first and are read by the very reader that ingest uses; only the pictures that
they name follow, each written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.progress import progress
from pamela.data.formats import pamela_release
from pamela.data.formats.base import Tables
from pamela.data.importing import hub
from pamela.data.importing.archive import Archive, require_space

HOME: Final = "PAMELA"
ZIP: Final = ".zip"
ANNOTATIONS: Final = tuple(f"annotations/pamela_{split}.json" for split in pamela_release.SPLITS)
TRIES: Final = 100  # named pictures looked for in a store before it is taken to hold none


class Store(Protocol):
    """Where the release lies: a zip file or a folder of the hub's cache."""

    path: Path

    def names(self) -> list[str]:
        """Return the names of the files in it."""

    def size(self, names: Iterable[str]) -> int:
        """Return the bytes of `names` when unpacked."""

    def extract(self, name: str, to: Path) -> None:
        """Write file `name` to `to`."""


@dataclass(frozen=True)
class Brought:
    """What came in: the tables (below the folder), and how many files nothing names."""

    tables: Tables
    left_out: int


@contextmanager
def open_stores(src: str) -> Iterator[list[Store]]:
    """Open what `src` names: a zip file, or the hub's cached files and the zip files among them."""
    with ExitStack() as stack:
        if not src.startswith(hub.SCHEME):
            path = Path(src)
            if path.is_dir():
                raise PamelaError(f"{src}: a folder called .zip; rename it and import it again")
            yield [stack.enter_context(Archive(path))]
            return
        snapshot = hub.Snapshot(hub.fetch(hub.parse(src)))
        zips = [name for name in snapshot.names() if name.lower().endswith(ZIP)]
        archives = [stack.enter_context(Archive(snapshot.path / name)) for name in zips]
        yield [snapshot.without(zips), *archives]


def bring_release(stores: Sequence[Store], label: str, name: str, folder: Path) -> Brought:
    """Write the release in `stores` to ``folder/PAMELA`` and return it as dataset `name`.

    Parameters
    ----------
    stores : where its files lie; annotations and pictures may lie in different ones.
    label : what the release is called in messages.
    name : the dataset's name.
    folder : an empty folder.

    Raises
    ------
    PamelaError
        If the stores hold no release or several, on a structural fault of the annotations, or if
        no picture that they name is there.
    """
    names = {id(store): store.names() for store in stores}
    home, prefix = _find_annotations(stores, names, label)
    members = set(names[id(home)])
    notes = [path for path in ANNOTATIONS if prefix + path in members]
    for path in notes:
        home.extract(prefix + path, folder / HOME / path)
    try:
        tables = pamela_release.read(folder, name, folder)
    except PamelaError as error:
        raise PamelaError(f"{label}: {error}") from None
    files = tables.images.get_column(s.FILE).drop_nulls().unique().sort().to_list()
    wanted = [file.removeprefix(f"{HOME}/") for file in files]
    found = _find_pictures(stores, names, wanted, (home, prefix))
    if wanted and not found:
        raise PamelaError(
            f"{label}: none of the {len(wanted):,} pictures that the annotations name is in it, "
            f"first {wanted[0]}; is the download whole?"
        )
    _extract(found, folder)
    every = sum(len(of_store) for of_store in names.values())
    return Brought(tables, every - len(notes) - len(found))


def _find_annotations(
    stores: Sequence[Store], names: dict[int, list[str]], label: str
) -> tuple[Store, str]:
    train = ANNOTATIONS[0]
    homes = [(st, prefix) for st in stores for prefix in _prefixes(names[id(st)], train)]
    if not homes:
        raise PamelaError(f"{label}: no {HOME}/{train} in it; is this the PAMELA release?")
    if len(homes) > 1:
        both = " and ".join(f"{prefix}{train}" for _, prefix in homes[:2])
        raise PamelaError(f"{label}: two releases in it ({both}); keep one of them")
    return homes[0]


def _prefixes(names: Sequence[str], path: str) -> list[str]:
    """Return every prefix p with ``p + path`` in `names`."""
    return sorted(n.removesuffix(path) for n in names if n == path or n.endswith("/" + path))


def _find_pictures(
    stores: Sequence[Store],
    names: dict[int, list[str]],
    wanted: Sequence[str],
    home: tuple[Store, str],
) -> dict[str, tuple[Store, str]]:
    """Return {image_path: (store, member)} of the pictures that are there, the first store's."""
    found: dict[str, tuple[Store, str]] = {}
    for store in stores:
        of_store = names[id(store)]
        prefix = home[1] if store is home[0] else _picture_prefix(of_store, wanted)
        if prefix is None:
            continue
        members = set(of_store)
        for path in wanted:
            if prefix + path in members:
                found.setdefault(path, (store, prefix + path))
    return found


def _picture_prefix(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    for path in wanted[:TRIES]:
        prefixes = _prefixes(names, path)
        if len(prefixes) == 1:
            return prefixes[0]
    return None


def _extract(found: dict[str, tuple[Store, str]], folder: Path) -> None:
    by_store: dict[int, tuple[Store, list[str]]] = {}
    for store, member in found.values():
        by_store.setdefault(id(store), (store, []))[1].append(member)
    require_space(sum(store.size(members) for store, members in by_store.values()), folder)
    with progress("unpack", len(found)) as advance:
        for path, (store, member) in found.items():
            store.extract(member, folder / HOME / path)
            advance(1)
