"""The registered copies of bundles: ``mlartifacts/registry/<hash>/``, named after their contents.

``models/`` and ``challenger/`` are overwritten by what is trained next; a copy stays. One that is
lost or damaged is rebuilt from whatever holds the same contents: the last trained bundles, DVC's
cache, or the store of a shared registry. From there another project fetches the copies it needs.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Final

from pamela.core.errors import PamelaError
from pamela.core.files import (
    atomic_folder,
    file_sha256,
    read_json,
    remove_abandoned,
    write_json,
    writing_to,
)
from pamela.core.paths import Project
from pamela.params import load_params, tracking_uri
from pamela.registry.mlflow_logging import quieten_mlflow
from pamela.registry.mlflow_model import DESCRIPTION_FILE, MLFLOW_FILES, write_mlflow_files
from pamela.registry.reachable import shown
from pamela.registry.sqlite_reader import PATH, Version, local_path
from pamela.registry.tracking.remote_client import told
from pamela.training.bundle_files import HASH_DIGITS, SUMS, bundle_hash, damaged_files, has_sums

BUNDLE: Final = "bundle"
CHAMPION_FILE: Final = "champion.json"
BUNDLE_HASH: Final = "bundle_hash"  # the tag that holds the hash of a version's bundle
DVC_FOLDER: Final = ".dir"  # how the name of a folder's list ends in DVC's cache

Fill = Callable[[Path], None]  # copies a bundle into an empty folder


@dataclass(frozen=True)
class Source:
    """Something that holds a lost bundle: what it is called, and how to get it."""

    name: str
    fill: Fill


def copies_folder(project: Project) -> Path:
    """Return the folder of all copies."""
    return project.mlartifacts / "registry"


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """Let one process at a time change the registry; the system drops the lock with it."""
    folder = copies_folder(project)
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def keep_copy(project: Project, bundle: Path, digest: str) -> Path:
    """Copy a bundle to its folder, as an MLflow model, unless a whole one is there.

    Raises
    ------
    PamelaError
        If the bundle is damaged.
    """
    kept = copies_folder(project) / digest
    if fault_of(kept, digest) is None and (kept / DESCRIPTION_FILE).is_file():
        return kept
    return _make_copy(project, digest, partial(_copy_files, bundle), str(bundle))


def fault_of(folder: Path, digest: str | None) -> str | None:
    """Return what is wrong with the bundle in a folder, in words; None where all is well.

    Parameters
    ----------
    digest : the hash that its version names, if it does.
    """
    other = is_another(folder, digest)
    bad = damaged_files(folder) if has_sums(folder) and other is None else []
    return other or (f"{bad[0]} is damaged or missing" if bad else None)


def is_another(folder: Path, digest: str | None) -> str | None:
    """Return what is wrong if this is not the bundle that `digest` names; its list is believed."""
    if not (folder / "bundle.json").is_file():
        return "its files are gone"
    if digest is not None and content_hash(folder) != digest:
        return f"{SUMS if has_sums(folder) else 'one of its files'} is damaged or replaced"
    return None


def fault_of_version(project: Project, version: Version, *, thorough: bool = True) -> str | None:
    """Return what is wrong with the copy of a version; None also where only others have one.

    Parameters
    ----------
    thorough : whether every file is read; else it is only seen to be there.
    """
    folder = project.root / version.path if version.path else None
    if folder is None or (not folder.is_dir() and is_kept_elsewhere(version)):
        return None
    if not thorough:
        return is_another(folder, None)
    return fault_of(folder, version.tags.get(BUNDLE_HASH))


def is_kept_elsewhere(version: Version) -> bool:
    """Tell whether a shared registry keeps a version's files, whatever became of a copy here."""
    return local_path(version.source) is None


def content_hash(folder: Path) -> str:
    """Return the hash of the bundle in a folder, which may hold MLflow's files as well."""
    return bundle_hash(folder, MLFLOW_FILES)


def remember_champion(project: Project, version: Version) -> None:
    """Note who serves beside the copies, so that a lost database is made again with it."""
    write_json(copies_folder(project) / CHAMPION_FILE, version.tags)


def noted_champion(project: Project) -> dict[str, str]:
    """Return the tags of the version that served last; empty where that was not noted."""
    path = copies_folder(project) / CHAMPION_FILE
    tags: dict[str, str] = read_json(path) if path.is_file() else {}
    return tags


def remembered_champion(project: Project) -> dict[str, str] | None:
    """Return the tags of the version that served last, if they were noted and its copy is whole."""
    tags = noted_champion(project)
    if not {BUNDLE_HASH, PATH} <= set(tags):
        return None
    return tags if fault_of(project.root / tags[PATH], tags[BUNDLE_HASH]) is None else None


def sweep(project: Project) -> None:
    """Remove what copies left that were interrupted."""
    remove_abandoned(copies_folder(project))


