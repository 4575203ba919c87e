"""Train the embedded encoder.

Run: ``python -m pamela.features.encoders.embedded_clip.train`` (`make encoder`).

Draws a pool of pictures, trains on it (GPU if there is one), probes the result on fresh prompts and
writes weights, configuration, vocabulary and CARD.md beside this module.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import lightning as L
import numpy as np
import torch
import typer
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from pamela.core.files import atomic_path, write_json
from pamela.features.encoders.base import CONFIG_FILE
from pamela.features.encoders.embedded_clip.card import Figures, card, probe_encoders, probe_table
from pamela.features.encoders.embedded_clip.encoder import (
    FOLDER,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
    EmbeddedEncoder,
    embedded_encoder,
    normalise_pixels,
    open_clip_model,
    wrap,
)
from pamela.features.encoders.embedded_clip.lightning_module import (
    ClipTraining,
    PoolBatches,
    Recipe,
)
from pamela.features.encoders.embedded_clip.tokenizer import (
    WordTokenizer,
    build_vocabulary,
    split_words,
)
from pamela.features.encoders.embedded_clip.training_data import Pool, render_pool

SIDE = 96
EMBED_DIM = 160
TEXT_WIDTH, TEXT_LAYERS, TEXT_HEADS = 96, 2, 4
COVERED_PROMPTS = 0.999  # share of descriptions that fit the context length
PROBE_SEED, PROBE_PICTURES = 1_000_003, 4000
CHECKPOINT_STEPS = 200
CALIBRATION_PICTURES = 1024


def configuration(pool: Pool, tokenizer: WordTokenizer) -> dict[str, Any]:
    """Return the open_clip configuration for pictures and prompts like the pool's."""
    pixels = pool.pictures[:2000].astype(np.float64) / 255
    return {
        "model_cfg": {
            "embed_dim": EMBED_DIM,
            "custom_text": True,
            "vision_cfg": {
                "timm_model_name": f"pamela_statistics_{SIDE}",
                "timm_model_pretrained": False,
                "timm_pool": "",
                "timm_proj": "linear",
                "image_size": SIDE,
            },
            "text_cfg": {
                "context_length": tokenizer.context_length,
                "vocab_size": tokenizer.vocab_size,
                "width": TEXT_WIDTH,
                "heads": TEXT_HEADS,
                "layers": TEXT_LAYERS,
            },
        },
        "preprocess_cfg": {
            "size": [SIDE, SIDE],
            "mode": "RGB",
            "mean": pixels.mean((0, 1, 2)).round(4).tolist(),
            "std": pixels.std((0, 1, 2)).round(4).tolist(),
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }


def tokenizer_of(pool: Pool) -> WordTokenizer:
    """Return the tokenizer whose vocabulary and length fit the pool's descriptions."""
    texts = pool.captions.ravel().tolist()
    length = np.quantile([len(split_words(text)) for text in texts], COVERED_PROMPTS)
    return WordTokenizer(build_vocabulary(texts), -(-(int(length) + 2) // 4) * 4)


def new_model(folder: Path, seed: int) -> Any:
    """Return an untrained model of the configuration in `folder`."""
    torch.manual_seed(seed)
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns that there are no weights
    return open_clip_model(folder, load_weights=False)


def calibrate(model: Any, pool: Pool, config: dict[str, Any]) -> None:
    """Measure the BatchNorm statistics of an untrained model: it is probed at its best."""
    mean = torch.tensor(config["preprocess_cfg"]["mean"]) * 255
    std = torch.tensor(config["preprocess_cfg"]["std"]) * 255
    model.train()
    with torch.no_grad():
        for rows in torch.from_numpy(pool.pictures[:CALIBRATION_PICTURES]).split(64):
            model.visual.trunk(normalise_pixels(rows, mean, std))
    model.eval()


def write_weights(model: Any, path: Path) -> None:
    """Write a model's weights as half-precision safetensors."""
    state = {
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.state_dict().items()
    }
    with atomic_path(path) as aside:
        save_file(state, aside)


class Checkpoints(Callback):
    """Writes the weights now and then, so that a long training may be stopped early."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write weights and say where training stands."""
        step = trainer.global_step
        trainer.should_stop = trainer.should_stop or pl_module.progress(step) >= 1
        if step % CHECKPOINT_STEPS == 0:
            write_weights(pl_module.model, self.path)
            losses = {k: round(float(v), 3) for k, v in trainer.callback_metrics.items()}
            print(f"step {step}, {time.monotonic() - self.start:.0f} s: {losses}", flush=True)


def fit_clip(model: Any, pool: Pool, tokenizer: WordTokenizer, config: dict[str, Any],
             recipe: Recipe,
        checkpoint: Path) -> int:  # fmt: skip
    """Train `model` in place; return the number of pairs that it saw."""
    batches = PoolBatches(pool, tokenizer, recipe)
    preprocess = config["preprocess_cfg"]
    module = ClipTraining(model, recipe, preprocess["mean"], preprocess["std"])
    trainer = L.Trainer(
        accelerator="auto",
        devices=1,
        max_steps=recipe.pairs // recipe.batch_size,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Checkpoints(checkpoint)],
    )
    trainer.fit(module, DataLoader(batches, batch_size=None))
    model.eval()
    return int(trainer.global_step) * recipe.batch_size


def probing_pool(training: Pool | None, size: int = PROBE_PICTURES, workers: int = 2) -> Pool:
    """Return a pool of fresh prompts, none of them among the training pool's."""
    pool = render_pool(size, SIDE, PROBE_SEED, workers)
    if training is None:
        return pool
    return pool.take(np.flatnonzero(~np.isin(pool.captions[:, 0], training.captions)))


def untrained_encoder(folder: Path, pool: Pool, seed: int = 0) -> EmbeddedEncoder:
    """Return the network of `folder` as it is before training."""
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    model = new_model(folder, seed)
    calibrate(model, pool, config)
    return wrap(model, folder, "auto", 64, 2)


def train_encoder(recipe: Recipe, folder: Path, kept_pool: Path | None, workers: int) -> Figures:
    """Draw, train, write, probe; return the figures."""
    L.seed_everything(recipe.seed, verbose=False)
    pool = training_pool(recipe, kept_pool, workers)
    drawn = time.monotonic()
    tokenizer = tokenizer_of(pool)
    config = configuration(pool, tokenizer)
    with tempfile.TemporaryDirectory() as aside:
        scratch = Path(aside)
        write_json(scratch / CONFIG_FILE, config)
        tokenizer.save(scratch / VOCABULARY_FILE)
        model = new_model(scratch, recipe.seed)
        seen = fit_clip(model, pool, tokenizer, config, recipe, scratch / WEIGHTS_FILE)
        write_weights(model, scratch / WEIGHTS_FILE)
        for file in (CONFIG_FILE, VOCABULARY_FILE, WEIGHTS_FILE):
            with atomic_path(folder / file) as target:
                target.write_bytes((scratch / file).read_bytes())
    trained = time.monotonic()
    encoder = embedded_encoder("auto", 64, workers, folder)
    figures = probe_encoders(
        encoder, untrained_encoder(folder, pool, recipe.seed), probing_pool(pool, workers=workers)
    )
    size = {
        "parameters": sum(p.numel() for p in encoder.model.parameters()),
        "weights": f"{(folder / WEIGHTS_FILE).stat().st_size / 1e6:.1f} MB (half precision)",
        "vocabulary": f"{tokenizer.vocab_size} ids, {tokenizer.context_length} per prompt",
        "picture_side": f"{SIDE} pixels",
        "trained": f"{seen} pairs in {(trained - drawn) / 60:.0f} minutes on {encoder.device}",
    }
    (folder / "CARD.md").write_text(card(figures, encoder, asdict(recipe), size), encoding="utf-8")
    return figures


def training_pool(recipe: Recipe, kept: Path | None, workers: int) -> Pool:
    """Draw the training pool, or read the one kept in a file."""
    if kept is not None and kept.is_file():
        return Pool.load(kept)
    pool = render_pool(recipe.pool, SIDE, recipe.seed, workers)
    if kept is not None:
        pool.save(kept)
    return pool


def main(
    pool: Annotated[int, typer.Option(help="pictures drawn for training")] = 48_000,
    pairs: Annotated[int, typer.Option(help="pictures seen in training, at most")] = 900_000,
    minutes: Annotated[float, typer.Option(help="of training, at most")] = 50.0,
    seed: Annotated[int, typer.Option(help="of pictures, weights and order")] = 11,
    batch_size: Annotated[int, typer.Option(help="pictures per step")] = 64,
    learning_rate: Annotated[float, typer.Option(help="highest, of AdamW")] = 2e-3,
    weight_decay: Annotated[float, typer.Option(help="of AdamW")] = 0.05,
    attribute_weight: Annotated[float, typer.Option(help="of the attribute loss")] = 16.0,
    class_weight: Annotated[float, typer.Option(help="of the class losses")] = 1.0,
    folder: Annotated[Path, typer.Option(help="where the files go")] = FOLDER,
    kept_pool: Annotated[
        Path | None, typer.Option(help="file that keeps the drawn pool between runs")
    ] = None,
    workers: Annotated[int, typer.Option(help="processes that draw")] = 2,
) -> None:
    """Train the embedded encoder and write its files and card."""
    recipe = Recipe(
        seed=seed,
        pool=pool,
        pairs=pairs,
        minutes=minutes,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        attribute_weight=attribute_weight,
        class_weight=class_weight,
    )
    figures = train_encoder(recipe, folder, kept_pool, workers)
    print(probe_table(figures.probes))
    print(f"recall@1 of 64: image to text {figures.recall[0]:.2f}, back {figures.recall[1]:.2f}")


if __name__ == "__main__":
    typer.run(main)
