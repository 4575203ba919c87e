"""What steering for one person found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pamela.serving.types import Score

RATING: Final = "rating"
PICTURE: Final = "picture"


@dataclass(frozen=True)
class Step:
    """A prompt on the way from the original to the best one.

    Attributes
    ----------
    round : in which it was found; 0: the original.
    changes : what it says otherwise than the step before, in words.
    score : of its picture, on the person's own scale.
    picture : its file.
    """

    round: int
    prompt: str
    changes: tuple[str, ...]
    score: Score
    picture: Path


@dataclass(frozen=True)
class Steered:
    """The picture that a person is predicted to like best, and how it was found.

    Attributes
    ----------
    picture, prompt, score : of the best; the score is what `Reward.score` says of them.
    path : the original, then each round's best that was better than all before, to the best one.
    trials : DataFrame (round, variant, prompt, seed, rating, picture), a row per picture: `rating`
        is what was steered by, on the person's own scale (less the penalty, if any), `picture` its
        file, from the project's root.
    folder : of the run: best.png, sheet.png, path.md, result.json, trials.parquet.
    asked, drawn : pictures that were asked for, and that the generator drew this time.
    run_id : of the run in MLflow; None where it was not asked for.
    """

    picture: Path
    prompt: str
    score: Score
    path: tuple[Step, ...]
    trials: pl.DataFrame
    folder: Path
    asked: int
    drawn: int
    run_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the best and the path to it as JSON-able values."""
        return {
            "best": {"prompt": self.prompt, "score": asdict(self.score)},
            "path": [
                {key: value for key, value in asdict(step).items() if key != PICTURE}
                for step in self.path
            ],
        }
