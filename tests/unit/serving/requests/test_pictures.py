"""Pictures as clients send them: every spelling of base64, and no file that is not let in."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.core.errors import PamelaError
from pamela.serving.requests.pictures import PictureDoor

CLOSED = PictureDoor(None)
PNG = b"\x89PNG\r\n\x1a\n"
CONTENT = st.sampled_from([PNG, b"\xff\xd8\xff", b"RIFF"]).flatmap(
    lambda head: st.binary(max_size=300).map(lambda rest: head + rest)
)


def spelled(content: bytes, alphabet: str, every: int, padded: bool, marked: bool) -> str:
    text = (base64.urlsafe_b64encode if alphabet == "url" else base64.b64encode)(content).decode()
    text = text if padded else text.rstrip("=")
    if every:
        text = "\r\n".join(text[i : i + every] for i in range(0, len(text), every)) + "\n"
    return f"data:image/png;base64,{text}" if marked else text


@given(
    CONTENT,
    st.sampled_from(["standard", "url"]),
    st.sampled_from([0, 4, 64, 76]),
    st.booleans(),
    st.booleans(),
)
def test_every_spelling_of_base64_is_the_same_file(content, alphabet, every, padded, marked):
    assert CLOSED.enter(spelled(content, alphabet, every, padded, marked), "image 1") == content


def test_a_data_url_may_be_percent_encoded_and_written_large():
    text = base64.b64encode(PNG + b"\xfb\xff").decode()
    assert "+" in text or "/" in text
    quoted = text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    assert CLOSED.enter(f"DATA:image/png;BASE64,{quoted}", "x") == PNG + b"\xfb\xff"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("barn.png", "image 3: image is not a PNG, JPEG or WebP file in base64"),
        ("/etc/passwd", "image 3: image is not a PNG"),
        (base64.b64encode(b"GIF89a...").decode(), "image 3: image is not a PNG"),
        ("A" * 100_000, "image 3: image is not a PNG"),
        ("data:image/png,x", "image 3: a data: URL without base64"),
        ("data:image/png;base64,", "image 3: the data: URL holds no valid base64"),
        ("data:image/png;base64,!!", "image 3: the data: URL holds no valid base64"),
        ("iVBORw0KGgoAAAAN\\n", "image 3: base64 that is cut, or has characters"),
        ("/9j/4AAQSkZJR", "image 3: base64 that is cut, or has characters"),
        ("data:", "image 3: a data: URL without base64"),
        ("größe.png", "image 3: image is not a PNG"),
    ],
)
def test_what_is_no_picture_is_named_in_a_short_line(text, says):
    with pytest.raises(PamelaError, match=says) as caught:
        CLOSED.enter(text, "image 3")
    assert len(str(caught.value)) < 200


# --- paths ----------------------------------------------------------------------------------------
@pytest.fixture
def door(tmp_path: Path) -> PictureDoor:
    root = tmp_path / "a b é"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "é 1.png").write_bytes(PNG)
    (root / "[x]*.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "in.png").symlink_to(root / "sub" / "é 1.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (tmp_path / "a b é2").mkdir()
    (tmp_path / "a b é2" / "x.png").write_bytes(PNG)
    os.mkfifo(root / "pipe.png")
    return PictureDoor(root)


@pytest.mark.parametrize("path", ["sub/é 1.png", "[x]*.png", "./sub/../sub/é 1.png", "in.png"])
def test_a_file_below_the_folder_is_let_in(door, path):
    found = door.enter(path, "image 1")
    assert isinstance(found, Path)
    assert found.read_bytes() == PNG
    assert door.enter(str(door.folder / path), "image 1") == found


OUTSIDE = [
    "../secret.png", "../nothing.png", "../a b é/in.png", "../a b é2/x.png", "../a b é2/none.png",
    "/etc/passwd", "/etc/none", "/dev/zero", "/proc/self/environ", "out.png", "~/x.png",
    "sub/../../secret.png",
]  # fmt: skip
NO_FILE = [
    "none.png",
    "sub",
    ".",
    "pipe.png",
    "loop.png",
    "a\x00b.png",
    "x" * 5000,
    "sub/é 1.png/x",
]


def test_no_message_tells_what_there_is(door):
    said = set()
    for path in (*OUTSIDE, *NO_FILE):
        with pytest.raises(PamelaError) as caught:
            door.enter(path, "image 1")
        said.add(str(caught.value))
    assert len(said) == 1
