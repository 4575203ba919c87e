"""Personal reward models for text-to-image generation.

The public API is `load`, `Score` and `User`::

    reward = pamela.load("models:/pamela@champion")
    reward.score(user="synthetic/p017", prompt="a red barn at dusk", images=["barn.png"])
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Score", "User", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the API on first use: `import pamela` itself stays light."""
    if name in __all__:
        return getattr(import_module("pamela.serving.api"), name)
    raise AttributeError(f"module 'pamela' has no attribute {name!r}")
