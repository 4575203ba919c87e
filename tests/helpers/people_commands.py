"""The commands `pamela adapt`, `score` and `suggest` in a small project, and their faults."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

import pamela
from pamela.cli import app
from pamela.core.errors import PamelaError
from tests.helpers.small_model import NEW

BUNDLE = ("--model", "models/bundle")
FIRST = "image,image_id,rating,prompt\nbarn.png,,5,a red barn\nlake.png,,1,\n,i03,4,\n"


def pamela_command(*words: str) -> list[dict]:
    """Run a command that must succeed and return its JSON lines."""
    done = CliRunner().invoke(app.app, [*words, *BUNDLE])
    assert done.exit_code == 0, (done.output, done.exception)
    return [json.loads(line) for line in done.stdout.splitlines()]


def fault(*words: str) -> str:
    done = CliRunner().invoke(app.app, [*words, *BUNDLE])
    assert isinstance(done.exception, PamelaError), (done.output, done.exception)
    assert done.exit_code != 0
    return str(done.exception)


def adapt(text: str = FIRST, name: str = "anna", *more: str, file: str = "mine.csv") -> dict:
    Path(file).write_text(text)
    (learned,) = pamela_command("adapt", "--ratings", file, "--name", name, *more)
    return learned


def ratings_of(user, images=NEW) -> list[float]:
    return [x.rating for x in pamela.load("models/bundle").score(user=user, images=list(images))]


def adapt_fault(text: str, file: str = "mine.csv", *more: str) -> str:
    Path(file).write_text(text)
    return fault("adapt", "--ratings", file, "--name", "bob", *more)
