"""The simulated raters: what each truly thinks of a scene, and how they put it into a rating.

This is the embedded world's truth. Only its construction and the stages from evaluate on use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from pamela.errors import PamelaError
from pamela.io import read_json, read_parquet, write_json, write_parquet
from pamela.schema import SCALE_HIGH, SCALE_LOW, TEST_UNSEEN, TRAIN, USER, VAL_UNSEEN
from pamela.synthetic import people as p
from pamela.synthetic import taste
from pamela.synthetic.prompts import Spec

Floats = npt.NDArray[np.float64]
VERSION: Final = 1
# Of single opinions about the mean of a cell: taste, bias and noise together (measured).
SPREAD: Final = 1.21
MIDDLE: Final = 3.16  # a person's stretch of the scale leaves this rating in place


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


@dataclass(frozen=True)
class World:
    """People and their tastes.

    Attributes
    ----------
    people : see `pamela.synthetic.people.create_people`.
    shared : weights (columns,) of everybody's taste on `taste.design`.
    spread : of single opinions, by which published means are kept.
    """

    people: pl.DataFrame
    shared: Floats
    spread: float

    @classmethod
    def create(cls, params: WorldParams) -> World:
        """Draw the people of a world; the same params give the same world."""
        rng = np.random.Generator(np.random.PCG64([params.seed, 1]))
        validation = max(1, round(params.unseen_users * 12 / 43))
        if params.unseen_users < 2:
            raise PamelaError(
                "params.yaml: synthetic.unseen_users must be at least 2: one validates, one tests"
            )
        blocks = {
            TRAIN: params.train_users,
            VAL_UNSEEN: validation,
            TEST_UNSEEN: params.unseen_users - validation,
        }
        return cls(p.create_people(blocks, rng), taste.SHARED_WEIGHTS, SPREAD)

    def save(self, folder: Path) -> None:
        """Write ``world.json`` and ``users.parquet``."""
        shared = dict(zip(taste.COLUMNS, self.shared.tolist(), strict=True))
        write_json(
            folder / "world.json", {"version": VERSION, "spread": self.spread, "shared": shared}
        )
        write_parquet(folder / "users.parquet", self.people)

    @classmethod
    def load(cls, folder: Path) -> World:
        """Read a world that `save` wrote."""
        path = folder / "world.json"
        record = read_json(path)
        if record.get("version") != VERSION or tuple(record["shared"]) != taste.COLUMNS:
            raise PamelaError(f"{path}: written by another version; run the ingest stage again")
        shared = np.array(list(record["shared"].values()), float)
        return cls(read_parquet(folder / "users.parquet"), shared, float(record["spread"]))

    @property
    def users(self) -> pl.DataFrame:
        """Return user_id and demographics."""
        return self.people.select(USER, *p.DEMOGRAPHICS)

    def shared_utility(self, specs: Sequence[Spec]) -> Floats:
        """Return what people think of each scene on average (n,): the taste they share."""
        return taste.cell_opinions(specs, self.spread) + self.appeal(specs)

    def appeal(self, specs: Sequence[Spec]) -> Floats:
        """Return how far each scene (n,) is above its cell's mean, by what the picture shows."""
        return taste.design(specs) @ self.shared

    def utility(self, user_ids: Sequence[str], specs: Sequence[Spec]) -> Floats:
        """Return the noise-free opinions (users, scenes) on the 1..5 scale, before rounding.

        `specs` are complete scenes (`pamela.synthetic.render.scene_of`). A person's own use of the
        scale is not part of it.
        """
        own = self._weights(user_ids) @ taste.design(specs).T
        return self.shared_utility(specs)[None, :] + own

    def rate(
        self, utility: Floats, user_ids: Sequence[str], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Return ratings 1..5 of `utility` (users, ...): own use of the scale, noise, rounding.

        The first axis of `utility` is that of `user_ids`.
        """
        rows = self._rows(user_ids)
        shape = (len(rows),) + (1,) * (np.ndim(utility) - 1)
        bias, stretch, noise = (
            self.people.get_column(name).to_numpy()[rows].reshape(shape)
            for name in ("bias", "stretch", "noise_std")
        )
        said = MIDDLE + stretch * (np.asarray(utility) - MIDDLE) + bias
        noisy = said + noise * rng.normal(size=np.shape(utility))
        return np.clip(np.rint(noisy), SCALE_LOW, SCALE_HIGH).astype(np.int64)

    def noise_std(self, user_ids: Sequence[str]) -> Floats:
        """Return the standard deviation (users,) of each person's noise, before rounding."""
        return self.people.get_column("noise_std").to_numpy()[self._rows(user_ids)]

    def _weights(self, user_ids: Sequence[str]) -> Floats:
        weights = self.people.get_column(p.WEIGHTS).to_numpy()
        return np.stack([weights[row] for row in self._rows(user_ids)])

    def _rows(self, user_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        index = {name: row for row, name in enumerate(self.people.get_column(USER))}
        unknown = [name for name in user_ids if name not in index]
        if unknown:
            raise PamelaError(
                f"user {unknown[0]!r} is not in the embedded world: its users are "
                f"{min(index)} to {max(index)}"
            )
        return np.array([index[name] for name in user_ids], np.int64)
