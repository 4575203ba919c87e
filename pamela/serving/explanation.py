"""An explanation that draws itself: what `Reward.explain` returns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pamela.core.errors import require
from pamela.explain import result


class Explanation(result.Explanation):
    """What raises and lowers a person's scores, as tables and as a picture."""

    def plot(self, path: str | Path, files: Mapping[str, Path] | None = None) -> Path:
        """Draw concepts, words and example pictures to a PNG and return its path.

        Parameters
        ----------
        files : picture file by image id; by default those of the project around the working
            directory. Pictures without a file are left out.
        """
        require("matplotlib", "to plot an explanation")
        from pamela.reporting.plots.explanation import files_here, write_plot

        found = files_here(self) if files is None else files
        return write_plot(self, Path(path), found)
