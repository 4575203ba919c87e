"""A page of another site gets nothing out of a server on loopback, nor has it do anything."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pamela.serving.http.callers import OwnCallers

SITE = "scores.example:8000"
EVERYWHERE = "0.0.0.0"  # noqa: S104, nothing listens here


def asked(method: str, listens: str = "127.0.0.1", **headers: str) -> tuple[int, str]:
    async def answer(_: object) -> PlainTextResponse:
        return PlainTextResponse("an answer")

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    app.add_middleware(OwnCallers, host=listens)
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    found = TestClient(app).request(method, "/", headers=given)
    return found.status_code, found.text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "LocalHost:8000", "[::1]:8000"])
def test_this_machine_s_names_are_answered(host):
    assert asked("POST", host=host) == (200, "an answer")


@pytest.mark.parametrize(
    "host", [SITE, "10.0.0.5", "127.0.0.1.example", "localhost@x", "[::1", "::"]
)
def test_another_name_is_refused_on_loopback_alone(host):
    for listens in ("127.0.0.1", "::1", "localhost"):
        status, text = asked("GET", listens, host=host)
        assert (status, "another name than this machine's" in text) == (403, True)
    for listens in (EVERYWHERE, "10.0.0.5", "::"):
        assert asked("GET", listens, host=host)[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"sec_fetch_site": "same-origin", "origin": "https://in.front.of.it"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),  # another port of this machine
        ({"origin": f"http://{SITE}"}, 200),
        ({"origin": "http://other.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
    ],
)
def test_what_another_site_sends_is_refused_and_links_from_there_work(headers, status):
    assert asked("POST", EVERYWHERE, host=SITE, **headers)[0] == status
    assert asked("GET", EVERYWHERE, host=SITE, **headers)[0] == 200
