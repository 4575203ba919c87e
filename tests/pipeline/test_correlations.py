"""The paper's correlations, from pictures, encoder and the `paper` model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Fold
from pamela.evaluation.metrics.definitions import plcc, srocc
from pamela.evaluation.metrics.grouping import group_predictions
from pamela.features.factory import get_encoder
from pamela.models import create_model
from pamela.params import load_params
from pamela.reporting import synthetic_calibration
from pamela.synthetic.image_files import draw_files
from tests.helpers.world_kit import fold_of, make
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2700)]
SEEDS = (7,)  # three agreed (docs/log.md); one tells of a change


@pytest.fixture(scope="module")
def missed(tmp_path_factory) -> dict[int, list[str]]:
    return {seed: _missed(seed, tmp_path_factory.mktemp(f"seed{seed}")) for seed in SEEDS}


def _missed(seed: int, folder) -> list[str]:
    """Return the facts that the world of this seed misses.

    All rows of the unseen test people are asked, as in the paper and in the report: the
    evaluation's 25 per person are too few to tell a calibration by (another 25 of the same person's
    rows move the mean by .027).
    """
    params = load_params(ROOT / "params.yaml")
    made = make(seed=seed)
    files = [folder / f"{i:05d}.jpg" for i in range(len(made.items))]
    draw_files(
        [(path, item.prompt, item.seed) for path, item in zip(files, made.items, strict=True)],
        params.synthetic.image_size,
    )
    encoder = get_encoder("embedded", device="cpu", batch_size=64, workers=2)
    fold = fold_of(made, encoder.encode_images(files))
    prompts = encoder.encode_prompts([item.prompt for item in made.items])
    fold = replace(fold, items=replace(fold.items, prompt=prompts))
    model = create_model("paper", params.train)
    model.fit(fold, seed=params.train.seed)
    found = {name: _correlations(model, fold, part) for name, part in
             (("seen", s.TEST_SEEN), ("unseen", s.TEST_UNSEEN))}  # fmt: skip
    facts = synthetic_calibration.correlation_facts(
        {name: values[0] for name, values in found.items()},
        {name: values[1] for name, values in found.items()},
    )
    return [f"{fact.name}: {fact.here:.3f}" for fact in facts if not fact.holds]


def _correlations(model, fold: Fold, part: str) -> tuple[float, float]:
    rows = fold[part]
    answer = model.predict(fold.items, fold.people, rows)
    asked = group_predictions(rows.user, rows.item, rows.rating, answer.mean)
    return float(np.nanmean(srocc(asked))), float(np.nanmean(plcc(asked)))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_paper_model_correlates_as_published(missed: dict[int, list[str]], seed: int) -> None:
    assert missed[seed] == []
