"""The pages as NiceGUI's simulated browser sees them, and the route for pictures over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tests.helpers.extras import needs
from tests.helpers.study_kit import CONSENT, make_study

pytestmark = needs("study")


PAUSE_S = 0.1
PATIENCE = 600  # tenths of a second


@pytest.fixture(autouse=True)
def modules_stay() -> Iterator[None]:
    """NiceGUI's test kit ends with taking the modules of pages, and `pamela` itself, away."""
    before = dict(sys.modules)
    yield
    sys.modules.update(before)


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setattr("pamela.study.web.pages.PAUSE_S", PAUSE_S)
    found = make_study(tmp_path)
    yield found
    found.stop()


@asynccontextmanager
async def browsers(study, count: int) -> AsyncIterator[list]:
    """Yield that many simulated browsers, each with cookies of its own."""
    import httpx
    from nicegui import core
    from nicegui.testing import User
    from nicegui.testing.user_simulation import user_simulation

    from pamela.study.web.pages import make_page

    async with user_simulation(root=make_page(study, CONSENT)) as first:
        client = partial(
            httpx.AsyncClient, transport=httpx.ASGITransport(core.app), base_url="http://test"
        )
        clients = [client() for _ in range(count - 1)]
        yield [first, *map(User, clients)]
        for other in clients:
            await other.aclose()


def simulate(study, count: int, script: Callable[..., Awaitable[None]]) -> None:
    async def run() -> None:
        async with browsers(study, count) as found:
            await script(*found)

    asyncio.run(run())


async def load(browser, *sides: str) -> None:
    """Let the pictures of a step load, and wait until answers count."""
    for side in sides:
        browser.find(marker=side).trigger("load")
    await asyncio.sleep(2 * PAUSE_S)


async def rate(browser, total: int = 3) -> None:
    for number in range(1, total + 1):
        await browser.should_see(f"Picture {number} of {total}", retries=PATIENCE)
        await load(browser, "one")
        browser.find("4").click()


def test_two_people_at_once_from_consent_to_thanks(study):
    async def script(ann, bob) -> None:
        for one in (ann, bob):
            await one.open("/")
            await one.should_see("I agree and take part", retries=PATIENCE)
            one.find("I agree and take part").click()
        await asyncio.gather(rate(ann), rate(bob))
        for one in (ann, bob):
            await one.should_see("Pair 1 of 12", retries=PATIENCE)
        for number in range(1, 13):
            await ann.should_see(f"Pair {number} of 12", retries=PATIENCE)
            await load(ann, "left", "right")
            ann.find("Both alike").click()
        await ann.should_see("That was the last one. Thank you!", retries=PATIENCE)
        await bob.should_see("Pair 1 of 12")
        ann.find("Finish").click()
        await ann.should_see("You may close this page", retries=PATIENCE)

    simulate(study, 2, script)
    first, second = sorted(study.people.values(), key=lambda one: -len(one.choices))
    assert (len(first.ratings), len(first.choices), first.finished) == (3, 12, True)
    assert {one["choice"] for one in first.choices} == {"tie"}
    assert (len(second.ratings), len(second.choices)) == (3, 0)


def test_an_answer_counts_once_the_pictures_are_there_and_once(study):
    async def script(ann) -> None:
        await ann.open("/")
        await ann.should_see("I agree and take part", retries=PATIENCE)
        ann.find("I agree and take part").click().click()
        await ann.should_see("Picture 1 of 3", retries=PATIENCE)
        (person,) = study.people.values()
        ann.find("5").click()  # the picture has not come yet
        await asyncio.sleep(2 * PAUSE_S)
        assert not person.ratings
        await load(ann, "one")
        button = ann.find("2")
        button.click().click()  # an impatient double click
        ann.find("5").click()  # that hits the next page
        await ann.should_see("Picture 2 of 3", retries=PATIENCE)
        assert [one["rating"] for one in person.ratings] == [2.0]
        await ann.open("/")  # a reload in the middle
        await ann.should_see("Picture 2 of 3", retries=PATIENCE)
        await load(ann, "one")
        ann.find("5").click()
        assert [one["rating"] for one in person.ratings] == [2.0, 5.0]

    simulate(study, 1, script)


