"""Releases of choices and rankings, written on the spot in the layouts of their publishers.

Each function writes one release with real small pictures into ``folder`` and returns the choices
that it holds: (user_id, image_a, image_b, choice), the pictures in the order in which an import
names them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from tests.helpers.folders import write_picture

Choice = tuple[str | None, str, str, str]
START = datetime(2023, 4, 1, 12, 0)


def jpeg(seed: int) -> bytes:
    """Return the bytes of a small JPEG picture."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, format="JPEG")
    return stream.getvalue()


def write_json(path: Path, records: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records), encoding="utf-8")


def pick_row(user: int | None, first: int, second: int, labels: tuple[float, float],
             **changes: Any) -> dict[str, Any]:  # fmt: skip
    """Return a row of Pick-a-Pic v2 on the pictures of the prompt ``first // 4``."""
    minutes = (user or 0) * 100 + first + second
    return {
        "are_different": labels[0] != labels[1],
        "best_image_uid": f"uid-{first}" if labels[0] > labels[1] else f"uid-{second}",
        "caption": f"a painting of {first // 4}",
        "created_at": START + timedelta(minutes=minutes),
        "has_label": True,
        "image_0_uid": f"uid-{first}",
        "image_0_url": f"https://invented.example/{first}.png",
        "image_1_uid": f"uid-{second}",
        "image_1_url": f"https://invented.example/{second}.png",
        "jpg_0": jpeg(first),
        "jpg_1": jpeg(second),
        "label_0": labels[0],
        "label_1": labels[1],
        "model_0": "xl-base",
        "model_1": "photoreal",
        "ranking_id": minutes,
        "user_id": user,
        "num_example_per_prompt": 2,
        "__index_level_0__": minutes,
        **changes,
    }


LABELS = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5)}


def pick_a_pic(folder: Path, users: int = 3, prompts: int = 4) -> list[Choice]:
    """Write Pick-a-Pic v2: train in two files, validation, and the part that repeats it."""
    rng = np.random.default_rng(0)
    rows, told = [], []
    for user in range(users):
        for prompt in range(prompts):
            first, second = (4 * prompt + int(k) for k in rng.permutation(4)[:2])
            choice = str(rng.choice(list(LABELS)))
            rows.append(pick_row(user, first, second, LABELS[choice]))
            told.append((str(user), f"uid-{first}", f"uid-{second}", choice))
    (folder / "data").mkdir(parents=True)
    parts = {"train-00000-of-00002-ab": rows[:-4], "train-00001-of-00002-cd": rows[-4:-2],
             "validation-00000-of-00001-ef": rows[-2:],
             "validation_unique-00000-of-00001-gh": rows[-1:]}  # fmt: skip
    for name, part in parts.items():
        pl.DataFrame(part).write_parquet(folder / "data" / f"{name}.parquet")
    return told


def ranked(user: str, prefix: str, ranks: Sequence[float]) -> list[Choice]:
    """Return the choices that ranks of the pictures ``prefix0.jpg``, ... stand for."""
    names = [f"{prefix}{k}.jpg" for k in range(len(ranks))]
    return [
        (user, names[a], names[b], _of(ranks[a], ranks[b]))
        for a in range(len(ranks))
        for b in range(a + 1, len(ranks))
    ]


def _of(rank_a: float, rank_b: float) -> str:
    return "tie" if rank_a == rank_b else "a" if rank_a < rank_b else "b"


