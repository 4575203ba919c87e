"""Exports of survey and labelling tools, made up: a few people rate a few pictures.

The shapes are those that the tools document; every id, answer and address is invented.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.helpers.folders import write_picture

PROLIFIC_IDS = tuple(f"5f{n:022x}" for n in range(7, 19))
ANSWERS = ("Female", "Male", "DATA_EXPIRED", "Female", "CONSENT_REVOKED", "Male") * 2


@dataclass(frozen=True)
class Export:
    """An export: the file, where its pictures lie, and the ratings in it."""

    file: Path
    pictures: Path
    ratings: list[tuple[str, str, float]]


def label_studio(folder: Path, people: int = 4, tasks: int = 6) -> Export:
    """Write Label Studio's JSON export: uploads, one Rating control, a skipped annotation."""
    rng = np.random.default_rng(0)
    exported, ratings = [], []
    for task in range(1, tasks + 1):
        upload = f"{task:08x}-picture{task}.png"
        write_picture(folder / "upload" / "3" / upload, task)
        annotations = []
        for person in range(1, people + 1):
            stars = int(rng.integers(1, 6))
            skipped = task == 1 and person == 1
            annotations.append(_annotation(task, person, stars, skipped=skipped))
            if not skipped:
                ratings.append((str(person), str(task), float(stars)))
        exported.append(
            {
                "id": task,
                "data": {"image": f"/data/upload/3/{upload}", "prompt": f"a picture of {task}"},
                "annotations": annotations,
                "predictions": [],
                "created_at": "2026-03-01T09:00:00.000000Z",
                "project": 3,
            }
        )
    file = folder / "project-3-at-2026-03-02.json"
    file.write_text(json.dumps(exported))
    return Export(file, folder / "upload", ratings)


def _annotation(task: int, person: int, stars: int, *, skipped: bool) -> dict[str, object]:
    star = {
        "id": f"r{task}-{person}", "type": "rating", "from_name": "liking", "to_name": "image",
        "origin": "manual", "value": {"rating": stars},
    }  # fmt: skip
    comment = {
        "id": f"c{task}-{person}", "type": "textarea", "from_name": "why", "to_name": "image",
        "origin": "manual", "value": {"text": ["nice, really"]},
    }  # fmt: skip
    return {
        "id": 100 * task + person,
        "completed_by": {"id": person, "email": f"p{person}@invented.example", "first_name": "P"},
        "result": [] if skipped else [comment, star],
        "was_cancelled": skipped,
        "ground_truth": False,
        "created_at": f"2026-03-01T10:{task:02d}:{person:02d}.500000Z",
        "lead_time": 4.25,
        "task": task,
    }


def long_csv(folder: Path, stimuli: int = 8) -> Export:
    """Write a long CSV as rating platforms export it: a row per answer, people and stimuli in it.

    One person never answered for a stimulus; three rows ask about something else.
    """
    rng = np.random.default_rng(1)
    ratings = []
    file = folder / "results.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(
            ["Session", "Participant id", "Sex", "Age", "Stimulus", "Url",
             "How much do you like it, from 1 to 7?", "Answered at"]
        )  # fmt: skip
        for n, person in enumerate(PROLIFIC_IDS):
            for stimulus in range(stimuli):
                liking = int(rng.integers(1, 8))
                name = f"fox_{stimulus}.jpg"
                url = f"https://cdn.invented.example/study/{name}?v=2"
                at = f"2026-04-01 12:{stimulus:02d}:{n:02d}"
                row = [n, person, ANSWERS[n], 20 + n, f"fox_{stimulus}", url, liking, at]
                out.writerow(row)
                ratings.append((person, f"fox_{stimulus}", float(liking)))
    for stimulus in range(stimuli):
        write_picture(folder / "stimuli" / f"fox_{stimulus}.jpg", stimulus)
    return Export(file, folder / "stimuli", ratings)
