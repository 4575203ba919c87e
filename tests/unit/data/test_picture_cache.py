"""Pictures that were checked before: which are looked at again."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from pamela.data import image_files
from tests.helpers.folders import write_picture


def hashed(folder: Path, cache: Path | None) -> dict[str, str | None]:
    """Return the hashes of a.png and b.png as hash_files has them."""
    return dict(image_files.hash_files(["a.png", "b.png"], folder, cache).iter_rows())


def test_unchanged_pictures_are_neither_read_nor_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "SETTLED_NS", -1_000_000_000)  # files of just now, too
    write_picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    read: list[str] = []
    decoded: list[str] = []
    sha256, decodes = image_files.file_sha256, image_files.decodes

    def counting_sha256(path: Path) -> str:
        read.append(path.name)
        return sha256(path)

    def counting_decodes(path: Path) -> bool:
        decoded.append(path.name)
        return decodes(path)

    monkeypatch.setattr(image_files, "file_sha256", counting_sha256)
    monkeypatch.setattr(image_files, "decodes", counting_decodes)

    def both() -> tuple[pl.DataFrame, pl.DataFrame]:
        hashes = image_files.hash_files(["a.png", "b.png", "c.png"], tmp_path, tmp_path / "cache")
        return hashes, image_files.decode_files(hashes, tmp_path, tmp_path / "cache")

    cold = both()
    assert cold[0]["sha256"].is_null().to_list() == [False, False, True]
    assert cold[1]["decodes"].to_list() == [True, False]
    assert (read, decoded) == (["a.png", "b.png"], ["a.png", "b.png"])
    warm = both()
    assert all(one.equals(other) for one, other in zip(cold, warm, strict=True))
    assert (read, decoded) == (["a.png", "b.png"], ["a.png", "b.png"])
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    hashes, verdicts = both()
    assert read == ["a.png", "b.png", "b.png"]  # changed, so read
    assert hashes["sha256"][0] == hashes["sha256"][1]
    assert decoded == ["a.png", "b.png"]  # a content that is known, so not decoded
    assert verdicts["decodes"].to_list() == [True]
    for broken in (tmp_path / "cache").iterdir():
        broken.write_bytes(b"broken")
    assert both()[0].equals(hashes)
    assert len(read) == 5


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    """It may change once more within its time stamp; nor does putting the stamp back hide that."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"one")
    first = hashed(tmp_path, tmp_path / "cache")
    assert not (tmp_path / "cache" / "hashes.parquet").exists()
    stamp = (tmp_path / "a.png").stat().st_mtime_ns
    (tmp_path / "a.png").write_bytes(b"two")
    os.utime(tmp_path / "a.png", ns=(stamp, stamp))
    assert hashed(tmp_path, tmp_path / "cache")["a.png"] != first["a.png"]
