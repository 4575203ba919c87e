"""A search whose prompts and pictures come from servers: what a fault in the middle leaves."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pamela.core.errors import PamelaError
from pamela.params import Params, load_params
from pamela.steer.generators.base import Candidate
from pamela.steer.generators.factory import get_generator
from pamela.steer.rewriters.factory import get_rewriter
from pamela.steer.search.loop import run_searches
from pamela.steer.search.store import FolderStore
from pamela.steer.search.trials import Search
from tests.helpers.extras import needs
from tests.helpers.model_server import Reply, model_server
from tests.paths import ROOT

pytestmark = needs("steer")

BARN = "a red barn at dusk"
ROUNDS, VARIANTS = 2, 6


class Brightness:
    """A reward that needs no model."""

    fingerprint = "brightness"
    personal = False

    def score(self, users: Any, candidates: Any, images: Any) -> Any:
        return np.array([image.mean() for image in images])


def params_of(url: str) -> Params:
    params = load_params(ROOT / "params.yaml")
    steer = params.steer
    images = {"width": 16, "height": 16, "attempts": 2, "concurrent_requests": 2}
    named = {
        "generator": f"openai:{url}#draws",
        "rewriter": f"chat:{url}#writes",
        "rounds": ROUNDS,
        "variants": VARIANTS,
        "image_server": steer.image_server.model_copy(update=images),
    }
    return params.model_copy(update={"steer": steer.model_copy(update=named)})


def run(params: Params, folder: Path) -> Any:
    searches = [Search("brightness", None, Candidate("p0", BARN, 7))]
    with get_generator(params) as generator, get_rewriter(params) as rewriter:
        return run_searches(
            searches,
            generator=generator,
            rewriter=rewriter,
            rewards={"brightness": Brightness()},
            settings=params.steer,
            advance=lambda n: None,
            store=FolderStore(folder / "kept"),
            folder=folder / "run",
        )


def test_a_run_that_a_server_broke_goes_on_and_asks_for_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "run").mkdir()
    with model_server() as server:
        # the first picture, one answer, two and two pictures; then it fails
        server.script.extend([None] * 6 + [Reply(500, b"")] * 4)
        with pytest.raises(PamelaError, match=r"status 500, asked 2 times.*what was drawn is kept"):
            run(params_of(server.url), tmp_path)
        for thread in threading.enumerate():  # a request beside the one that failed
            if thread.name.startswith("openai"):
                thread.join(10)
        server.script.clear()
        before = len(server.asked)
        trials = run(params_of(server.url), tmp_path)
        later = server.asked[before:]
    assert trials.height == 1 + ROUNDS * VARIANTS
    assert trials["reward"].null_count() == 0
    written = [body for body in later if "messages" in body]
    drawn = [body["prompt"] for body in later if "prompt" in body]
    assert len(written) == 1  # the second round's; the first's were written down
    assert len(drawn) == len(set(drawn)) == 2 + VARIANTS
    assert "Best so far, as score: prompt" in written[0]["messages"][-1]["content"]
