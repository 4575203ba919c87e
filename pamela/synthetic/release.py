"""The embedded dataset: the PAMELA release's files, drawn and rated by the embedded world.

Layout below the folder: ``PAMELA/annotations/pamela_<part>.json`` and ``PAMELA/images/*.jpg``. The
truth goes elsewhere: ``world.json``, ``users.parquet``, ``images.parquet`` (prompt, seed, true
attributes) and ``utility.parquet`` (noise-free opinion of each rated pair).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.arrays import Bools, Floats, Ints
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_folder, file_sha256, read_json, write_json, write_parquet
from pamela.core.hashing import places_by_user
from pamela.synthetic import vocabulary as v
from pamela.synthetic.design import PART_ROWS, Item, ReleaseParams, plan_items, plan_ratings
from pamela.synthetic.image_files import draw_files
from pamela.synthetic.prompts import Spec
from pamela.synthetic.raters import noise_balancing
from pamela.synthetic.raters import utility as taste
from pamela.synthetic.raters.people import DEMOGRAPHICS
from pamela.synthetic.raters.world import World
from pamela.synthetic.rendering.render import generator_of

_BLOCK: Final = 2048  # scenes at a time
NAME: Final = "synthetic"  # of the dataset
USUAL_QUERY: Final = 25  # ``evaluate.query_size`` and ``evaluate.seed`` 0, as shipped
MANIFEST: Final = "manifest.json"
_KEYS: Final = ("seed", "train_users", "unseen_users", "train_images", "heldout_images", "ratings")


def build_release(params: ReleaseParams, folder: Path, truth_folder: Path) -> None:
    """Write the embedded dataset to `folder` and its truth to `truth_folder`.

    Does nothing where both already hold this very world; both are replaced as a whole otherwise.

    Raises
    ------
    PamelaError
        If the params describe a world too small to have all parts.
    """
    wanted = _manifest(params)
    if _same(folder, wanted) and _same(truth_folder, wanted):
        return
    world = World.create(params)
    items = plan_items(params, world)
    rated = rate_pairs(params, world, items, plan_ratings(params, world, items))
    _check_size(rated)
    with atomic_folder(folder) as release, atomic_folder(truth_folder) as truth:
        pictures = release / "PAMELA"
        (pictures / "images").mkdir(parents=True)
        files = [(pictures / image_path(i), item.prompt, item.seed) for i, item in enumerate(items)]
        draw_files(files, params.image_size)
        _write_annotations(pictures / "annotations", world, items, rated)
        _write_truth(truth, world, items, rated)
        for place in (release, truth):
            write_json(place / MANIFEST, wanted)


def _manifest(params: ReleaseParams) -> dict[str, Any]:
    """Return what decides every byte: the params and the code of this package."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(
            path.relative_to(Path(__file__).parent).as_posix().encode()
            + b"\0"
            + bytes.fromhex(file_sha256(path))
        )
    sizes = {key: getattr(params, key) for key in (*_KEYS, "image_size")}
    return {**sizes, "code": code.hexdigest(), "opencv": cv2.__version__, "numpy": np.__version__}


def _same(folder: Path, wanted: dict[str, Any]) -> bool:
    path = folder / MANIFEST
    try:
        return path.is_file() and read_json(path) == wanted
    except PamelaError:
        return False


def _check_size(rated: pl.DataFrame) -> None:
    empty = [part for part in PART_ROWS if rated.filter(pl.col(s.PART) == part).is_empty()]
    if empty:
        raise PamelaError(
            f"params.yaml: synthetic: a world this small has no ratings in {', '.join(empty)}; "
            "raise ratings, heldout_images or unseen_users"
        )


def image_id(number: int) -> int:
    """Return the release's id of picture `number`."""
    return number + 1


def image_path(number: int) -> str:
    """Return the path of picture `number` below ``PAMELA/``."""
    return f"images/{image_id(number):06d}.jpg"


# --- ratings ----------------------------------------------------------------------------------
def rate_pairs(
    params: ReleaseParams, world: World, items: list[Item], pairs: pl.DataFrame
) -> pl.DataFrame:
    """Add utility and rating to the pairs (part, user_id, item), shuffled within parts."""
    rng = np.random.Generator(np.random.PCG64([params.seed, 4]))
    users = world.people.get_column(s.USER).to_list()
    row = {user: i for i, user in enumerate(users)}
    scenes = [item.scene for item in items]
    who = np.array([row[user] for user in pairs.get_column(s.USER)])
    what = pairs.get_column("item").to_numpy()
    utility = _utilities(world, users, scenes, who, what)
    usual = taste.cell_opinions(scenes, world.spread)
    to_rate = noise_balancing.PairsToRate(
        world.people[who], who, utility, usual[what], (usual + world.appeal(scenes))[what],
        _queried(pairs, users, who), [scenes[i] for i in what],
    )  # fmt: skip
    rating = noise_balancing.rate_release(to_rate, pairs.get_column(s.PART).to_numpy(), rng)
    shuffled = rng.permutation(pairs.height)
    rated = pairs.with_columns(
        pl.Series("utility", utility), pl.Series(s.RATING, rating), pl.Series("_order", shuffled)
    )
    return rated.sort(pl.col(s.PART).replace_strict(_part_order()), "_order").drop("_order")


