"""What MLflow's page of runs shows: which columns, in which order, and what the experiment is."""

from __future__ import annotations

import json
from typing import Final

NOTE: Final = "mlflow.note.content"
VIEW: Final = "pamela"  # the name of the saved view, for servers that are not ours
NAME, CREATED, DURATION = "attributes.`Run Name`", "runDateAndNestInfo", "duration"
FIXED: Final = (NAME, CREATED, DURATION)  # always shown
# columns in order, with their width in pixels: what matters most stands within 1,100
WIDTHS: Final = {
    NAME: 225,
    CREATED: 125,
    "metrics.`seen_srocc`": 85,
    "metrics.`unseen_srocc`": 100,
    "metrics.`seen_pairwise_accuracy`": 100,
    "tags.`seen_gain_over_population`": 170,
    DURATION: 80,
    "metrics.`unseen_pairwise_accuracy`": 180,
    "tags.`unseen_gain_over_population`": 205,
    "attributes.`Dataset`": 190,
    "tags.`reason`": 110,
    "tags.`git_commit`": 110,
}
VIEW_STATE: Final = {
    "selectedColumns": [name for name in WIDTHS if name not in FIXED],
    "columnOrder": list(WIDTHS),
    "columnWidths": WIDTHS,
}
EXPERIMENT_TAGS: Final = {
    f"mlflow.sharedViewState.{VIEW}": json.dumps(VIEW_STATE),
    "mlflow.experimentKind": "custom_model_development",
    NOTE: (
        "Personal reward models. Below each run `pipeline` stand its models and its steering.\n\n"
        "`pipeline` holds the report and a table of all models. A run is found again by the hash "
        "of what produced it (tag `pamela.hash`), so the same result is never logged twice."
    ),
}
