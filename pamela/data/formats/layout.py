"""Where the files of a published release lie: its tables, its pictures, features in their place.

Releases are unpacked in many ways: with or without a folder around them, pictures flat or in
folders. So tables are looked for in a few places, and pictures by name wherever they are below the
dataset's folder. What is found twice with different contents is an error, never a guess.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import file_sha256
from pamela.data import image_files
from pamela.data.formats import tables
from pamela.data.formats.files import shown

ANNOTATIONS: Final = ("annotation", "annotations", "data", "label")
FEATURES: Final = "features.npz"
JUNK: Final = ("__MACOSX",)


# --- tables ---------------------------------------------------------------------------------------
def find_file(folder: Path, names: Sequence[str], root: Path) -> Path | None:
    """Return the file of one of `names` in `folder`, one folder below, or its annotation folder.

    Raises
    ------
    PamelaError
        If there are several; the first name that is found anywhere counts.
    """
    places = _places(folder)
    for name in names:
        found = [path for place in places if (path := place / name).is_file()]
        if len(found) > 1:
            raise PamelaError(
                f"{shown(found[0], root)} and {shown(found[1], root)}: the same table twice; "
                "keep one of them"
            )
        if found:
            return found[0]
    return None


def _places(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    inner = [p for p in sorted(folder.iterdir()) if p.is_dir() and not _is_junk(p.name)]
    tops = [folder, *inner]
    places = [place for top in tops for place in (top, *(top / a for a in ANNOTATIONS))]
    return list(dict.fromkeys(place for place in places if place.is_dir()))


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name in JUNK


def has_file(folder: Path, names: Sequence[str]) -> bool:
    """Tell whether one of `names` is where `find_file` looks."""
    return any((place / name).is_file() for place in _places(folder) for name in names)


def require_file(folder: Path, names: Sequence[str], root: Path, release: str) -> Path:
    """Return the file as `find_file` does; none is an error that says what `release` has."""
    path = find_file(folder, names, root)
    if path is None:
        raise PamelaError(
            f"{shown(folder, root)}: no {' or '.join(names)}, there or in annotation/ or data/; "
            f"the {release} release has it"
        )
    return path


# --- pictures -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LocatedImages:
    """Images with their pictures found.

    Attributes
    ----------
    images : the given rows; ``file`` relative to the project root.
    has_images : whether there is any picture.
    features : the features that stand for pictures or come beside them, or None.
    """

    images: pl.DataFrame
    has_images: bool
    features: Path | None


def place_pictures(images: pl.DataFrame, folder: Path, root: Path, home: str) -> LocatedImages:
    """Find the picture of every image below `folder`.

    Parameters
    ----------
    images : DataFrame with file (the end of the path, as the release names it; may be null),
        source_file and source_row.
    folder : the dataset.
    root : project root.
    home : the release's own folder of pictures, named where a picture is absent.

    Raises
    ------
    PamelaError
        If a name leaves the folder or has an unknown suffix, if two files of different contents
        answer to one name, or if there are neither pictures nor features.
    """
    placed, has_images = find_pictures(images, folder, root, home)
    features = folder / FEATURES
    features_found = tables.check_features(features, root) if features.is_file() else None
    if not has_images and features_found is None:
        example = placed.get_column(s.FILE).drop_nulls().to_list()[:1] or [f"{home}/"]
        raise PamelaError(
            f"{shown(folder, root)}: neither pictures (such as {example[0]}) nor {FEATURES}; "
            "add one of them"
        )
    below_root = pl.lit(shown(folder, root) + "/") + pl.col(s.FILE)
    return LocatedImages(placed.with_columns(below_root.alias(s.FILE)), has_images, features_found)


def find_pictures(
    images: pl.DataFrame, folder: Path, root: Path, home: str
) -> tuple[pl.DataFrame, bool]:
    """Return `images` with ``file`` relative to `folder`, and whether any picture is there.

    An absent picture is named where it would lie; see `place_pictures`.
    """
    # as Windows tools write it; no release has a backslash within a name
    images = images.with_columns(pl.col(s.FILE).str.replace_all("\\", "/", literal=True))
    image_files.check_paths(images, folder)
    listed = _list_pictures(folder)
    named = images.with_columns(_wanted=pl.col(s.FILE).str.normalize("NFC"))
    found = _one_each(_match(named, listed, home), folder, root)
    placed = named.join(found, on="_wanted", how="left", maintain_order="left").with_columns(
        pl.coalesce("_found", pl.lit(_expected(found, home)) + pl.col(s.FILE)).alias(s.FILE)
    )
    image_files.check_paths(placed, folder)
    return placed.drop("_wanted", "_found"), found.height > 0


def _list_pictures(folder: Path) -> pl.DataFrame:
    """Return the (file, parts) of every picture below `folder`: its path there, and its length."""
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_junk(name))
        inside = os.path.relpath(place, folder)
        prefix = "" if inside == "." else inside.replace(os.sep, "/") + "/"
        found += [prefix + name for name in names if name.lower().endswith(image_files.SUFFIXES)]
    readable = [file for file in found if _is_text(file)]
    frame = pl.DataFrame({"_found": sorted(readable)}, schema={"_found": pl.String})
    return frame.with_columns(
        _key=pl.col("_found").str.normalize("NFC"),
        _parts=pl.col("_found").str.count_matches("/", literal=True) + 1,
    )


def _is_text(name: str) -> bool:
    """Tell whether a file name is text; bytes that are not UTF-8 no table can name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _match(named: pl.DataFrame, listed: pl.DataFrame, home: str) -> pl.DataFrame:
    """Return (_wanted, _found, ...): files whose path ends as wanted, or that lie flat.

    A flat file, at most one folder deep or in one called `home`, answers to ``session1/x.jpg``
    where no other wanted name ends in ``x.jpg``.
    """
    wanted = named.select("_wanted").drop_nulls().unique(maintain_order=True)
    wanted = wanted.with_columns(_parts=pl.col("_wanted").str.count_matches("/", literal=True) + 1)
    ends = [
        listed.filter(pl.col("_parts") >= n).with_columns(_wanted=_tail("_key", n))
        for n in wanted.get_column("_parts").unique().sort()
    ]
    exact = pl.concat([listed.with_columns(_wanted=pl.col("_key")).clear(), *ends]).join(
        wanted.select("_wanted"), on="_wanted", how="semi"
    )
    in_home = pl.col("_key").str.split("/").list.get(-2, null_on_oob=True) == home
    flat = listed.filter((pl.col("_parts") <= 2) | in_home).with_columns(_name=_tail("_key", 1))
    others = (
        wanted.with_columns(_name=_tail("_wanted", 1))
        .filter(pl.len().over("_name") == 1)
        .join(exact, on="_wanted", how="anti")
        .select("_wanted", "_name")
    )
    return pl.concat([exact, flat.join(others, on="_name").select(exact.columns)])


