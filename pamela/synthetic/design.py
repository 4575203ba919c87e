"""The release's design: which pictures there are, and who rates which of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.synthetic import vocabulary as v
from pamela.synthetic.prompts import Spec, sample_spec_of, styles_of, write_prompt
from pamela.synthetic.published_facts import GROUP_FACTS, STYLE_FACTS
from pamela.synthetic.raters import people as p
from pamela.synthetic.raters.world import World, WorldParams
from pamela.synthetic.rendering.render import scene_of

Rng = np.random.Generator
Cell = tuple[str, str, str | None]  # type, group, style

# The release's parts and their ratings.
PART_ROWS: Final = {
    s.TRAIN: 50_222,
    s.VAL_SEEN: 6_551,
    s.VAL_UNSEEN: 926,
    s.TEST_SEEN: 9_735,
    s.TEST_UNSEEN: 2_470,
}
# Who rates a part, and which pictures it has.
PART_PEOPLE: Final = {
    s.TRAIN: s.TRAIN,
    s.VAL_SEEN: s.TRAIN,
    s.TEST_SEEN: s.TRAIN,
    s.VAL_UNSEEN: s.VAL_UNSEEN,
    s.TEST_UNSEEN: s.TEST_UNSEEN,
}
TRAIN_SIDE, VAL_SIDE, TEST_SIDE = "train", "val", "test"
PART_SIDE: Final = {
    s.TRAIN: TRAIN_SIDE,
    s.VAL_SEEN: VAL_SIDE,
    s.VAL_UNSEEN: VAL_SIDE,
    s.TEST_SEEN: TEST_SIDE,
    s.TEST_UNSEEN: TEST_SIDE,
}
SPARE: Final = 5  # scenes drawn beyond those needed per cell, to choose from
SIDE: Final = "side"
SEED: Final = "seed"


class ReleaseParams(WorldParams, Protocol):
    """What the release needs of ``params.synthetic``."""

    @property
    def train_images(self) -> int:
        """Pictures of the training part."""

    @property
    def heldout_images(self) -> int:
        """Pictures of validation and test together."""

    @property
    def ratings(self) -> int:
        """Ratings over all parts."""

    @property
    def image_size(self) -> int:
        """Pixels a side."""


@dataclass(frozen=True)
class Item:
    """One picture of the release."""

    prompt: str
    seed: int
    scene: Spec
    side: str


def apportion(total: int, weights: Floats) -> Ints:
    """Divide `total` in proportion to `weights` by largest remainders.

    Examples
    --------
    >>> apportion(10, np.array([1.0, 1.0, 1.0])).tolist()
    [4, 3, 3]
    """
    exact = total * weights / weights.sum()
    parts = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - parts), kind="stable")
    parts[order[: total - int(parts.sum())]] += 1
    return parts


def side_sizes(params: ReleaseParams) -> dict[str, int]:
    """Return how many pictures train, val and test have: held out in proportion to their rows."""
    rows = dict.fromkeys((TRAIN_SIDE, VAL_SIDE, TEST_SIDE), 0)
    for part, count in PART_ROWS.items():
        rows[PART_SIDE[part]] += count
    weights = np.array([rows[VAL_SIDE], rows[TEST_SIDE]], float)
    val, test = apportion(params.heldout_images, weights).tolist()
    return {TRAIN_SIDE: params.train_images, VAL_SIDE: val, TEST_SIDE: test}


def plan_items(params: ReleaseParams, world: World) -> list[Item]:
    """Choose the pictures of all sides: groups and styles as frequent as in the release."""
    rng = np.random.Generator(np.random.PCG64([params.seed, 2]))
    seen: set[str] = set()
    items: list[Item] = []
    for side, size in side_sizes(params).items():
        chosen: list[Item] = []
        for cell, count in _cells(size, rng):
            chosen += _cell_items(cell, count, side, world, rng, seen)
        items += [chosen[i] for i in rng.permutation(len(chosen))]
    return items


def _cells(size: int, rng: Rng) -> list[tuple[Cell, int]]:
    """Return how many of `size` pictures each (type, group, style) has."""
    keys = list(GROUP_FACTS)
    counts = apportion(size, np.array([n for n, _ in GROUP_FACTS.values()], float))
    cells: list[tuple[Cell, int]] = []
    for (kind, group), count in zip(keys, counts.tolist(), strict=True):
        if kind == v.PHOTO:
            cells.append(((kind, group, None), count))
            continue
        names = styles_of(group)
        shares = np.array([STYLE_FACTS[name][0] for name in names], float)
        shares *= np.exp(0.02 * rng.normal(size=len(names)))  # whom the remainders favour varies
        for name, n in zip(names, apportion(count, shares).tolist(), strict=True):
            cells.append(((kind, group, name), n))
    return [(cell, n) for cell, n in cells if n]


def _cell_items(
    cell: Cell, count: int, side: str, world: World, rng: Rng, seen: set[str]
) -> list[Item]:
    """Draw scenes of a cell and drop a few, so that their shared appeal is the cell's mean.

    Small groups and styles would otherwise stray from their published mean by luck alone.
    """
    spare = [_item(cell, side, rng, seen) for _ in range(count + SPARE)]
    appeal = world.appeal([item.scene for item in spare])
    kept = np.ones(len(spare), bool)
    for _ in range(SPARE):
        left = np.flatnonzero(kept)
        rest = (appeal[left].sum() - appeal[left]) / max(len(left) - 1, 1)
        kept[left[int(np.argmin(np.abs(rest)))]] = False
    return [item for item, keep in zip(spare, kept.tolist(), strict=True) if keep]


def _item(cell: Cell, side: str, rng: Rng, seen: set[str]) -> Item:
    """Draw a scene whose prompt no other picture has."""
    while True:
        prompt = write_prompt(sample_spec_of(*cell, rng), rng)
        if prompt not in seen:
            seen.add(prompt)
            seed = int(rng.integers(2**31))
            return Item(prompt, seed, scene_of(prompt, seed), side)


def plan_ratings(params: ReleaseParams, world: World, items: list[Item]) -> pl.DataFrame:
    """Choose who rates what: (part, user_id, item), every person and picture at most once.

    Where a part has more ratings to give than pictures times people (small worlds), it gets fewer.
    """
    rng = np.random.Generator(np.random.PCG64([params.seed, 3]))
    rows = apportion(params.ratings, np.array(list(PART_ROWS.values()), float))
    sides = np.array([item.side for item in items])
    is_art = np.array([item.scene.type == v.ART for item in items])
    parts = []
    for part, count in zip(PART_ROWS, rows.tolist(), strict=True):
        pictures = np.flatnonzero(sides == PART_SIDE[part])
        people = world.people.filter(pl.col(p.BLOCK) == PART_PEOPLE[part])
        who, what = _assign(people, is_art[pictures], count, rng)
        users = people.get_column(s.USER).to_numpy()[who]
        parts.append(pl.DataFrame({s.PART: part, s.USER: users, "item": pictures[what]}))
    return pl.concat(parts)


def _assign(people: pl.DataFrame, is_art: Bools, count: int, rng: Rng) -> tuple[Ints, Ints]:
    """Return `count` pairs (person, picture): each picture's raters are drawn by their activity
    and by how much of its type they rate.
    """
    rates = np.stack([people.get_column(name).to_numpy() for name in (p.RATES_PHOTO, p.RATES_ART)])
    fits = rates[is_art.astype(int)]
    per_picture = np.full(len(is_art), count // len(is_art))
    per_picture[rng.permutation(len(is_art))[: count % len(is_art)]] += 1
    per_picture = np.minimum(per_picture, (fits > 0).sum(axis=1))
    # The k largest of log(weight) + Gumbel noise are k draws without replacement.
    with np.errstate(divide="ignore"):  # who does not rate the type comes last
        weight = np.log(fits * people.get_column("activity").to_numpy())
    order = np.argsort(-(weight + rng.gumbel(size=fits.shape)), axis=1)
    taken = np.arange(fits.shape[1])[None, :] < per_picture[:, None]
    what, rank = np.nonzero(taken)
    return order[what, rank], what
