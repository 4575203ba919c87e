"""The simulated raters: what each truly thinks of a scene, and how they put it into a rating.

This is the embedded world's truth. Only its construction and the stages from evaluate on use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import polars as pl

from pamela.core.arrays import Floats, Ints
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, read_parquet, write_json, write_parquet
from pamela.core.schema import (
    GROUP,
    SCALE_HIGH,
    SCALE_LOW,
    STYLE,
    TEST_UNSEEN,
    TRAIN,
    TYPE,
    USER,
    VAL_UNSEEN,
)
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import Spec
from pamela.synthetic.raters import people as p
from pamela.synthetic.raters import unseen_panel
from pamela.synthetic.raters import utility as taste
from pamela.synthetic.raters.prior import MIDDLE, TastePrior

VERSION: Final = 3
VALIDATION_SHARE: Final = 12 / 43  # of the unseen people
# Of single opinions about the mean of a cell: taste, bias and noise together (measured).
SPREAD: Final = 1.20


class WorldParams(Protocol):
    """What the world needs of ``params.synthetic``."""

    @property
    def seed(self) -> int:
        """Seed of everything."""

    @property
    def train_users(self) -> int:
        """People with training ratings."""

    @property
    def unseen_users(self) -> int:
        """People without."""


def shared_opinion(specs: Sequence[Spec], weights: Floats, spread: float) -> Floats:
    """Return the opinion of each scene (n,) that everybody shares, given shared `weights`."""
    return taste.cell_opinions(specs, spread) + taste.design(specs) @ weights


def rate(people: pl.DataFrame, utility: Floats, noise: Floats) -> Ints:
    """Return ratings 1..5 of `utility` (people, ...): `impression`, rounded."""
    said = impression(people, utility, noise)
    return np.clip(np.rint(said), SCALE_LOW, SCALE_HIGH).astype(np.int64)


def impression(people: pl.DataFrame, utility: Floats, noise: Floats) -> Floats:
    """Return how much people like what has `utility` (people, ...): own use of the scale, noise.

    Parameters
    ----------
    noise : shape of `utility`, in each person's own standard deviations.
    """
    shape = (people.height,) + (1,) * (np.ndim(utility) - 1)
    bias, stretch, spread = (
        people.get_column(name).to_numpy().reshape(shape)
        for name in ("bias", "stretch", "noise_std")
    )
    found: Floats = MIDDLE + stretch * (np.asarray(utility) - MIDDLE) + bias + spread * noise
    return found


def scenes_of(images: pl.DataFrame) -> list[Spec]:
    """Return the complete scenes of pictures as ``data/truth/images.parquet`` holds them."""
    return [
        Spec(
            row[TYPE],
            row[GROUP],
            row["subject"],
            row[STYLE],
            {name: row[name] for name in v.ATTRIBUTES if row[name] is not None},
            row["lighting"],
        )
        for row in images.iter_rows(named=True)
    ]


def load_prior(folder: Path) -> TastePrior:
    """Return what the people of a saved world were drawn from, and nothing of the people."""
    return TastePrior(np.array(_read_record(folder)["loadings"], float))


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / "world.json"
    record: dict[str, Any] = read_json(path)
    if record.get("version") != VERSION or tuple(record["shared"]) != taste.COLUMNS:
        raise PamelaError(f"{path}: written by another version; run the ingest stage again")
    return record


@dataclass(frozen=True)
class World:
    """People and their tastes.

    Attributes
    ----------
    people : user_id, the block of the release that a person belongs to (train, val_unseen,
        test_unseen), and what `pamela.synthetic.raters.people.create_people` says.
    shared : weights (columns,) of everybody's taste on `taste.design`.
    prior : what people are drawn from.
    nations : what each nationality adds to its people's bias.
    spread : of single opinions, by which published means are kept.
    """

    people: pl.DataFrame
    shared: Floats
    prior: TastePrior
    nations: Floats
    spread: float

    @classmethod
    def create(cls, params: WorldParams) -> World:
        """Draw the people of a world; the same params give the same world."""
        if params.unseen_users < 2:
            raise PamelaError(
                "params.yaml: synthetic.unseen_users must be at least 2: one validates, one tests"
            )
        rng = np.random.Generator(np.random.PCG64([params.seed, 1]))
        prior, nations = TastePrior.create(rng), p.draw_nations(rng)
        trained = p.centred(p.create_people(params.train_users, prior, nations, rng))
        scenes = unseen_panel.reference_scenes(rng)
        shared = shared_opinion(scenes, taste.SHARED_WEIGHTS, SPREAD)
        wanted = unseen_panel.predictability(p.busy(trained), scenes, shared)
        validation = max(1, round(params.unseen_users * VALIDATION_SHARE))
        rng = np.random.Generator(np.random.PCG64([params.seed, 6]))
        blocks = [trained.with_columns(pl.lit(TRAIN).alias(p.BLOCK))]
        for block, size in (
            (VAL_UNSEEN, validation),
            (TEST_UNSEEN, params.unseen_users - validation),
        ):
            candidates = size * unseen_panel.panels_of(size)
            pool = p.create_people(candidates, prior, nations, rng, group=size, all_busy=True)
            rows = unseen_panel.choose_panel(
                wanted, unseen_panel.predictability(pool, scenes, shared), size
            )
            blocks.append(pool[rows].with_columns(pl.lit(block).alias(p.BLOCK)))
        people = p.numbered(pl.concat(blocks), rng)
        return cls(people, taste.SHARED_WEIGHTS, prior, nations, SPREAD)

    def save(self, folder: Path) -> None:
        """Write ``world.json`` and ``users.parquet``."""
        shared = dict(zip(taste.COLUMNS, self.shared.tolist(), strict=True))
        write_json(
            folder / "world.json",
            {
                "version": VERSION,
                "spread": self.spread,
                "shared": shared,
                "loadings": self.prior.loadings.tolist(),
                "nations": self.nations.tolist(),
            },
        )
        write_parquet(folder / "users.parquet", self.people)

    @classmethod
    def load(cls, folder: Path) -> World:
        """Read a world that `save` wrote."""
        record = _read_record(folder)
        return cls(
            people=read_parquet(folder / "users.parquet"),
            shared=np.array(list(record["shared"].values()), float),
            prior=TastePrior(np.array(record["loadings"], float)),
            nations=np.array(record["nations"], float),
            spread=float(record["spread"]),
        )

    @property
    def users(self) -> pl.DataFrame:
        """Return user_id and demographics."""
        return self.people.select(USER, *p.DEMOGRAPHICS)

    def shared_utility(self, specs: Sequence[Spec]) -> Floats:
        """Return what people think of each scene on average (n,): the taste they share."""
        return shared_opinion(specs, self.shared, self.spread)

    def appeal(self, specs: Sequence[Spec]) -> Floats:
        """Return how far each scene (n,) is above its cell's mean, by what the picture shows."""
        return taste.design(specs) @ self.shared

    def utility(self, user_ids: Sequence[str], specs: Sequence[Spec]) -> Floats:
        """Return the noise-free opinions (users, scenes) on the 1..5 scale, before rounding.

        `specs` are complete scenes (`pamela.synthetic.rendering.render.scene_of`). A person's own
        use of the scale is not part of it.
        """
        own = self._weights(user_ids) @ taste.design(specs).T
        return self.shared_utility(specs)[None, :] + own

    def rate(self, utility: Floats, user_ids: Sequence[str], rng: np.random.Generator) -> Ints:
        """Return ratings 1..5 of `utility` (users, ...): own use of the scale, noise, rounding.

        The first axis of `utility` is that of `user_ids`.
        """
        return rate(self.rows_of(user_ids), utility, rng.normal(size=np.shape(utility)))

    def noise_std(self, user_ids: Sequence[str]) -> Floats:
        """Return the standard deviation (users,) of each person's noise, before rounding."""
        return self.people.get_column("noise_std").to_numpy()[self._rows(user_ids)]

    def rows_of(self, user_ids: Sequence[str]) -> pl.DataFrame:
        """Return the rows of `people` (with repeats) of these users, in this order."""
        return self.people[self._rows(user_ids)]

    def _weights(self, user_ids: Sequence[str]) -> Floats:
        return p.weights_of(self.rows_of(user_ids))

    def _rows(self, user_ids: Sequence[str]) -> Ints:
        index = {name: row for row, name in enumerate(self.people.get_column(USER))}
        unknown = [name for name in user_ids if name not in index]
        if unknown:
            raise PamelaError(
                f"user {unknown[0]!r} is not in the embedded world: its users are "
                f"{min(index)} to {max(index)}"
            )
        return np.array([index[name] for name in user_ids], np.int64)
