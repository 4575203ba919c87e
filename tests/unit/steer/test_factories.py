"""From params.yaml to generators and rewriters: what is unknown, no address or not installed."""

from __future__ import annotations

import pytest

from pamela.core.errors import PamelaError
from pamela.params import Params, load_params
from pamela.steer.generators.factory import get_generator
from pamela.steer.rewriters.factory import get_rewriter
from tests.paths import ROOT

BUILD = {"generator": get_generator, "rewriter": get_rewriter}


def params(**named: str) -> Params:
    found = load_params(ROOT / "params.yaml")
    return found.model_copy(update={"steer": found.steer.model_copy(update=named)})


@pytest.mark.parametrize(
    ("key", "name", "line"),
    [
        ("generator", "dalle", r"'dalle' is unknown; write embedded, diffusers:.* or openai:"),
        ("generator", "diffusers:", r"'diffusers:' is unknown"),
        ("generator", "openai:localhost:8000", r"'localhost:8000' is no base URL; write one such"),
        ("generator", "openai:http://name:word@host/v1", r"holds a name and password.*OPENAI_API"),
        ("generator", "openai:http://host/v1?api_key=abc", r"holds a name and password"),
        ("rewriter", "gpt", r"'gpt' is unknown; write vocabulary, embedded, .* or transf"),
        ("rewriter", "transformers:", r"'transformers:' is unknown"),
        ("rewriter", "chat:", r"'' is no base URL"),
        ("rewriter", "chat:ftp://host#m", r"'ftp://host' is no base URL"),
        ("rewriter", "chat:http://host:x/v1#m", r"is no base URL"),
        ("rewriter", "chat:http://TOKEN@host/v1#m", r"holds a name and password or a token"),
        ("rewriter", "chat:http://host/v1", r"name the server's model, as in http://host/v1#"),
    ],
)
def test_a_name_that_does_not_go_is_one_line(key: str, name: str, line: str) -> None:
    with pytest.raises(PamelaError, match=rf"^params\.yaml: steer\.{key}: .*{line}"):
        BUILD[key](params(**{key: name}))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("generator", "diffusers:folder"),
        ("generator", "openai:http://127.0.0.1:1/v1"),
        ("rewriter", "chat:http://127.0.0.1:1/v1#m"),
        ("rewriter", "transformers:folder"),
    ],
)
def test_an_extra_that_is_absent_is_one_line(
    key: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pamela.core.errors.find_spec", lambda package: None)
    with pytest.raises(PamelaError, match=r"is not installed: pip install 'pamela\[steer\]'"):
        BUILD[key](params(**{key: name}))
