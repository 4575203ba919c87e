"""A real, tiny open_clip model with random weights on disk, and a project of a few pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import polars as pl
import torch
from PIL import Image
from safetensors.torch import save_file

from pamela.core import schema as s
from pamela.core.files import file_sha256, write_json, write_parquet
from pamela.core.paths import Project
from pamela.params import Params
from tests.helpers import yaml
from tests.paths import ROOT

DIM = 24
CONFIG = {
    "model_cfg": {
        "embed_dim": DIM,
        "quick_gelu": False,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16,
                       "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2,
                     "layers": 1},
    },
    "preprocess_cfg": {"size": [32, 32], "resize_mode": "shortest", "interpolation": "bicubic",
                       "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]},
}  # fmt: skip


def write_open_clip(folder: Path, seed: int = 0) -> str:
    """Write a randomly initialised open_clip model; return its name for ``embed.encoder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG))
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def picture(seed: int, size: tuple[int, int] = (40, 48)) -> np.ndarray:
    """Return a smooth random picture, uint8 (height, width, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def make_project(
    root: Path, pictures: Sequence[int], encoder: str, prompts: Sequence[str | None] | None = None
) -> tuple[Project, Params]:
    """Write validated tables of one dataset `d` whose picture files are drawn from seeds."""
    project = Project(root)
    files = root / "data" / "raw" / "d"
    files.mkdir(parents=True, exist_ok=True)
    for seed in pictures:
        Image.fromarray(picture(seed)).save(files / f"{seed}.png")
    names = [f"data/raw/d/{seed}.png" for seed in pictures]
    frame = pl.DataFrame(
        {
            s.DATASET: ["d"] * len(pictures),
            s.IMAGE: [f"i{seed}" for seed in pictures],
            s.FILE: names,
            s.SHA256: [file_sha256(root / name) for name in names],
            s.PROMPT: prompts or [f"a picture of {seed}" for seed in pictures],
        },
        schema_overrides={s.PROMPT: pl.String},
    )
    write_images(project, frame)
    return project, params_with(encoder)


def write_images(project: Project, frame: pl.DataFrame) -> None:
    """Write the validated image table, other columns null, and ``datasets.json``."""
    full = pl.concat([s.IMAGES_SCHEMA.to_frame(), frame], how="diagonal")
    write_parquet(project.validated / "images.parquet", full)
    names = frame[s.DATASET].unique(maintain_order=True)
    meta = {"scale": [1, 5], "features": None, "has_images": True, "own_splits": False}
    write_json(project.tables / "datasets.json", dict.fromkeys(names, meta))


def params_with(encoder: str, **embed: int) -> Params:
    """Return the repository's params with another encoder."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["embed"] |= {"encoder": encoder, **embed}
    return Params.model_validate(raw)
