"""Bad and odd pictures, each through ingest and validate, and decoded as an encoder would."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import ExifTags, Image

from pamela.core.errors import PamelaError
from pamela.core.images import MAX_ELONGATION, MAX_PIXELS, open_rgb
from pamela.core.paths import Project
from pamela.data import image_files
from tests.helpers.bad_data import IMAGES, Case, Spoil, Within, as_before, check, rated
from tests.helpers.folders import ROOT

SPOILED = "images/i5.png"  # of image i5, in row 6 of the images; each of the four users rated it
RATED = (6, 12, 18, 24)
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
NOBODY = 65534  # the system user `nobody`


# --- how pictures are spoiled ---------------------------------------------------------------------
def bytes_of(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return `image` as a file of format `kind`."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def content(data: bytes) -> Callable[[Path], object]:
    """Put `data` in the place of the picture, whatever the suffix says."""
    return lambda folder: (folder / SPOILED).write_bytes(data)


def quadrants() -> Image.Image:
    """Return a picture whose upper left quarter alone is red, the rest blue."""
    image = Image.new("RGB", (32, 16), BLUE)
    image.paste(RED, (0, 0, 16, 8))
    return image


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """Return a PNG written by hand: what Pillow reads but does not write."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Return one PNG chunk."""
    check_sum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check_sum)


def sixteen_bit_colour() -> bytes:
    """Return a 16-bit RGB picture of (65535, 32896, 257)."""
    line = b"\0" + struct.pack(">3H", 65535, 32896, 257) * 8
    return png(8, 8, 16, 2, line * 8)


def rotated(orientation: int) -> bytes:
    """Return `quadrants` stored so that its EXIF orientation turns it upright."""
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = quadrants() if undo is None else quadrants().transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return bytes_of(stored, "PNG", exif=exif)


def broken_exif() -> bytes:
    """Return a JPEG whose pixels are sound and whose EXIF is not."""
    return bytes_of(Image.new("RGB", (8, 8), RED), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")


def animated(kind: str) -> bytes:
    """Return two frames, red and blue."""
    first, second = (Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE))
    lossless = {"lossless": True} if kind == "WEBP" else {}
    return bytes_of(first, kind, save_all=True, append_images=[second], **lossless)


def huge_webp() -> bytes:
    """Return an animated WebP of a few bytes that says it is 16,000 pixels a side."""
    data = bytearray(animated("WEBP"))
    assert data[12:16] == b"VP8X"
    data[24:30] = (15_999).to_bytes(3, "little") * 2
    return bytes(data)


