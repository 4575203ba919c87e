"""From what ``pamela study serve`` says to a study that can be served; faults before any page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.core.hashing import hash_ids
from pamela.core.paths import Project
from pamela.params import PRECOMPUTED, Params
from pamela.serving.api import Reward
from pamela.steer.generators.factory import get_generator
from pamela.steer.rewriters.factory import get_rewriter
from pamela.study.closing import require_open
from pamela.study.made_pictures import MadePictures
from pamela.study.pictures import PictureStore
from pamela.study.settings import (
    Settings,
    StartPrompt,
    begin,
    read_secret,
    served_alone,
    study_folder,
)
from pamela.study.steering import Steering
from pamela.study.study import PICTURES, Study

LONGEST_PROMPT: Final = 2_000
EMBEDDED: Final = "embedded"
STEERED: Final = "steered"  # of a study's folder: what searches drew and scored


@dataclass(frozen=True)
class Wishes:
    """What the command says.

    Attributes
    ----------
    prompts : a file of one prompt a line; by default ``steer.prompts`` of the dataset's are drawn.
    pairs : a table of pictures that were made elsewhere.
    """

    name: str
    consent: Path
    dataset: str | None
    ratings: int
    repeats: int
    seed: int
    prompts: Path | None
    pairs: Path | None


@contextmanager
def open_study(project: Project, params: Params, reward: Reward, wishes: Wishes) -> Iterator[Study]:
    """Yield the study that is to be served, begun or gone on with.

    Raises
    ------
    PamelaError
        If something that it needs is missing, it was begun with other settings, or it is closed.
    """
    folder = study_folder(project, wishes.name)
    consent = _read_text(wishes.consent, "--consent")
    dataset = reward.adapter.dataset(wishes.dataset)
    _require_sense(params, reward, dataset, wishes)
    with ExitStack() as stack:
        made = None
        if wishes.pairs is not None:
            made = MadePictures.read(wishes.pairs, PictureStore(folder / PICTURES))
        prompts = [] if made else _prompts(params, reward, dataset, wishes)
        steering, described = None, ""
        if made is None:
            generator = stack.enter_context(get_generator(params))
            rewriter = stack.enter_context(get_rewriter(params))
            size = f"{params.steer.rounds} rounds of {params.steer.variants}"
            described = f"{generator.fingerprint}; {rewriter.fingerprint}; {size}"
        settings = Settings(
            name=wishes.name,
            dataset=dataset,
            scale=list(map(float, reward.bundle.scales[dataset])),
            model_version=reward.version,
            ratings=wishes.ratings,
            repeats=wishes.repeats,
            seed=wishes.seed,
            prompts=prompts,
            pictures=None if made is None else made.digest,
            steering=described,
            consent=hashlib.sha256(consent.encode()).hexdigest(),
        )
        to_rate = _to_rate(reward, dataset, wishes.ratings) if wishes.ratings else {}
        begin(folder, settings, consent)
        stack.enter_context(served_alone(folder))
        require_open(folder)
        if made is None:
            store = PictureStore(folder / PICTURES)
            steering = Steering(
                params, settings, reward, generator, rewriter, store, folder / STEERED
            )
        study = Study(
            project,
            folder,
            settings,
            read_secret(folder),
            to_rate,
            drawer=steering,
            made=made.of if made else None,
            total=steering.total if steering else 1,
        )
        stack.callback(study.stop)
        yield study


def _read_text(path: Path, option: str) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise PamelaError(f"{option} {path}: {why}") from None
    if not text.strip():
        raise PamelaError(f"{option} {path}: there is nothing in it")
    return text


def _require_sense(params: Params, reward: Reward, dataset: str, wishes: Wishes) -> None:
    if dataset in reward.bundle.standardised:
        raise PamelaError(
            f"dataset {dataset}: it has choices alone and no scale to rate on; name another "
            "--dataset"
        )
    if params.embed.encoder == PRECOMPUTED:
        raise PamelaError(
            "embed.encoder is 'precomputed', which can encode no new picture: a study needs an "
            "encoder"
        )
    if wishes.pairs is None and not wishes.ratings:
        raise PamelaError("--ratings 0: nobody can be steered for without ratings; give --pairs")
    if wishes.ratings and not reward.bundle.model.adapts:
        raise PamelaError(
            f"the model {reward.bundle.model.name!r} learns nothing from a new person's ratings: "
            "use a champion such as hierarchical"
        )


def _to_rate(reward: Reward, dataset: str, ratings: int) -> dict[str, Path]:
    """Return the pictures whose ratings teach most about somebody new: id and file."""
    found = reward.suggest(user=None, n=ratings, dataset=dataset)
    lacking = [one for one in found if one.file is None or not one.file.is_file()]
    if lacking:
        raise PamelaError(
            f"dataset {dataset}: the picture {lacking[0].image_id} that people are to rate has no "
            "file here; `dvc pull` or `dvc checkout` brings files back"
        )
    if len(found) < ratings:
        raise PamelaError(
            f"--ratings {ratings}: dataset {dataset} has only {len(found)} pictures to rate"
        )
    return {str(one.image_id): one.file for one in found if one.file is not None}


# --- prompts ------------------------------------------------------------------------------------
def _prompts(params: Params, reward: Reward, dataset: str, wishes: Wishes) -> list[StartPrompt]:
    if wishes.prompts is not None:
        lines = _read_text(wishes.prompts, "--prompts").splitlines()
        texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
        ids = [f"{wishes.name}-prompt-{n:02d}" for n in range(1, len(texts) + 1)]
        found = [
            StartPrompt(prompt_id=i, prompt=t, seed=0) for i, t in zip(ids, texts, strict=True)
        ]
    else:
        found = _drawn(params, reward, dataset, wishes)
    for one in found:
        _require_fit(params, one, wishes)
    return _with_seeds(found, wishes.seed)


def _require_fit(params: Params, one: StartPrompt, wishes: Wishes) -> None:
    """Raise on a prompt that is too long, or that the embedded world cannot draw."""
    where = f"--prompts {wishes.prompts}: " if wishes.prompts else ""
    if len(one.prompt) > LONGEST_PROMPT:
        raise PamelaError(f"{where}a prompt of {len(one.prompt):,} characters; shorten it")
    if params.steer.generator == EMBEDDED:
        from pamela.synthetic.prompts import parse_prompt

        try:
            parse_prompt(one.prompt)
        except (PamelaError, ValueError, KeyError) as error:
            raise PamelaError(
                f"{where}{one.prompt!r}: the embedded generator cannot draw it ({error}); use "
                "prompts of the embedded dataset, or another steer.generator"
            ) from None


def _drawn(params: Params, reward: Reward, dataset: str, wishes: Wishes) -> list[StartPrompt]:
    """Draw prompts of the dataset, one of each `prompt_id`."""
    frame = reward.bundle.items.frame
    named = frame.filter(pl.col(s.DATASET) == dataset, pl.col(s.PROMPT).is_not_null()).with_columns(
        pl.coalesce(s.PROMPT_ID, s.IMAGE).alias(s.PROMPT_ID)
    )
    once = named.unique(s.PROMPT_ID, keep="first").sort(s.PROMPT_ID)
    count = params.steer.prompts
    if not once.height:
        raise PamelaError(
            f"dataset {dataset}: its pictures name no prompts to steer; give --prompts"
        )
    rng = np.random.default_rng([wishes.seed, 1])
    rows = once[np.sort(rng.permutation(once.height)[:count])]
    columns = rows.select(s.PROMPT_ID, s.PROMPT, *s.METADATA)
    return [StartPrompt(seed=0, **row) for row in columns.iter_rows(named=True)]


def _with_seeds(prompts: Sequence[StartPrompt], seed: int) -> list[StartPrompt]:
    hashes = hash_ids([one.prompt_id for one in prompts], seed) >> np.uint64(33)  # 31 bits
    return [
        one.model_copy(update={"seed": int(number)})
        for one, number in zip(prompts, hashes.tolist(), strict=True)
    ]