def _utilities(world: World, users: list[str], scenes: list[Spec], who: Ints, what: Ints) -> Floats:
    """Return the opinion of each pair (person, scene), a block of scenes at a time."""
    out = np.empty(len(who))
    order = np.argsort(what, kind="stable")
    starts = np.arange(0, len(scenes), _BLOCK)
    for start, rows in zip(
        starts, np.split(order, np.searchsorted(what[order], starts[1:])), strict=True
    ):
        every = world.utility(users, scenes[start : start + _BLOCK])
        out[rows] = every[who[rows], what[rows] - start]
    return out


def _queried(pairs: pl.DataFrame, users: list[str], who: Ints) -> Bools:
    """Return which pairs the evaluation asks about unseen people by default."""
    rows = np.flatnonzero((pairs.get_column(s.PART) == s.TEST_UNSEEN).to_numpy())
    what = pairs.get_column("item").to_numpy()[rows]
    pictures, place = np.unique(what, return_inverse=True)
    keys = [f"{NAME}/{image_id(number)}" for number in pictures.tolist()]
    order = places_by_user(who[rows], [f"{NAME}/{user}" for user in users], place, keys, 0)
    out = np.zeros(pairs.height, bool)
    out[rows] = order < USUAL_QUERY
    return out


def _part_order() -> dict[str, int]:
    return {part: i for i, part in enumerate(PART_ROWS)}


# --- files ------------------------------------------------------------------------------------
def _write_annotations(folder: Path, world: World, items: list[Item], rated: pl.DataFrame) -> None:
    """Write one JSON list per part, with the release's fields (and `generator`)."""
    folder.mkdir(parents=True)
    people = {
        row[s.USER]: {key: row[key] for key in DEMOGRAPHICS}
        for row in world.users.iter_rows(named=True)
    }
    metadata = [
        {
            s.PROMPT: item.prompt,
            s.GROUP: item.scene.group,
            s.STYLE: item.scene.style,
            s.TYPE: item.scene.type,
            s.GENERATOR: generator_of(item.seed),
        }
        for item in items
    ]
    for part in PART_ROWS:
        rows = rated.filter(pl.col(s.PART) == part)
        columns = (rows.get_column(name).to_list() for name in (s.USER, "item", s.RATING))
        entries = [
            {
                "participant_id": user,
                "image_id": image_id(item),
                "image_path": image_path(item),
                "original_score": rating,
                "image_metadata": metadata[item],
                "user_demographics": people[user],
            }
            for user, item, rating in zip(*columns, strict=True)
        ]
        path = folder / f"pamela_{part}.json"
        path.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")


def _write_truth(folder: Path, world: World, items: list[Item], rated: pl.DataFrame) -> None:
    """Write the world, the true attributes of the pictures, and the opinion of each rated pair."""
    world.save(folder)
    scenes = [item.scene for item in items]
    images = pl.DataFrame(
        {
            s.IMAGE: [str(image_id(i)) for i in range(len(items))],
            s.PROMPT: [item.prompt for item in items],
            "seed": [item.seed for item in items],
            "side": [item.side for item in items],
            s.TYPE: [scene.type for scene in scenes],
            s.GROUP: [scene.group for scene in scenes],
            s.STYLE: [scene.style for scene in scenes],
            "subject": [scene.subject for scene in scenes],
            s.GENERATOR: [generator_of(item.seed) for item in items],
            "lighting": [scene.lighting for scene in scenes],
            **{name: [scene.attributes.get(name) for scene in scenes] for name in v.ATTRIBUTES},
            "shared_utility": world.shared_utility(scenes),
        },
        schema_overrides={
            s.STYLE: pl.String,
            "lighting": pl.String,
            **dict.fromkeys(v.ATTRIBUTES, pl.Float64),
        },
    )
    write_parquet(folder / "images.parquet", images)
    pairs = rated.select(
        s.USER, (pl.col("item") + 1).cast(pl.String).alias(s.IMAGE), "utility", s.PART
    )
    write_parquet(folder / "utility.parquet", pairs)
