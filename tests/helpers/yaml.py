"""YAML for the tests, as the package reads it."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML


def safe_load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def safe_dump(value: Any) -> str:
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False
    yaml.default_flow_style = False  # `{uri: sqlite:///...}` is no YAML 1.2
    yaml.width = 2**31
    out = io.StringIO()
    yaml.dump(value, out)
    return out.getvalue()
