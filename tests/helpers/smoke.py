"""The smoke-sized world: every part of the pipeline for real, in well under a minute of work."""

from __future__ import annotations

from typing import Any

SMOKE: dict[str, Any] = {
    "synthetic": {
        "train_users": 24,
        "unseen_users": 8,
        "train_images": 160,
        "heldout_images": 80,
        "ratings": 2200,
        "image_size": 64,
    },
    "train": {
        "models": ["global_mean", "user_mean", "group_mean", "population", "paper", "hierarchical"],
        "cv_folds": 2,
        "cv_trials": 2,
        "max_epochs": 3,
        "patience": 2,
        "batch_size": 256,
    },
    "evaluate": {"bootstrap": 100},
    "steer": {"users": 3, "prompts": 2, "variants": 4, "rounds": 2, "bootstrap": 100},
}
