"""Every command says what it does, and runs nothing for words that it does not know."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests.paths import ROOT

OF_OTHERS = {"family", "mlflow_app"}  # started by other commands, with words of their own
TAKE_WORDS = {"external", "pipeline"}  # names that their params know, and what DVC takes
COMMANDS = sorted(
    path.stem
    for path in (ROOT / "flows").glob("*.py")
    if '__name__ == "__main__"' in path.read_text("utf-8") and path.stem not in OF_OTHERS
)


def run(name: str, word: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", [name, word])
    monkeypatch.delitem(sys.modules, f"flows.{name}", raising=False)
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"flows.{name}", run_name="__main__", alter_sys=True)
    return int(str(end.value.code))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "--help", monkeypatch) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m flows.{name} ")
    assert len(said.splitlines()) > 5


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in TAKE_WORDS])
def test_a_word_that_it_does_not_know_stops_a_command(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "fast", monkeypatch) == 2
    assert f"python -m flows.{name}: error: " in capsys.readouterr().err
