"""The public API: a loaded reward model that scores, adapts, suggests and explains.

Registered models name this package as their MLflow loader: `_load_pyfunc` stays importable here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pamela.serving.pyfunc import Served


def _load_pyfunc(path: str) -> Served:
    """Load a bundle for MLflow; what it needs is imported only then."""
    from pamela.serving.pyfunc import load_pyfunc

    return load_pyfunc(path)
