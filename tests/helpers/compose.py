"""The commands of compose.yaml, for tests that run the same ones without containers."""

from __future__ import annotations

from collections.abc import Mapping

from tests.helpers import yaml
from tests.paths import ROOT


def command_of(service: str, here: Mapping[str, str]) -> list[str]:
    """Return the words of a service's command, with those of `here` in place of its own."""
    words = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"][service]["command"]
    return [here.get(str(word), str(word)) for word in words]
