"""Setting values of params.yaml in place: all else in the file stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pamela.cli.edit_params import set_params
from pamela.core.errors import PamelaError
from pamela.params import load_params
from tests.helpers import yaml
from tests.helpers.folders import ROOT

SHIPPED = (ROOT / "params.yaml").read_text()


def written(folder: Path, text: str = SHIPPED) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(text)
    return folder / "params.yaml"


def test_only_the_lines_that_change_change(tmp_path: Path) -> None:
    path = written(tmp_path)
    encoder = "ViT-B-32/openai"
    set_params(path, {"ingest.datasets": ["mine", "other"], "embed.encoder": encoder})
    before, after = SHIPPED.splitlines(), path.read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert [b.split("#")[0].rstrip() for _, b in changed] == [
        "  datasets: [mine, other]",
        "  encoder: ViT-B-32/openai",
    ]
    assert all(a.split("#")[1] == b.split("#")[1] for a, b in changed)
    params = load_params(path)
    assert params.ingest.datasets == ["mine", "other"]
    assert params.embed.encoder == encoder


@pytest.mark.parametrize(
    ("datasets", "then"),
    [
        ("\n    - synthetic  # ours\n    - other\n  # a comment below\n", "\n  - mine\n  # a com"),
        (" [synthetic,\n    other]  # two lines\n", " [mine] # two lines"),
        ("\n  - synthetic\n", "\n  - mine\n"),
        (" ['synthetic']\n", " [mine]\n"),
    ],
)
def test_a_list_in_any_style_is_replaced(tmp_path: Path, datasets: str, then: str) -> None:
    rest = SHIPPED.partition("\nsynthetic:")
    path = written(tmp_path, f"ingest:\n  datasets:{datasets}" + rest[1] + rest[2])
    set_params(path, {"ingest.datasets": ["mine"]})
    assert path.read_text().startswith(f"ingest:\n  datasets:{then}")
    assert path.read_text().endswith(rest[2])
    assert load_params(path).ingest.datasets == ["mine"]


@settings(max_examples=40, deadline=None)
@given(encoder=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1))
@example(encoder="a\x85b")
@example(encoder="a\u2028b")
@example(encoder="\ufeff")
def test_any_text_reads_back_as_it_was(
    encoder: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("p"))
    try:
        set_params(path, {"embed.encoder": encoder})
    except PamelaError:
        assert path.read_text() == SHIPPED
        return
    assert yaml.safe_load(path.read_text())["embed"]["encoder"] == encoder


def test_what_would_break_the_params_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    for changes, match in [
        ({"ingest.datasets": ["a b"]}, r"params\.yaml: ingest\.datasets\.0"),
        ({"ingest.datasets": []}, "ingest.datasets"),
        ({"ingest.nothing": "x"}, r"no key ingest\.nothing"),
    ]:
        with pytest.raises(PamelaError, match=match):
            set_params(path, changes)
        assert path.read_text() == SHIPPED
    with pytest.raises(PamelaError, match="unknown key"):
        set_params(written(tmp_path, SHIPPED + "\nmore: 1\n"), {"embed.encoder": "x"})
    assert [p.name for p in tmp_path.iterdir()] == ["params.yaml"]
