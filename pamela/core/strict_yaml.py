"""YAML read strictly: a key that stands twice is an error, not the last one's say."""

from __future__ import annotations

from typing import Any

import yaml


class _OnceLoader(yaml.SafeLoader):
    """The safe loader, with every key of a mapping once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else id(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(text: str) -> Any:
    """Return the plain value of a YAML text.

    Raises
    ------
    yaml.YAMLError
        If it is no YAML, names a Python object, nests too deeply, or has a key twice.
    """
    try:
        return yaml.load(text, Loader=_OnceLoader)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def fault_of(error: Exception) -> tuple[str, str]:
    """Return where and what is wrong: ``:line`` and `` (problem)``, each empty if not known."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f":{mark.line + 1}" if mark else "", f" ({problem})" if problem else ""
