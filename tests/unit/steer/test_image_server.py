"""The generator `openai:` with the real client and a real server: pictures, seeds and faults."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from pamela.core.errors import PamelaError
from pamela.params import load_params
from pamela.steer.generators.factory import get_generator
from tests.helpers.extras import needs
from tests.helpers.model_server import ModelServer, Reply
from tests.paths import ROOT

pytestmark = [needs("steer"), pytest.mark.usefixtures("short_waits")]

BARN = "a red barn at dusk"
QUICK = {"timeout_s": 20.0, "attempts": 3, "concurrent_requests": 2, "width": 16, "height": 24}


def generator(url: str, **settings: Any) -> Any:
    params = load_params(ROOT / "params.yaml")
    asked = params.steer.image_server.model_copy(update=QUICK | settings)
    named = {"generator": f"openai:{url}#tiny", "image_server": asked}
    return get_generator(params.model_copy(update={"steer": params.steer.model_copy(update=named)}))


def draw(url: str, n: int = 1, **settings: Any) -> list[np.ndarray]:
    with generator(url, **settings) as drawing:
        return drawing.generate([BARN] * n, list(range(n)))


def data(coded: Any) -> Reply:
    return Reply(200, {"data": [{"b64_json": coded}]})


def test_a_picture_is_that_of_its_prompt_and_seed(server: ModelServer) -> None:
    three = draw(server.url, 3)
    assert [one.shape for one in three] == [(24, 16, 3)] * 3
    assert [one.dtype for one in three] == [np.uint8] * 3
    assert len({one.tobytes() for one in three}) == 3
    with generator(server.url) as drawing:
        (again,) = drawing.generate([BARN], [1])
    np.testing.assert_array_equal(again, three[1])
    (first, *_) = server.asked
    assert first["response_format"] == "b64_json"
    assert (first["n"], first["size"], first["model"]) == (1, "16x24", "tiny")


@pytest.mark.parametrize("refused", [("seed",), ("seed", "response_format")])
def test_a_server_without_seeds_draws_and_that_is_told(
    refused: tuple[str, ...], server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refused = refused
    assert len(draw(server.url, 4, concurrent_requests=1)) == 4
    assert len(server.asked) == 4 + len(refused)
    (line,) = capsys.readouterr().err.splitlines()
    assert "takes no seed: its pictures are not repeatable" in line


FAULTS = {
    "status 429": Reply(429, b""),
    "status 500": Reply(500, b""),
    "time-out": Reply(delay_s=5.0),
    "no connection": Reply(hang_up=True),
    "malformed answer 1": Reply(200, b"{"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_tried_again(
    fault: str, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script.append(FAULTS[fault])
    assert len(draw(server.url, timeout_s=1.0 if fault == "time-out" else 20.0)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"tried again: {fault}" in line


LASTING = {
    r"without data\[0\]\.b64_json, asked 3 times": Reply(200, {"data": []}),
    r"an address instead of a picture": Reply(200, {"data": [{"url": "http://127.0.0.1/x.png"}]}),
    r"no picture in data\[0\]\.b64_json": data("%%%"),
    r"no picture .*does not decode": data(base64.b64encode(b"no picture").decode()),
    r"no picture \(data": data(None),
    r"refuses us \(status 401\).*OPENAI_API_KEY; it is not set": Reply(401, b""),
    r"refuses the request to draw 'a red barn at dusk' \(status 400: .*not allowed": Reply(
        400, {"error": {"message": "this prompt is not allowed"}}
    ),
}


@pytest.mark.parametrize("line", LASTING)
def test_a_fault_that_lasts_is_one_line(line: str, server: ModelServer) -> None:
    server.always = LASTING[line]
    with pytest.raises(PamelaError, match=line):
        draw(server.url)


def test_another_size_than_asked_for_is_told(server: ModelServer) -> None:
    with generator(server.url, width=32) as wide:
        image = wide.generate([BARN], [0])[0]
    assert image.shape == (24, 32, 3)
    coded = server.reply("/v1/images", server.asked[0]).body
    server.always = Reply(200, coded)
    with pytest.raises(PamelaError, match="draws 32 x 24, not the 16 x 24"):
        draw(server.url)


def test_one_broken_picture_of_many_ends_it(server: ModelServer) -> None:
    server.script.extend([None, Reply(403, b"")])
    with pytest.raises(PamelaError, match="status 403"):
        draw(server.url, 20)
    assert len(server.asked) < 20
