"""Pictures from files to features: ``python -m benchmarks.encoding``, part of `make bench`.

An open_clip ViT-B-32 with random weights, written to a folder on the spot and loaded as
``local-dir:``, and the embedded encoder. Each encodes picture files by pamela's path (decoding,
resizing, batches) and, bare, tensors that were prepared beforehand, in the same batches on the same
threads. The two take turns, so that other work on the machine meets both; the figure is the median
over turns of bare time over time from files. CPU seconds stand beside. Pictures: those of the
embedded world (PNG of 128 px), and the same enlarged to JPEG of 512 px.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.entries import Entry, entry
from benchmarks.timing import Taken, run_alone, timed
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.files import read_parquet
from pamela.core.images import open_rgb
from pamela.core.paths import Project
from pamela.features.encoders.clip import ClipEncoder
from pamela.features.factory import EMBEDDED, LOCAL_DIR, get_encoder
from pamela.params import EmbedParams, load_params

MODEL: Final = "ViT-B-32"
TURNS: Final = 3
BATCHES: Final = {MODEL: 1, EMBEDDED: 8}  # per turn
LARGE_SIDE: Final = 512
RATIO: Final = 0.9
PER_SECOND: Final = 500.0  # of the embedded encoder, on two quiet cores


@dataclass(frozen=True)
class Turn:
    """The same pictures from files and as prepared tensors."""

    files: Taken
    bare: Taken


def make_model(folder: Path) -> str:
    """Write an open_clip model with random weights; return its ``embed.encoder`` name."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model(MODEL)
    config = {
        "model_cfg": open_clip.get_model_config(MODEL) | {"quick_gelu": False},
        "preprocess_cfg": model.visual.preprocess_cfg,
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    weights = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return f"{LOCAL_DIR}{folder}"


def open_encoder(name: str, params: EmbedParams) -> ClipEncoder:
    """Return the encoder as the stage opens it, on the CPU."""
    encoder = get_encoder(name, device="cpu", batch_size=params.batch_size, workers=params.workers)
    if not isinstance(encoder, ClipEncoder):
        raise PamelaError(f"embed.encoder {name!r}: not an encoder of pictures")
    return encoder


def enlarge(files: list[Path], folder: Path) -> list[Path]:
    """Write the pictures as JPEG of `LARGE_SIDE` pixels."""
    found = []
    for number, file in enumerate(files):
        picture = open_rgb(file, str(file)).resize((LARGE_SIDE, LARGE_SIDE))
        found.append(folder / f"{number}.jpg")
        picture.save(found[-1], quality=92)
    return found


def take_turns(encoder: ClipEncoder, files: list[Path]) -> list[Turn]:
    """Time both ways, one after the other, after one of each to warm up."""
    import torch

    pictures = [encoder.prepare(open_rgb(file, str(file))) for file in files]
    size = encoder.batch_size
    batches = [torch.stack(pictures[at : at + size]) for at in range(0, len(pictures), size)]

    def bare() -> None:
        for batch in batches:
            encoder.encode_prepared(batch)

    def from_files() -> None:
        encoder.encode_images(files)

    found = [Turn(timed(from_files), timed(bare)) for _ in range(TURNS + 1)]
    return found[1:]


def world_files(project: Project, count: int) -> list[Path]:
    """Return picture files of the project's run."""
    path = project.validated / "images.parquet"
    names = read_parquet(path)[s.FILE].drop_nulls().head(count).to_list()
    if len(names) < count:
        raise PamelaError(f"{project.relative(path)}: {len(names)} pictures, {count} are wanted")
    return [project.root / name for name in names]


def rows_of(label: str, count: int, turns: list[Turn], goal: float | None) -> list[Entry]:
    """Return speed and the ratio of the two ways."""
    wall = statistics.median(turn.bare.wall_s / turn.files.wall_s for turn in turns)
    cpu = statistics.median(turn.bare.cpu_s / turn.files.cpu_s for turn in turns)
    speed = statistics.median(count / turn.files.wall_s for turn in turns)
    core = statistics.median(count / turn.files.cpu_s for turn in turns)
    return [
        entry(f"encoding, {label}, from files", speed, "images/s", goal),
        entry(f"encoding, {label}, from files, per CPU second", core, "images/s"),
        entry(f"encoding, {label}, bare time over time from files", wall, "", RATIO),
        entry(f"encoding, {label}, bare time over time from files, CPU", cpu, "", RATIO),
    ]


def bench_encoding(project: Project) -> list[Entry]:
    """Time encoding from files against the bare encoder."""
    params = load_params(project.params_file).embed
    rows: list[Entry] = []
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        vit = open_encoder(make_model(folder), params)
        files = world_files(project, BATCHES[MODEL] * vit.batch_size)
        for label, pictures in (
            ("PNG of the world", files),
            (f"JPEG of {LARGE_SIDE} px", enlarge(files, folder)),
        ):
            turns = take_turns(vit, pictures)
            rows += rows_of(f"{MODEL}, {label}", len(pictures), turns, None)
    small = open_encoder(EMBEDDED, params)
    files = world_files(project, BATCHES[EMBEDDED] * small.batch_size)
    turns = take_turns(small, files)
    return rows + rows_of(f"{EMBEDDED}, PNG of the world", len(files), turns, PER_SECOND)


if __name__ == "__main__":
    run_alone("encoding", bench_encoding)
