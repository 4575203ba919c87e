"""An explanation that draws itself: what `Reward.explain` returns."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from pamela.core.errors import PamelaError, require
from pamela.explain import result
from pamela.explain.explainer import Explainer, Person
from pamela.explain.personal_part import Context
from pamela.serving.user_context import UserContext


class Explanation(result.Explanation):
    """What raises and lowers a person's scores, as tables and as a picture."""

    def plot(self, path: str | PathLike[str], files: Mapping[str, Path] | None = None) -> Path:
        """Draw concepts, words and example pictures to a PNG and return its path.

        Parameters
        ----------
        files : picture file by image id; by default those of the project around the working
            directory. Pictures without a file are left out.

        Raises
        ------
        PamelaError
            If the path is no PNG's or cannot be written.
        """
        require("matplotlib", "to plot an explanation")
        from pamela.reporting.plots.explanation import files_here, write_plot

        if not isinstance(path, str | PathLike) or Path(path).suffix.lower() != ".png":
            raise PamelaError(f"plot {path}: name a file that ends in .png")
        found = files_here(self) if files is None else files
        try:
            return write_plot(self, Path(path), found)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            why = getattr(error, "strerror", None) or str(error)
            raise PamelaError(f"plot {path}: cannot be written ({why})") from None


def explain_taste(explainer: Explainer, name: str, who: UserContext) -> Explanation:
    """Return what raises and lowers the scores of a user called `name`."""
    shown = Context(who.context, *who.shown()) if len(who.context) else None
    return Explanation(**vars(explainer.explain(Person(name, who.source, who.person, shown))))
