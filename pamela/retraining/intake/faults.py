"""Two ways in which a batch does not enter: never as it is, or not now."""

from __future__ import annotations

from pamela.core.errors import PamelaError


class UnfitError(PamelaError):
    """A fault of the batch itself: it is refused until somebody mends it."""


class NotNowError(PamelaError):
    """No fault of the batch: it stays in the inbox, and the next cycle tries again."""
