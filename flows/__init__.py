"""Thin Prefect flows, one per stage of dvc.yaml; no statistics and no training code here."""

import sys

from pamela.core.errors import PamelaError, require

try:
    require("prefect", "the pipeline")
    require("dvc", "the pipeline")
except PamelaError as error:
    sys.exit(f"error: {error}")