def half(data: bytes) -> bytes:
    """Return the first half of a file."""
    return data[: len(data) // 2]


def noise(kind: str) -> bytes:
    """Return a picture of noise, which no format makes small."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return bytes_of(Image.fromarray(pixels), kind)


def see_through_palette() -> bytes:
    """Return a palette picture, its first colour transparent, in a left half of it."""
    image = Image.new("P", (16, 16), 1)
    image.putpalette([*RED, *BLUE])
    image.paste(0, (0, 0, 8, 16))
    return bytes_of(image, "PNG", transparency=0)


def colour_key() -> bytes:
    """Return a PNG of red that calls red transparent."""
    return bytes_of(Image.new("RGB", (8, 8), RED), "PNG", transparency=RED)


def grey(values: int) -> bytes:
    """Return a 16-bit grey picture of one value."""
    return bytes_of(Image.fromarray(np.full((8, 8), values, np.uint16)), "PNG")


def replace(by: Callable[[Path], object]) -> Callable[[Path], object]:
    """Remove the picture and put something else in its place."""

    def spoil(folder: Path) -> None:
        (folder / SPOILED).unlink()
        by(folder / SPOILED)

    return spoil


def link_inside(path: Path) -> None:
    """Make `path` a link to a picture beside it."""
    path.symlink_to(path.with_name("i4.png"))


def link_outside(path: Path) -> None:
    """Make `path` a link to a sound picture outside of the dataset."""
    outside = path.parents[2] / "outside.png"
    quadrants().save(outside)
    path.symlink_to(outside)


def forbid(folder: Path) -> None:
    """Let nobody but root read the picture."""
    (folder / SPOILED).chmod(0)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Run as a system user who may read the project but not the spoiled picture."""
    if os.geteuid() != 0:
        yield
        return
    project = folder.parents[2]
    for path in (project, *project.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.chown(folder / SPOILED, 0, 0)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def accepted(
    data: bytes, at: tuple[int, int], colour: tuple[int, int, int], size: tuple[int, int]
) -> tuple[Callable[[Path], object], Callable[[Project], object]]:
    """Return how to spoil with `data`, and a look at what is decoded: a pixel and the size."""

    def look(project: Project) -> None:
        decoded = open_rgb(project.raw / "d" / SPOILED, "it")
        assert (decoded.mode, decoded.size) == ("RGB", size)
        assert decoded.getpixel(at) == pytest.approx(colour, abs=1)

    return content(data), look


CMYK_RED = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
CLEAR_LEFT = Image.new("RGBA", (16, 16), (*RED, 0))
CLEAR_LEFT.paste((*BLUE, 255), (8, 0, 16, 16))
MUST_DECODE = {
    "picture-16-bit-grey": accepted(grey(32896), (0, 0), (128, 128, 128), (8, 8)),
    "picture-16-bit-white": accepted(grey(65535), (0, 0), WHITE, (8, 8)),
    "picture-16-bit-dark": accepted(grey(200), (0, 0), (1, 1, 1), (8, 8)),
    "picture-16-bit-colour": accepted(sixteen_bit_colour(), (0, 0), (255, 128, 1), (8, 8)),
    "picture-1-bit": accepted(bytes_of(Image.new("1", (8, 8), 1), "PNG"), (0, 0), WHITE, (8, 8)),
    "picture-grey": accepted(
        bytes_of(Image.new("L", (8, 8), 77), "PNG"), (0, 0), (77, 77, 77), (8, 8)
    ),
    "picture-grey-alpha": accepted(
        bytes_of(Image.new("LA", (8, 8), (0, 128)), "PNG"), (0, 0), (127, 127, 127), (8, 8)
    ),
    "picture-palette": accepted(bytes_of(quadrants().quantize(4), "PNG"), (0, 0), RED, (32, 16)),
    "picture-palette-transparent": accepted(see_through_palette(), (0, 0), WHITE, (16, 16)),
    "picture-colour-key": accepted(colour_key(), (0, 0), WHITE, (8, 8)),
    "picture-rgba": accepted(bytes_of(CLEAR_LEFT, "PNG"), (0, 0), WHITE, (16, 16)),
    "picture-cmyk": accepted(bytes_of(CMYK_RED, "JPEG", quality=95), (0, 0), RED, (8, 8)),
    "picture-exif-broken": accepted(broken_exif(), (0, 0), (254, 0, 0), (8, 8)),
    "picture-animated-png": accepted(animated("PNG"), (0, 0), RED, (16, 16)),
    "picture-animated-webp": accepted(animated("WEBP"), (0, 0), RED, (16, 16)),
    "picture-wrong-suffix": accepted(
        bytes_of(Image.new("RGB", (8, 8), RED), "JPEG"), (0, 0), (254, 0, 0), (8, 8)
    ),
}
UNDECODABLE = {
    "picture-truncated-jpeg": half(noise("JPEG")),
    "picture-truncated-png": half(noise("PNG")),
    "picture-truncated-webp": half(noise("WEBP")),
    "picture-not-an-image": b"<html>404 Not Found</html>",
    "picture-zero-bytes": b"",
    "picture-gif": bytes_of(quadrants(), "GIF"),
    "picture-animated-gif": bytes_of(
        quadrants(), "GIF", save_all=True, append_images=[Image.new("RGB", (32, 16), RED)]
    ),
    "picture-bomb": bytes_of(Image.new("1", (10_000, 10_000)), "PNG"),
    "picture-bomb-webp": huge_webp(),
    "picture-elongated": bytes_of(Image.new("L", (1, MAX_ELONGATION + 1)), "PNG"),
    "picture-broken-checksum": png(8, 8, 8, 0, b"\0" * 72).replace(b"IDAT", b"IDAt"),
}
ABSENT = {
    "picture-missing": replace(lambda path: None),
    "picture-directory": replace(Path.mkdir),
    "picture-pipe": replace(os.mkfifo),
    "picture-dangling-link": replace(lambda path: path.symlink_to("nowhere.png")),
}


def lost(name: str, spoil: Spoil, rule: str, within: Within = as_before) -> Case:
    """Return a case that costs i5: its ratings and itself."""
    images = ((rule, IMAGES, 6),)
    return Case(name, spoil, ratings=rated(rule, *RATED), images=images, within=within)


def rename_to(file: str) -> Callable[[Path], object]:
    """Name `file` in row 6 of the images."""

    def spoil(folder: Path) -> None:
        frame = pl.read_csv(folder / "images.csv", infer_schema=False)
        files = [*frame["file"][:5], file]
        frame.with_columns(pl.Series("file", files)).write_csv(folder / "images.csv")

    return spoil


LEAVES = f"{IMAGES} row 6: file {{!r}} leaves the dataset's folder; name a path inside it"
LINKS_OUT = f"{IMAGES} row 6: file {{!r}} is a link that leads out of the dataset's folder"
CASES = [
    *(Case(name, spoil, holds=look) for name, (spoil, look) in MUST_DECODE.items()),
    *(
        Case(f"picture-exif-rotated-{turn}", spoil, holds=look)
        for turn in range(1, 9)
        for spoil, look in [accepted(rotated(turn), (2, 2), RED, (32, 16))]
    ),
    *(lost(name, content(data), "image_undecodable") for name, data in UNDECODABLE.items()),
    *(lost(name, spoil, "image_missing") for name, spoil in ABSENT.items()),
    lost("picture-unreadable", forbid, "image_missing", as_nobody),
    Case("picture-link-inside", replace(link_inside)),
    Case("picture-link-outside", replace(link_outside), stops=LINKS_OUT.format(SPOILED)),
    Case("path-parent", rename_to("../x.png"), stops=LEAVES.format("../x.png")),
    Case("path-absolute", rename_to("/etc/x.png"), stops=LEAVES.format("/etc/x.png")),
    Case("path-drive", rename_to("C:\\x.png"), stops=LEAVES.format("C:\\x.png")),
    Case(
        "path-backslash",
        rename_to("images\\i5.png"),
        stops=f"{IMAGES} row 6: file 'images\\\\i5.png' has a backslash; write / between folders "
        "and file",
    ),
    Case(
        "path-suffix",
        rename_to("images/x.gif"),
        stops=f"{IMAGES} row 6: file 'images/x.gif' has an unknown suffix; give .png, .jpg, "
        ".jpeg, .webp",
    ),
]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    with tempfile.TemporaryDirectory() as home:  # one that another system user may enter
        Path(home).chmod(0o755)
        check(case, Path(home) / "project")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF")
def test_what_validate_accepts_the_encoder_encodes(tmp_path: Path) -> None:
    from pamela.features.encoders.embedded_clip.encoder import embedded_encoder

    paths = []
    for name, (spoil, _) in MUST_DECODE.items():
        (tmp_path / name / "images").mkdir(parents=True)
        spoil(tmp_path / name)
        paths.append(tmp_path / name / SPOILED)
    long = tmp_path / "long.png"
    Image.new("L", (1, MAX_ELONGATION)).save(long)
    paths.append(long)
    assert all(image_files.decodes(path) for path in paths)
    encoder = embedded_encoder("cpu", 8, 0)
    assert np.isfinite(encoder.encode_images(paths)).all()
    for data in UNDECODABLE.values():
        long.write_bytes(data)
        with pytest.raises(PamelaError, match=r"long\.png: does not decode as an image \("):
            encoder.encode_images([long])


MEASURE = """
import re, sys
from pathlib import Path
from pamela.data.image_files import decodes
def peak():  # MiB; the kernel's own mark, as rusage keeps that of the process before exec
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
verdict = decodes(Path(sys.argv[1]))
print(verdict, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from /proc")
def test_a_bomb_is_bounded_before_it_is_decoded(tmp_path: Path) -> None:
    """The bomb would take 550 MiB; the largest picture that passes shows that the figure is one."""
    line = zlib.compressobj()
    body = b"".join(line.compress(bytes(36_001)) for _ in range(12_000)) + line.flush()
    bomb = png(12_000, 12_000, 8, 2, b"").replace(
        chunk(b"IDAT", zlib.compress(b"")), chunk(b"IDAT", body)
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    (tmp_path / "bomb.webp").write_bytes(huge_webp())
    Image.new("L", (9_000, MAX_PIXELS // 9_000)).save(tmp_path / "large.png")
    found = {}
    for path in sorted(tmp_path.iterdir()):
        command = [sys.executable, "-W", "ignore", "-c", MEASURE, str(path)]
        out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        verdict, mib = out.stdout.split()
        found[path.name] = verdict, int(mib)
    assert found["bomb.png"][0] == found["bomb.webp"][0] == "False"
    assert max(found["bomb.png"][1], found["bomb.webp"][1]) < 100
    assert found["large.png"][0] == "True"
    assert 100 < found["large.png"][1] < 1024
