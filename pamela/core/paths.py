"""Where things lie: the project root and every path below it, in one place.

The root is the nearest ``params.yaml`` at or above the working directory, never the place the
package is installed, so that two clones may share one environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pamela.core.errors import PamelaError


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` that holds a ``params.yaml``.

    Raises
    ------
    PamelaError
        If there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise PamelaError(f"no params.yaml at or above {here}: run the command inside a pamela project")


class Below:
    """A path below the root of a `Project`."""

    def __init__(self, relative: str) -> None:
        self.relative = relative

    def __get__(self, project: Project, _: type[Project]) -> Path:
        return project.root / self.relative


@dataclass(frozen=True)
class Project:
    """The paths of one project; every module asks here and none spells a path itself."""

    root: Path

    @classmethod
    def here(cls, start: Path | None = None) -> Project:
        """Return the project around the working directory."""
        return cls(find_root(start))

    # --- inputs -------------------------------------------------------------------------------
    params_file = Below("params.yaml")
    expectations = Below("expectations")  # Great Expectations suites as JSON
    raw = Below("data/raw")  # imported datasets, one DVC-tracked folder each
    batches = Below("data/batches")  # accepted batches of new ratings: `<dataset>/<batch>/`
    # accepted batches that the gate found to make the model worse: no part of the data
    set_aside = Below("data/set_aside")
    # batches that wait: `<dataset>/<batch>/` with `_DONE` when complete
    inbox = Below("data/inbox")
    withdrawn = Below("data/withdrawn.csv")  # who is left out (dataset, user_id)
    # people whom models are adapted to, a file each (git-ignored: it is personal)
    people = Below("data/people")
    # studies with people, a folder each: answers, pictures (git-ignored: it is personal)
    studies = Below("data/studies")

    # --- stage outputs ------------------------------------------------------------------------
    # the embedded dataset in the PAMELA release's layout (ingest)
    synthetic = Below("data/synthetic")
    # the embedded world's truth (ingest); only evaluate, steer and report may read it
    truth = Below("data/truth")
    tables = Below("data/tables")  # the canonical tables and `datasets.json` (ingest)
    validated = Below("data/validated")  # the canonical tables less the quarantined rows (validate)
    quarantine = Below("data/quarantine")  # faulty rows with rule and source row (validate)
    splits = Below("data/splits")  # who and what is held out, per fold (split)
    features = Below("data/features")  # image and prompt features (embed)
    external = Below("data/external")  # scores from elsewhere, checked: `<name>.parquet` (external)
    models = Below("models")  # fitted models: `<model>/fold_<k>/` (train)
    reports = Below("reports")  # tables, plots and the report
    metrics = Below("metrics")  # flat JSON for `dvc metrics`

    # --- retraining ---------------------------------------------------------------------------
    # the model of a retraining cycle, until the next (git-ignored)
    challenger = Below("challenger")

    # --- local state --------------------------------------------------------------------------
    prefect_home = Below(".prefect")  # Prefect's database and server log (git-ignored)
    timings = Below(".prefect/timings")  # when each stage's last run did what (`core.timeline`)
    # checkpoints of fits that are not done (git-ignored; empty when all is well)
    checkpoints = Below(".checkpoints")
    # which picture files were hashed and decoded before (git-ignored; may be deleted)
    picture_cache = Below(".cache/pictures")
    # refused batches whose own folder cannot be marked (git-ignored; may be deleted)
    refusals = Below(".cache/refused")
    # features of pictures that saved people rated (git-ignored; may be deleted)
    people_cache = Below(".cache/people")
    # features of pictures and prompts that were scored lately (git-ignored; may be deleted)
    score_cache = Below(".cache/score")
    # pictures that steering drew, and their scores, by content (git-ignored; may be deleted)
    steering_cache = Below(".cache/steering")
    # what `pamela steer` found, a folder for each person and prompt (git-ignored: it is personal)
    steering = Below("steering")
    mlartifacts = Below("mlartifacts")  # MLflow's artifact store (git-ignored)

    def relative(self, path: Path) -> str:
        """Return `path` as text relative to the root, for messages and records."""
        return os.path.relpath(path, self.root)
