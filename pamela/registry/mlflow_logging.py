"""MLflow without its chatter and telemetry: called before anything else of it is used."""

from __future__ import annotations

import logging
import os
from typing import Final

SETTINGS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
}


def quieten_mlflow() -> None:
    """Import MLflow and let it say warnings alone: its import sets levels of its own."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # the first raises what it logs; the second, of which a run can do without, logs pages
    for name in ("mlflow.store.db.utils", "mlflow.system_metrics"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