# --- rebuilding -----------------------------------------------------------------------------------


def find_source(project: Project, version: Version) -> Source | None:
    """Return something that holds the bundle of `version`, or None."""
    digest = version.tags.get(BUNDLE_HASH)
    if digest is None:
        return None
    recorded = local_path(version.source)  # elsewhere, where the project was moved
    for bundle in (project.models / BUNDLE, project.challenger / BUNDLE, recorded):
        if bundle is not None and fault_of(bundle, digest) is None:
            return Source(project.relative(bundle), partial(_copy_files, bundle))
    pulled = _in_dvc(project, digest, version)
    if pulled is not None or recorded is not None:
        return pulled
    uri = tracking_uri(load_params(project.params_file), project.root)
    return Source("the shared registry", partial(fetch, version.source, uri))


def copy_from_elsewhere(project: Project, version: Version) -> Path:
    """Return this project's copy of a version that a shared registry keeps, fetched once.

    Raises
    ------
    PamelaError
        If it is not to be had, or is damaged there.
    """
    digest = version.tags[BUNDLE_HASH]
    kept = copies_folder(project) / digest
    with locked(project):
        if is_another(kept, digest) is not None:
            source = find_source(project, version)
            if source is not None:
                rebuild(project, version, source)
    return kept


def rebuild(project: Project, version: Version, source: Source) -> None:
    """Make the copy of a version again.

    Raises
    ------
    PamelaError
        If what `source` holds is damaged, too.
    """
    _make_copy(project, version.tags[BUNDLE_HASH], source.fill, source.name)


def _make_copy(project: Project, digest: str, fill: Fill, source: str) -> Path:
    kept = copies_folder(project) / digest
    with atomic_folder(kept) as aside:
        fill(aside)
        found = fault_of(aside, digest)
        if found is not None:
            raise PamelaError(f"{source}: {found}, so it is not registered; run `dvc repro train`")
        if not (aside / DESCRIPTION_FILE).is_file():
            write_mlflow_files(aside)
    return kept


def fetch(source: str, uri: str, folder: Path) -> None:
    """Download a bundle that the store of a registry keeps into an empty folder.

    Raises
    ------
    PamelaError
        If it is not to be had.
    """
    quieten_mlflow()
    from mlflow.artifacts import download_artifacts

    with TemporaryDirectory(dir=folder) as aside:
        with told(f"{shown(source)}, where the registry keeps these files"), writing_to(folder):
            found = download_artifacts(artifact_uri=source, tracking_uri=uri, dst_path=aside)
        _copy_files(Path(found), folder)


def _copy_files(bundle: Path, aside: Path) -> None:
    shutil.copytree(bundle, aside, dirs_exist_ok=True)


def _in_dvc(project: Project, digest: str, version: Version) -> Source | None:
    """Look for a bundle among the folders in DVC's cache: lists of names with their MD5."""
    cache = _dvc_cache(project)
    for listing in sorted(cache.glob(f"??/*{DVC_FOLDER}")):
        files = _bundle_files(listing, cache)
        if _is_that(files, digest, version):
            return Source("DVC's cache", partial(_gather, files))
    return None


def _dvc_cache(project: Project) -> Path:
    """Return the folder of DVC's cached files, as DVC's config says."""
    import configparser  # a score needs none of it

    home = project.root / ".dvc"
    config = configparser.ConfigParser(strict=False, interpolation=None)
    with suppress(configparser.Error, UnicodeDecodeError):  # DVC itself complains of that
        config.read([home / "config", home / "config.local"], encoding="utf-8")
    place = config.get("cache", "dir", fallback="cache")
    return home / place / "files" / "md5"


def _bundle_files(listing: Path, cache: Path) -> dict[str, Path]:
    """Return ``{name: cached file}`` of the bundle below a cached folder; empty where none is."""
    try:
        entries: list[dict[str, Any]] = json.loads(listing.read_text(encoding="utf-8"))
        names = {str(one["relpath"]): str(one["md5"]) for one in entries}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    below = {PurePosixPath(name): md5 for name, md5 in names.items()}
    return {
        str(name.relative_to(BUNDLE)): cache / md5[:2] / md5[2:]
        for name, md5 in below.items()
        if name.parts[0] == BUNDLE and ".." not in name.parts
    }


def _is_that(files: dict[str, Path], digest: str, version: Version) -> bool:
    """Tell whether these files are the bundle that `digest` names."""
    try:
        if SUMS in files:
            return file_sha256(files[SUMS])[:HASH_DIGITS] == digest
        described = json.loads(files["bundle.json"].read_text(encoding="utf-8"))
        return bool(described["model_hash"] == version.tags.get("model_hash"))
    except (OSError, ValueError, KeyError):
        return False


def _gather(files: dict[str, Path], aside: Path) -> None:
    for name, path in files.items():
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, aside / name)
