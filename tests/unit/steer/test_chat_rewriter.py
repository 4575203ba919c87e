"""The rewriter `chat:` with the real client and a real server: answers, and every fault."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pamela.core.errors import PamelaError
from pamela.params import load_params
from pamela.steer.rewriters.base import RewriteRequest, Trial
from pamela.steer.rewriters.factory import get_rewriter
from pamela.steer.rewriters.protocol import write_answer
from tests.helpers.extras import needs
from tests.helpers.model_server import ModelServer, Reply, says
from tests.paths import ROOT

pytestmark = [needs("steer"), pytest.mark.usefixtures("short_waits")]

BARN = "a red barn at dusk"
SECRET = "sk-this-is-secret"  # noqa: S105
QUICK = {"timeout_s": 20.0, "attempts": 3, "concurrent_requests": 2}


def rewriter(url: str, **settings: Any) -> Any:
    params = load_params(ROOT / "params.yaml")
    model = params.steer.language_model.model_copy(update=QUICK | settings)
    named = {"rewriter": f"chat:{url}#tiny", "generator": "diffusers:x", "language_model": model}
    return get_rewriter(params.model_copy(update={"steer": params.steer.model_copy(update=named)}))


def ask(url: str, n: int = 5, *, prompt: str = BARN, **settings: Any) -> list[str]:
    with rewriter(url, **settings) as asked:
        return asked.rewrite([RewriteRequest(prompt, (), n, (1, 2))])[0]


def test_it_asks_by_the_protocol_for_structured_output(server: ModelServer) -> None:
    history = (Trial("a red barn, warm light", 4.5), Trial(BARN, 3.0))
    with rewriter(server.url, variants_per_answer=8) as asked:
        (found,) = asked.rewrite([RewriteRequest(BARN, history, 20, (1,))])
    assert len(set(found)) == 20
    assert len(server.asked) == 3
    (one, *others) = server.asked
    assert one["model"] == "tiny"
    assert one["response_format"]["json_schema"]["schema"]["required"] == ["prompts"]
    assert "4.5: a red barn, warm light\n3: a red barn at dusk" in one["messages"][-1]["content"]
    assert {other["seed"] for other in others}.isdisjoint([one["seed"]])


def test_searches_of_one_prompt_begin_with_one_question(server: ModelServer) -> None:
    with rewriter(server.url) as asked:
        one, other = asked.rewrite(
            [RewriteRequest(BARN, (Trial(BARN, reward),), 5, (1,)) for reward in (2.0, 4.0)]
        )
    assert one == other
    assert len(server.asked) == 1


def test_a_server_without_structured_output_is_read_as_text(
    server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refused = ("response_format",)
    with rewriter(server.url) as asked:
        for seed in range(3):
            assert len(asked.rewrite([RewriteRequest(BARN, (), 5, (seed,))])[0]) == 5
    assert len(server.asked) == 4
    assert capsys.readouterr().err.count("has no structured output") == 1


FAULTS = {
    "status 429": Reply(429, {"error": {"message": "slow down"}}),
    "status 500": Reply(500, b"oops"),
    "status 503": Reply(503, b""),
    "time-out": Reply(delay_s=5.0),
    "no connection": Reply(hang_up=True),
    "malformed answer": Reply(200, b'{"choices": [{"mess'),
    "malformed": Reply(200, {"nothing": 1}),
    "an empty answer": says(None),
    "an answer without": says("I cannot help with that."),
    "malformed JSON": says('{"prompts": [}'),
    "an answer of 300015 characters": says('{"prompts": ["' + "x" * 300_000 + '"'),
    "longer than 2000 characters (1)": says(write_answer([BARN + "x" * 3000])),
    "without the subject (2)": says(write_answer(["a blue cat", "two dogs"])),
    "tried before (1)": says(write_answer([BARN.upper() + "."])),
    "repeated (1)": says(write_answer([f"{BARN}, fog", f"{BARN},  Fog"])),
    "not text (1)": says(write_answer([f"{BARN} \x00", f"{BARN}, rain"])),
    "empty (2)": says(write_answer(["", " . "])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_tried_again(
    fault: str, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script.append(FAULTS[fault])
    found = ask(server.url, timeout_s=1.0 if fault == "time-out" else 20.0)
    assert len({one.casefold() for one in found}) == 5
    assert all(BARN in one for one in found)
    assert len(server.asked) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line


def test_fewer_variants_than_asked_for_are_asked_for_again(server: ModelServer) -> None:
    server.script.append(says(write_answer([f"{BARN}, fog", f"{BARN}, rain"])))
    assert ask(server.url)[:2] == [f"{BARN}, fog", f"{BARN}, rain"]
    text = server.asked[1]["messages"][-1]["content"]
    assert f"Already written:\n{BARN}, fog\n{BARN}, rain\n\nWrite 3 new prompts." in text


def test_it_waits_as_long_as_the_server_says(server: ModelServer) -> None:
    server.script.append(Reply(429, b"", {"Retry-After": "1"}))
    assert len(ask(server.url)) == 5
    assert server.times[1] - server.times[0] >= 0.95


LASTING = {
    r"too many requests \(status 429\), asked 3 times.*concurrent_requests": Reply(429, b""),
    r"status 429\), asked once; it asks to wait 900 s": Reply(429, b"", {"Retry-After": "900"}),
    r"status 500, asked 3 times \(.*oops.*log": Reply(500, {"error": {"message": "oops"}}),
    r"no whole answer within 0\.5 s, asked 3 times: raise steer\.language_model\.timeout_s": Reply(
        delay_s=5.0
    ),
    r"no whole answer within 0\.5": Reply(200, b"{" + b" " * 1000, drip_s=0.1),
    r"cannot be reached.*start the server": Reply(hang_up=True),
    r"malformed JSON \('<html>'\), asked 3 times": Reply(200, b"<html>"),
    r"5 of 5 variants of 'a red barn at dusk' are missing, asked 3 times: an empty answer \(3\)": (
        says("")
    ),
    r"5 of 5 variants .* without the subject \(6\)": says(write_answer(["a cat", "a dog"])),
    r"4 of 5 variants .* repeated \(2\)\..*temperature": says(write_answer([f"{BARN}, fog"])),
    r"refuses the request \(status 404: .*no such model.*steer\.rewriter": Reply(
        404, {"error": {"message": "no such model"}}
    ),
}


@pytest.mark.parametrize("line", LASTING)
def test_a_fault_that_lasts_is_one_line_that_says_what_to_do(
    line: str, server: ModelServer
) -> None:
    server.always = LASTING[line]
    with pytest.raises(PamelaError, match=line) as caught:
        ask(server.url, timeout_s=0.5 if "no whole answer" in line else 20.0)
    assert "params.yaml" in str(caught.value) or "what was drawn is kept" in str(caught.value)


def test_a_server_that_is_off_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(PamelaError, match=r"cannot be reached \(.*refused.*start the server"):
        ask(f"http://127.0.0.1:{port}/v1")


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_a_key_goes_to_the_server_and_into_no_message(
    status: int,
    server: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    server.always = Reply(status, {"error": {"message": f"key {SECRET} is not good"}})
    with rewriter(server.url) as asked, pytest.raises(PamelaError) as caught:
        asked.rewrite([RewriteRequest(BARN, (), 5, (1,))])
    assert server.keys[0] == f"Bearer {SECRET}"
    assert SECRET not in str(caught.value) + asked.fingerprint + capsys.readouterr().err
    assert status not in (401, 403) or "OPENAI_API_KEY" in str(caught.value)


def test_an_endless_answer_is_not_read_whole(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pamela.steer.servers.openai_server.MAX_BYTES", 2**20)
    server.always = Reply(200, b" " * 3 * 2**20)
    with pytest.raises(PamelaError, match="an answer of more than 1 MB"):
        ask(server.url)