def hpd_v2(folder: Path, people: int = 3, prompts: int = 3) -> list[Choice]:
    """Write HPDv2: train without people, test with the ranks of each of them."""
    rng = np.random.default_rng(1)
    train, test, told = [], [], []
    for prompt in range(prompts):
        names = [f"{prompt:04}{k}.jpg" for k in range(2)]
        preferred = [(1, 0), (0, 1), (1, 1)][prompt % 3]
        train.append({"prompt": f"a cat {prompt}", "image_path": names,
                      "human_preference": list(preferred)})  # fmt: skip
        told += ranked("train", f"train/{prompt:04}", [-p for p in preferred])
        for seed, name in enumerate(names):
            write_picture(folder / "train" / name, 10 * prompt + seed)
    for prompt in range(prompts):
        names = [f"{prompt:04}{k}.jpg" for k in range(4)]
        each = []
        for person in range(people):
            ranks = rng.integers(1, 4, 4).tolist()
            each.append({"annotation": ranks, "user_hash": f"hash{person}"})
            told += ranked(f"hash{person}", f"test/{prompt:04}", ranks)
        test.append({"prompt": f"a dog {prompt}", "image_path": names, "rank": [1, 2, 3, 4],
                     "raw_annotations": each})  # fmt: skip
        for seed, name in enumerate(names):
            write_picture(folder / "test" / name, 100 + 10 * prompt + seed)
    write_json(folder / "train.json", train)
    write_json(folder / "test.json", test)
    write_json(folder / "benchmark" / "anime.json", [{"prompt": "for generators"}])
    return told


def hpd_v3(folder: Path) -> list[Choice]:
    """Write HPDv3: pairs, the preferred picture first, from three sources."""

    def pair(first: str, second: str, votes: list[int] | None, model: str) -> dict[str, Any]:
        return {"prompt": f"a boat {first[0]}", "choice_dist": votes,
                "confidence": 0.99 if votes else None, "path1": f"images/{first}.jpg",
                "path2": f"images/{second}.jpg", "model1": model,
                "model2": model if model in ("midjourney", "hpdv2") else "kolors"}  # fmt: skip

    every = [pair("a1", "a2", [12, 7], "flux"), pair("b2", "b1", [9, 9], "flux"),
             pair("c2", "c1", None, "midjourney"), pair("d1", "d2", None, "hpdv2")]  # fmt: skip
    write_json(folder / "all.json", every)
    write_json(folder / "train.json", every[:2])
    write_json(folder / "test.json", [{"prompt": "a boat e", "path1": "images/e1.jpg",
               "path2": "images/e2.jpg", "model1": "flux", "model2": "kolors"}])  # fmt: skip
    for seed, letter in enumerate("abcde"):
        for k in (1, 2):
            write_picture(folder / "images" / f"{letter}{k}.jpg", 10 * seed + k)
    return [
        ("annotators", "images/a1.jpg", "images/a2.jpg", "a"),
        ("annotators", "images/b1.jpg", "images/b2.jpg", "tie"),
        ("midjourney", "images/c1.jpg", "images/c2.jpg", "b"),
        ("hpdv2", "images/d1.jpg", "images/d2.jpg", "a"),
        ("annotators", "images/e1.jpg", "images/e2.jpg", "a"),
    ]


def image_reward(folder: Path, prompts: int = 3) -> list[Choice]:
    """Write ImageRewardDB: two archives of train and one of test, each with its JSON file."""
    told = []
    tables: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for archive, (split, part) in enumerate((("train", 1), ("train", 2), ("test", 1))):
        home = f"images/{split}/{split}_{part}"
        rows = []
        for prompt in range(prompts):
            ranks = [[1, 2, 2], [3, 1, 2], [1, 1, 1]][prompt % 3]
            names = [f"{home}/{prompt:04}{k}.webp" for k in range(3)]
            about = {"prompt_id": f"{split}{part}-{prompt}", "classification": "Outdoor Scenes",
                     "prompt": f"a house {split} {part} {prompt}", "image_amount_in_total": 3,
                     "image_text_alignment_rating": 4, "fidelity_rating": 5}  # fmt: skip
            rows += [
                {"image_path": name, **about, "rank": rank, "overall_rating": 8 - rank}
                for name, rank in zip(names, ranks, strict=True)
            ]
            for k, name in enumerate(names):
                write_picture(folder / name, 1000 * archive + 10 * prompt + k)
            told += [
                (split, names[a], names[b], _of(ranks[a], ranks[b]))
                for a, b in ((0, 1), (0, 2), (1, 2))
            ]
        write_json(folder / home / f"{split}_{part}.json", rows)
        tables[split] += rows
    for split, rows in tables.items():
        pl.DataFrame(rows).write_parquet(folder / f"metadata-{split}.parquet")
    return told
