"""Random batches, and the soak's own account of them: what was delivered, and what must follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl

from tests.helpers import yaml
from tests.helpers.taste_project import DIM, TRAIN_IMAGES, TRAINED, Planted

Kind = Literal["honest", "faulty rows", "incomplete", "refused", "poisoned"]
SHARES: Final[dict[Kind, float]] = {
    "honest": 0.4, "faulty rows": 0.2, "incomplete": 0.15, "refused": 0.1, "poisoned": 0.15,
}  # fmt: skip
KEYS: Final = ["user_id", "image_id", "rating"]


@dataclass
class Delivery:
    """One batch as it was brought.

    Attributes
    ----------
    sound, faulty : its ratings that must be learned, and those that must go to the quarantine.
    contents : of each file, as text.
    """

    name: str
    kind: Kind
    sound: pl.DataFrame
    faulty: pl.DataFrame
    contents: dict[str, str]


@dataclass
class Account:
    """All that was ever delivered; the product's code has no part in it."""

    planted: Planted
    inbox: Path
    rng: np.random.Generator
    rated: set[tuple[str, str]]  # no pair is sound twice
    deliveries: list[Delivery] = field(default_factory=list)
    people: list[str] = field(default_factory=lambda: [f"u{k:02d}" for k in range(TRAINED)])
    shares: dict[Kind, float] = field(default_factory=lambda: dict(SHARES))

    @classmethod
    def open(cls, planted: Planted, project: Path, known: pl.DataFrame, seed: int) -> Account:
        """Begin one for a project to which some ratings were brought before."""
        pairs = set(known.select("user_id", "image_id").iter_rows())
        planted.rng = np.random.default_rng(seed)
        inbox = project / "data" / "inbox" / "planted"
        return cls(planted, inbox, np.random.default_rng([seed, DIM]), pairs)

    def deliver(self, kind: Kind | None = None) -> Delivery:
        """Bring a batch of some kind; one that was incomplete may become complete."""
        self._complete_some()
        kinds, weights = list(self.shares), np.array(list(self.shares.values()))
        kind = kind or kinds[self.rng.choice(len(kinds), p=weights / weights.sum())]
        ratings = self._fresh(kind)
        faulty = self._faults(ratings) if kind == "faulty rows" else ratings.clear()
        if kind == "refused":
            ratings, faulty = ratings.clear(), ratings.with_columns(rating=pl.lit(9.0))
        name = f"b{len(self.deliveries):03d}-{kind.replace(' ', '-')}"
        text = pl.concat([ratings, faulty]).sample(fraction=1, shuffle=True, seed=1).write_csv()
        contents = {
            "ratings.csv": text,
            "dataset.yaml": yaml.safe_dump({"name": "planted", "scale": [1, 5]}),
        }
        made = Delivery(name, kind, ratings, faulty, contents)
        folder = self.inbox / name
        folder.mkdir(parents=True)
        for file, content in contents.items():
            (folder / file).write_text(content)
        if kind != "incomplete":
            (folder / "_DONE").touch()
        self.deliveries.append(made)
        return made

    def _complete_some(self) -> None:
        for one in self.deliveries:
            if one.kind == "incomplete" and self.rng.random() < 0.3:
                (self.inbox / one.name / "_DONE").touch()
                one.kind = "honest"

    def _fresh(self, kind: Kind) -> pl.DataFrame:
        """Return ratings of pairs that nobody has brought before."""
        new = [f"n{len(self.deliveries):03d}-{k}" for k in range(int(self.rng.integers(1, 12)))]
        if kind == "poisoned":
            new = [f"{name}-{k}" for name in new for k in range(6)]
            users = new
        else:
            known = self.rng.choice(self.people, size=int(self.rng.integers(1, 8)), replace=False)
            users = [*known.tolist(), *(new if self.rng.random() < 0.7 else [])]
            self.people += [user for user in users if user in new]
        each, sign = int(self.rng.integers(5, 30)), -1.0 if kind == "poisoned" else 1.0
        found = self.planted.rate(users, range(TRAIN_IMAGES), each, sign)
        is_new = [pair not in self.rated for pair in found.select(KEYS[:2]).iter_rows()]
        fresh = found.filter(pl.Series(is_new, dtype=pl.Boolean))
        self.rated.update(fresh.select(KEYS[:2]).iter_rows())
        return fresh

    def _faults(self, ratings: pl.DataFrame) -> pl.DataFrame:
        """Return rows of which each breaks a rule: off the scale, or of a picture nobody has."""
        some = ratings.head(max(1, len(ratings) // 12))
        odd = pl.int_range(pl.len()) % 2 == 0
        return some.with_columns(
            user_id=pl.lit("f") + pl.col("user_id"),
            rating=pl.when(odd).then(9.0).otherwise(pl.col("rating")),
            image_id=pl.when(odd).then(pl.col("image_id")).otherwise(pl.lit("nowhere")),
        )
