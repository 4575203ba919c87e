"""From the trials of a search to what a person sees: the path, the files of the run's folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pamela.core import schema as s
from pamela.core.files import atomic_path, write_json, write_parquet
from pamela.core.paths import Project
from pamela.serving.steering.result import PICTURE, RATING, Steered, Step
from pamela.serving.steering.settings import SteerSettings
from pamela.serving.steering.sheet import Tile, write_sheet
from pamela.serving.types import Score
from pamela.serving.user_context import UserContext
from pamela.steer.generators.base import Candidate, Generator, Image
from pamela.steer.search.scoring import draw
from pamela.steer.search.store import FolderStore, picture_key
from pamela.steer.search.trials import REWARD, ROUND, SEED, VARIANT
from pamela.steer.wording import changes

if TYPE_CHECKING:
    from pamela.serving.api import Reward


class OutcomeWriter:
    """Writes what a search for one person found.

    Parameters
    ----------
    generator : for pictures that the store has lost since.
    """

    def __init__(
        self,
        reward: Reward,
        project: Project,
        settings: SteerSettings,
        person: UserContext,
        store: FolderStore,
        generator: Generator,
    ) -> None:
        self.reward, self.project, self.settings = reward, project, settings
        self.person, self.store, self.generator = person, store, generator

    def write(self, folder: Path, found: pl.DataFrame, facts: Mapping[str, Any]) -> Steered:
        """Write the best picture, the path to it, all trials and a contact sheet."""
        bests = best_of_rounds(found)
        images = self._images(bests[s.PROMPT].to_list())
        scores = self._scores(images, bests[s.PROMPT].to_list())
        path = self._path(bests, scores)
        steered = Steered(
            picture=folder / "best.png",
            prompt=path[-1].prompt,
            score=path[-1].score,
            path=path,
            trials=self._trials(found),
            folder=folder,
            asked=self.store.counts.asked,
            drawn=self.store.counts.drawn,
        )
        with atomic_path(steered.picture) as aside:
            shutil.copyfile(path[-1].picture, aside)
        write_parquet(folder / "trials.parquet", steered.trials)
        write_json(folder / "result.json", {**facts, **steered.to_dict()})
        with atomic_path(folder / "path.md") as aside:
            aside.write_text(path_text(facts, path), encoding="utf-8")
        tiles = self._tiles(bests, images, scores, path)
        write_sheet(folder / "sheet.png", heading(facts), tiles)
        return steered

    def _images(self, prompts: Sequence[str]) -> list[Image]:
        wanted = [self._candidate(prompt) for prompt in prompts]
        drawn = draw(wanted, self.generator, self.store)
        return [drawn[one] for one in wanted]

    def _candidate(self, prompt: str) -> Candidate:
        start = self.settings.start
        return Candidate(start.prompt_id, prompt, start.seed)

    def _scores(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Score]:
        items = self.reward.pictures.items(images, prompts)
        prediction = self.reward.user_contexts.predict(self.person, items)
        return self.reward.scores(self.person, prediction, prompts)

    def _file(self, prompt: str) -> Path:
        return self.store.path(picture_key(self.generator.fingerprint, self._candidate(prompt)))

    def _changes(self, before: str, after: str) -> tuple[str, ...]:
        return tuple(map(str, changes(before, after, embedded=self.settings.embedded)))

    def _path(self, bests: pl.DataFrame, scores: Sequence[Score]) -> tuple[Step, ...]:
        """Return the rounds' bests that were better than all before."""
        path: list[Step] = []
        for row, score in zip(bests.iter_rows(named=True), scores, strict=True):
            if row["better"]:
                before = path[-1].prompt if path else row[s.PROMPT]
                said = self._changes(before, row[s.PROMPT])
                file = self._file(row[s.PROMPT])
                path.append(Step(row[ROUND], row[s.PROMPT], said, score, file))
        return tuple(path)

    def _trials(self, found: pl.DataFrame) -> pl.DataFrame:
        scale = self.reward.bundle.scales[self.person.dataset]
        files = [self.project.relative(self._file(prompt)) for prompt in found[s.PROMPT]]
        return found.select(
            ROUND,
            VARIANT,
            s.PROMPT,
            SEED,
            s.from_internal(pl.col(REWARD), *scale).alias(RATING),
            pl.Series(PICTURE, files, dtype=pl.String),
        )

    def _tiles(
        self,
        bests: pl.DataFrame,
        images: Sequence[Image],
        scores: Sequence[Score],
        path: Sequence[Step],
    ) -> list[Tile]:
        """Return the original, each round's best and what it changed, and the best of all."""
        original, rounds = path[0].prompt, bests[ROUND].to_list()
        tiles = [
            Tile(image, f"best of round {number}", [said(score), *self._changes(original, prompt)])
            for number, prompt, image, score in zip(
                rounds, bests[s.PROMPT], images, scores, strict=True
            )
        ]
        best = path[-1]
        final = images[rounds.index(best.round)]
        tiles[0] = Tile(images[0], "original", [said(scores[0])])
        return [*tiles, Tile(final, "best of all", [said(best.score), best.prompt])]


def best_of_rounds(trials: pl.DataFrame) -> pl.DataFrame:
    """Return the best trial of every round of one search, and whether it is `better` than before.

    Of equals the earliest; the original is better than nothing.
    """
    before = pl.col(REWARD).cum_max().shift(1)
    return (
        trials.sort(ROUND, -pl.col(REWARD), VARIANT)
        .group_by(ROUND, maintain_order=True)
        .first()
        .with_columns(better=(pl.col(REWARD) > before).fill_null(True))
    )


def said(score: Score) -> str:
    """Return a score in words."""
    return f"{score.rating:.2f} ± {score.std:.2f}, above {score.percentile:.0f} % of the pictures"


def heading(facts: Mapping[str, Any]) -> list[str]:
    """Return what the run is about, in two lines."""
    whose = f"{facts['user']} ({facts['source']})" if facts["user"] else "people in general"
    return [
        f"Steered for {whose}: {facts['prompt']}",
        f"{facts['model_version']}, drawn by {facts['generator']}, rewritten by "
        f"{facts['rewriter']}, {facts['rounds']} rounds of {facts['variants']}",
    ]


def path_text(facts: Mapping[str, Any], path: Sequence[Step]) -> str:
    """Return the path of prompts as Markdown."""
    title, about = heading(facts)
    lines = [f"# {title}", "", f"{about}.", ""]
    for number, step in enumerate(path, 1):
        where = f"round {step.round}" if step.round else "original"
        lines += [f"{number}. {where}: {said(step.score)}", f"   > {step.prompt}"]
        lines += [f"   - {change}" for change in step.changes]
    return "\n".join([*lines, ""])
