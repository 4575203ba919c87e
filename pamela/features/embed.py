"""Image and prompt features of all validated pictures: ``python -m flows.embed``.

Writes ``data/features/{index.parquet, image.npy, prompt.npy, features.json}``. What has once been
encoded stays in ``data/features/cache/``, keyed by encoder fingerprint and content (a picture's
SHA-256, a prompt's text), so that added ratings encode nothing and added pictures only themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pamela.compute.opening import open_runner
from pamela.core import schema as s
from pamela.core.arrays import Floats32
from pamela.core.errors import PamelaError
from pamela.core.files import atomic_path, file_sha256, read_parquet, write_json, write_parquet
from pamela.core.paths import Project
from pamela.features.cache import FeatureCache
from pamela.features.factory import Encoder, get_encoder
from pamela.features.precomputed import read_precomputed
from pamela.features.prompts import prompt_key, read_prompts
from pamela.features.workers import Encoded, Workers
from pamela.params import PRECOMPUTED, EmbedParams, Params

INDEX_COLUMNS = (s.DATASET, s.IMAGE, s.SHA256)
IMAGE_CACHE, PROMPT_CACHE = "image", "prompt"


@dataclass(frozen=True)
class Features:
    """Features of n pictures and what made them.

    Attributes
    ----------
    image : float32 (n, image_dim).
    prompt : float32 (n, prompt_dim); prompt_dim is 0 for precomputed features.
    encoder, fingerprint, precision : as of `pamela.features.factory.Encoder`.
    details : how the encoder was run, and what it read of the prompts; empty for precomputed
        features.
    """

    image: Floats32
    prompt: Floats32
    encoder: str
    fingerprint: str
    precision: str
    details: dict[str, Any] = field(default_factory=dict)


def open_encoder(params: EmbedParams) -> Encoder:
    """Return the encoder of the params."""
    return get_encoder(params.encoder, batch_size=params.batch_size, workers=params.workers)


@contextlib.contextmanager
def open_workers(params: Params, encoder: Encoder) -> Iterator[Workers | None]:
    """Yield the workers that ``compute`` names; None where this process encodes."""
    with open_runner(params.compute, gpu=True) as runner:
        yield Workers(runner, params.embed, encoder) if runner.elsewhere else None


def encoder_of_workers(
    project: Project, encoder: Encoder, images: pl.DataFrame, workers: Workers
) -> Encoder:
    """Return the encoder as `workers` have it; `encoder` where nothing is left to be encoded."""
    _require_files(images)
    pictures, prompts = (_cache(project, encoder, kind) for kind in (IMAGE_CACHE, PROMPT_CACHE))
    if _new_images(project, pictures, images).height or _new_prompts(prompts, images).height:
        return workers.encoder()
    return encoder


def list_images(project: Project) -> pl.DataFrame:
    """Return the validated pictures in their order: dataset, image_id, sha256, file, prompt."""
    path = project.validated / "images.parquet"
    images = read_parquet(path).select(*INDEX_COLUMNS, s.FILE, s.PROMPT)
    if images.is_empty():
        raise PamelaError(f"{project.relative(path)}: no pictures; run the stages before embed")
    return images


def encode_new_images(
    project: Project, encoder: Encoder, images: pl.DataFrame, workers: Workers | None = None
) -> int:
    """Encode the pictures whose content is not in the cache; return how many.

    Parameters
    ----------
    workers : of a cluster, which encode; None: this process.

    Raises
    ------
    PamelaError
        If a dataset has no pictures, or a picture is missing or does not decode.
    """
    _require_files(images)
    cache = _cache(project, encoder, IMAGE_CACHE)
    new = _new_images(project, cache, images)
    keys, files = new[s.SHA256].to_list(), [project.root / file for file in new[s.FILE]]
    encoded: Iterable[Encoded] = (
        workers.encode_images(encoder, keys, files)
        if workers
        else (
            (keys[part], encoder.encode_images(files[part], label="encode pictures"))
            for part in cache.parts(len(keys))
        )
    )
    for done, rows in encoded:
        cache.add(done, rows)
    return new.height


def encode_new_prompts(
    project: Project, encoder: Encoder, images: pl.DataFrame, workers: Workers | None = None
) -> int:
    """Encode the prompts that are not in the cache; return how many; see `encode_new_images`."""
    cache = _cache(project, encoder, PROMPT_CACHE)
    new = _new_prompts(cache, images)
    keys, texts = new["key"].to_list(), new[s.PROMPT].to_list()
    encoded: Iterable[Encoded] = (
        workers.encode_prompts(encoder, keys, texts)
        if workers
        else ((keys[part], encoder.encode_prompts(texts[part])) for part in cache.parts(len(keys)))
    )
    for done, rows in encoded:
        cache.add(done, rows)
    return new.height


def cached_features(project: Project, encoder: Encoder, images: pl.DataFrame) -> Features:
    """Return the features of `images`, in their order, from the cache."""
    hashes = _with_hashes(project, images)[s.SHA256]
    return Features(
        image=_cache(project, encoder, IMAGE_CACHE).rows(hashes),
        prompt=_cache(project, encoder, PROMPT_CACHE).rows(_prompt_keys(images)["key"]),
        encoder=encoder.name,
        fingerprint=encoder.fingerprint,
        precision=encoder.precision,
        details={
            "activation": encoder.activation,
            "preprocess": dict(encoder.preprocess),
            "known_from": encoder.known_from,
            "prompts": read_prompts(encoder, images),
        },
    )


def describe(encoder: Encoder) -> str:
    """Return which network and which preprocessing are used, for the log."""
    given = encoder.preprocess
    mean, std = (" ".join(f"{part:.3g}" for part in given[key]) for key in ("mean", "std"))
    size = given["size"]
    side = "x".join(str(part) for part in (size if isinstance(size, list | tuple) else [size] * 2))
    return (
        f"{encoder.name}: {encoder.activation}; pictures {side}, {given['resize_mode']}, "
        f"{given['interpolation']}, mean {mean}, std {std} (known from {encoder.known_from})"
    )


def read_shipped(project: Project, images: pl.DataFrame) -> Features:
    """Return the features that came with the datasets, with prompt features of width 0."""
    image, fingerprint = read_precomputed(project, images)
    return Features(
        image=image,
        prompt=np.zeros((images.height, 0), np.float32),
        encoder=PRECOMPUTED,
        fingerprint=fingerprint,
        precision="fp32",
    )


def write_features(project: Project, images: pl.DataFrame, features: Features) -> None:
    """Write index, arrays and ``features.json``; the last one stands for all four."""
    folder = project.features
    (folder / "cache").mkdir(parents=True, exist_ok=True)  # an output, also when nothing is encoded
    write_parquet(folder / "index.parquet", images.select(*INDEX_COLUMNS))
    _write_npy(folder / "image.npy", features.image)
    _write_npy(folder / "prompt.npy", features.prompt)
    write_json(
        folder / "features.json",
        {
            "encoder": features.encoder,
            "fingerprint": features.fingerprint,
            "precision": features.precision,
            "image_dim": features.image.shape[1],
            "prompt_dim": features.prompt.shape[1],
            **features.details,
        },
    )


def _cache(project: Project, encoder: Encoder, kind: str) -> FeatureCache:
    dim = encoder.image_dim if kind == IMAGE_CACHE else encoder.prompt_dim
    owner = f"{encoder.fingerprint[:16]}-{encoder.precision}"
    return FeatureCache(project.features / "cache" / owner / kind, dim)


def _new_images(project: Project, cache: FeatureCache, images: pl.DataFrame) -> pl.DataFrame:
    """Return the pictures whose content is not in the cache, each content once."""
    distinct = _with_hashes(project, images).unique(s.SHA256, keep="first", maintain_order=True)
    return cache.missing(distinct, s.SHA256)


def _new_prompts(cache: FeatureCache, images: pl.DataFrame) -> pl.DataFrame:
    """Return the prompts that are not in the cache, each once, with their keys."""
    prompts = _prompt_keys(images).drop_nulls(s.PROMPT)
    return cache.missing(prompts.unique("key", keep="first", maintain_order=True), "key")


def _require_files(images: pl.DataFrame) -> None:
    lost = images.filter(pl.col(s.FILE).is_null())
    if lost.height:
        name, image = lost.select(s.DATASET, s.IMAGE).row(0)
        raise PamelaError(
            f"dataset {name}: no picture for {lost.height} images, first {image}; give the files "
            "or set embed.encoder: precomputed"
        )


def _with_hashes(project: Project, images: pl.DataFrame) -> pl.DataFrame:
    """Return `images` with the content hash of every file (computed where the table has none)."""
    unhashed = images.filter(pl.col(s.SHA256).is_null())
    if unhashed.is_empty():
        return images
    found = unhashed.select(s.DATASET, s.IMAGE).with_columns(
        pl.Series("_sha256", [_hash(project.root / file) for file in unhashed[s.FILE]])
    )
    return (
        images.join(found, on=[s.DATASET, s.IMAGE], how="left", maintain_order="left")
        .with_columns(pl.coalesce(s.SHA256, "_sha256").alias(s.SHA256))
        .drop("_sha256")
    )


def _hash(path: Path) -> str:
    try:
        return file_sha256(path)
    except FileNotFoundError:
        raise PamelaError(f"{path}: no such image file") from None


def _prompt_keys(images: pl.DataFrame) -> pl.DataFrame:
    """Return prompt and its key, the SHA-256 of its text (null for a null prompt), row by row."""
    texts = images.select(s.PROMPT)
    distinct = texts.unique().drop_nulls()
    keys = [prompt_key(text) for text in distinct[s.PROMPT]]
    named = distinct.with_columns(pl.Series("key", keys, dtype=pl.String))
    return texts.join(named, on=s.PROMPT, how="left", maintain_order="left")


def _write_npy(path: Path, array: Floats32) -> None:
    with atomic_path(path) as aside:
        np.save(aside, np.ascontiguousarray(array, np.float32), allow_pickle=False)
