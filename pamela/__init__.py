"""Personal reward models for text-to-image generation.

The public API is `load`, `Reward`, `Score` and `User`::

    reward = pamela.load("models:/pamela@champion")
    reward.score(user="synthetic/p017", prompt="a red barn at dusk", images=["barn.png"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pamela.serving.api import Reward, Score, User, load

    __version__: str

__all__ = ["Reward", "Score", "User", "load"]


def __getattr__(name: str) -> Any:
    """Import the API, or look up the version, on first use: `import pamela` itself stays light."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("pamela.serving.api"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("pamela")
    raise AttributeError(f"module 'pamela' has no attribute {name!r}")