def test_somebody_goes_on_in_another_browser_by_their_code(study):
    async def script(ann, phone) -> None:
        await ann.open("/")
        await ann.should_see("I agree and take part", retries=PATIENCE)
        ann.find("I agree and take part").click()
        await ann.should_see("Picture 1 of 3", retries=PATIENCE)
        (person,) = study.people.values()
        await phone.open("/")
        await phone.should_see("Your code", retries=PATIENCE)
        phone.find("Your code").type("<b>nobody</b>")
        phone.find("Go on").click()
        await phone.should_see("Nobody has this code.", retries=PATIENCE)
        phone.find("Your code").clear().type(study.code(person))
        phone.find("Go on").click()
        await phone.should_see("Picture 1 of 3", retries=PATIENCE)
        assert len(person.sessions) == 2

    simulate(study, 2, script)


def test_what_cannot_be_saved_is_said_and_the_page_stays(study, monkeypatch):
    from pamela.study.web.pages import NOT_SAVED

    async def script(ann) -> None:
        await ann.open("/")
        await ann.should_see("I agree and take part", retries=PATIENCE)
        ann.find("I agree and take part").click()
        await ann.should_see("Picture 1 of 3", retries=PATIENCE)
        await load(ann, "one")
        with monkeypatch.context() as patch:
            patch.setattr(study, "rate", full)
            ann.find("5").click()
            await ann.should_see(NOT_SAVED, retries=PATIENCE)
            await ann.should_see("Picture 1 of 3")
        ann.find("5").click()
        await ann.should_see("Picture 2 of 3", retries=PATIENCE)

    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    simulate(study, 1, script)


def test_the_scale_is_a_button_each_or_five():
    from pamela.study.web.scale import levels

    assert levels([1.0, 5.0]) == [(str(n), float(n)) for n in range(1, 6)]
    assert levels([0.0, 10.0])[-1] == ("10", 10.0)
    assert levels([0.0, 1.0]) == [("1", 0.0), ("2", 0.25), ("3", 0.5), ("4", 0.75), ("5", 1.0)]
    assert levels([0.0, 100.0])[1] == ("2", 25.0)


def test_pictures_over_http_are_for_their_own_session_alone(study):
    from fastapi.testclient import TestClient
    from nicegui.testing.general import nicegui_reset_globals
    from starlette.middleware.sessions import SessionMiddleware

    from pamela.study.web.server import make_app

    with nicegui_reset_globals():
        app = make_app(study, "127.0.0.1")
        assert any(one.cls is SessionMiddleware for one in app.user_middleware)
        ann = TestClient(app, "http://127.0.0.1", cookies=cookies(study, "ann"))
        person = study.join("ann")
        token = study.token(person, person.step, "one")
        found = ann.get(f"/picture/{token}")
        path = study.to_rate[person.step.image_id]
        assert found.content == path.read_bytes()
        assert found.headers["content-type"] == "image/png"
        assert found.headers["cache-control"] == "no-store"
        assert "default-src 'self'" in found.headers["content-security-policy"]
        assert not {"content-disposition", "etag", "last-modified"} & set(found.headers)
        for other in (cookies(study, "bob"), {}, {"pamela_study_pilot": "forged"}):
            client = TestClient(app, "http://127.0.0.1", cookies=other)
            assert client.get(f"/picture/{token}").status_code == 404
        assert ann.get("/", headers={"host": "evil.example"}).status_code == 403
        study.rate(person, 0, 3.0, 900)
        assert ann.get(f"/picture/{token}").status_code == 404


def cookies(study, session: str) -> dict[str, str]:
    """Return the cookie that a browser of this session would send."""
    import base64
    import json

    import itsdangerous

    signer = itsdangerous.TimestampSigner(study.secret.hex())
    content = base64.b64encode(json.dumps({"id": session}).encode())
    return {"pamela_study_pilot": signer.sign(content).decode()}
