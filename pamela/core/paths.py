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


@dataclass(frozen=True)
class Project:
    """The paths of one project; every module asks here and none spells a path itself."""

    root: Path

    @classmethod
    def here(cls, start: Path | None = None) -> Project:
        """Return the project around the working directory."""
        return cls(find_root(start))

    # --- inputs -------------------------------------------------------------------------------
    @property
    def params_file(self) -> Path:
        """``params.yaml``."""
        return self.root / "params.yaml"

    @property
    def expectations(self) -> Path:
        """Great Expectations suites as JSON."""
        return self.root / "expectations"

    @property
    def raw(self) -> Path:
        """Imported datasets, one DVC-tracked folder each."""
        return self.root / "data" / "raw"

    @property
    def batches(self) -> Path:
        """Accepted batches of new ratings: ``<dataset>/<batch>/``."""
        return self.root / "data" / "batches"

    @property
    def inbox(self) -> Path:
        """Batches that wait: ``<dataset>/<batch>/`` with ``_DONE`` when complete."""
        return self.root / "data" / "inbox"

    @property
    def people(self) -> Path:
        """People whom models are adapted to, a file each (git-ignored: it is personal)."""
        return self.root / "data" / "people"

    # --- stage outputs ------------------------------------------------------------------------
    @property
    def synthetic(self) -> Path:
        """The embedded dataset in the PAMELA release's layout (ingest)."""
        return self.root / "data" / "synthetic"

    @property
    def truth(self) -> Path:
        """The embedded world's truth (ingest); only evaluate, steer and report may read it."""
        return self.root / "data" / "truth"

    @property
    def tables(self) -> Path:
        """The canonical tables and ``datasets.json`` (ingest)."""
        return self.root / "data" / "tables"

    @property
    def validated(self) -> Path:
        """The canonical tables less the quarantined rows (validate)."""
        return self.root / "data" / "validated"

    @property
    def quarantine(self) -> Path:
        """Faulty rows with rule and source row (validate)."""
        return self.root / "data" / "quarantine"

    @property
    def splits(self) -> Path:
        """Who and what is held out, per fold (split)."""
        return self.root / "data" / "splits"

    @property
    def features(self) -> Path:
        """Image and prompt features (embed)."""
        return self.root / "data" / "features"

    @property
    def models(self) -> Path:
        """Fitted models: ``<model>/fold_<k>/`` (train)."""
        return self.root / "models"

    @property
    def reports(self) -> Path:
        """Tables, plots and the report."""
        return self.root / "reports"

    @property
    def metrics(self) -> Path:
        """Flat JSON for ``dvc metrics``."""
        return self.root / "metrics"

    # --- local state --------------------------------------------------------------------------
    @property
    def prefect_home(self) -> Path:
        """Prefect's database and server log (git-ignored)."""
        return self.root / ".prefect"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of fits that are not done (git-ignored; empty when all is well)."""
        return self.root / ".checkpoints"

    @property
    def picture_cache(self) -> Path:
        """Which picture files were hashed and decoded before (git-ignored; may be deleted)."""
        return self.root / ".cache" / "pictures"

    @property
    def people_cache(self) -> Path:
        """Features of pictures that saved people rated (git-ignored; may be deleted)."""
        return self.root / ".cache" / "people"

    @property
    def mlartifacts(self) -> Path:
        """MLflow's artifact store (git-ignored)."""
        return self.root / "mlartifacts"

    def relative(self, path: Path) -> str:
        """Return `path` as text relative to the root, for messages and records."""
        return os.path.relpath(path, self.root)