def _tail(column: str, parts: int) -> pl.Expr:
    return pl.col(column).str.split("/").list.tail(parts).list.join("/")


def _one_each(found: pl.DataFrame, folder: Path, root: Path) -> pl.DataFrame:
    """Return one file per wanted name: the one least deep; copies must have the same contents."""
    several = found.filter(pl.len().over("_wanted") > 1).sort("_wanted", "_parts", "_found")
    for (wanted,), copies in several.group_by("_wanted", maintain_order=True):
        files = copies.get_column("_found").to_list()
        hashes = [file_sha256(folder / file) for file in files]
        if len(set(hashes)) > 1:
            other = next(f for f, h in zip(files, hashes, strict=True) if h != hashes[0])
            raise PamelaError(
                f"{shown(folder, root)}: {files[0]} and {other} differ, and both may be the "
                f"picture {wanted}; keep one of them"
            )
    first = found.sort("_parts", "_found").unique("_wanted", keep="first", maintain_order=True)
    return first.select("_wanted", "_found")


def _expected(found: pl.DataFrame, home: str) -> str:
    """Return the start of an absent picture's path: the folder that those found have in common."""
    start = pl.col("_found").str.head(
        pl.col("_found").str.len_chars() - pl.col("_wanted").str.len_chars()
    )
    ends_so = found.filter(pl.col("_found").str.ends_with(pl.col("_wanted")))
    starts = ends_so.select(start).to_series().unique().to_list()
    folder = os.path.commonpath(starts) if starts else home
    return f"{folder}/" if folder else ""
