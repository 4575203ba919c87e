"""What the gate compares on: nothing of a batch in the frozen part, a fair share of the newest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pamela.core import schema as s
from pamela.core.dataset import Fold, Pairs
from pamela.core.paths import Project
from pamela.data.partitions import partition_name
from pamela.retraining.gate import holdout
from pamela.retraining.gate.holdout import NEWEST, Holdout, load_holdout
from tests.helpers.gate_kit import make_fold

FOLD = make_fold()


def write_rows(project: Project, batch: str | None, pairs: Pairs) -> None:
    path = project.validated / "ratings.parquet" / partition_name("d", batch)
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(
        {
            s.DATASET: "d",
            s.USER: FOLD.people.frame[s.USER].gather(pairs.user),
            s.IMAGE: FOLD.items.frame[s.IMAGE].gather(pairs.item),
            s.RATING: pairs.rating,
        }
    ).write_parquet(path)


def part_of(pairs: Pairs, start: int, stop: int) -> Pairs:
    return pairs.take(np.arange(start, stop))


def keys(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.user.tolist(), pairs.item.tolist(), strict=True))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Fold 0, of which two batches brought some rows: judged before, and not yet."""
    monkeypatch.setattr(holdout, "load_fold", lambda _project, _number: FOLD)
    project = Project(tmp_path)
    train, test = FOLD[s.TRAIN], FOLD[s.TEST_SEEN]
    old = Pairs.concat(part_of(train, 0, 60), part_of(test, 0, 10))
    new = Pairs.concat(part_of(train, 60, 200), part_of(test, 10, 30))
    write_rows(project, "old", old)
    write_rows(project, "new", new)
    write_rows(project, None, part_of(train, 200, len(train)))
    return project


def load(project: Project, *newest: str, share: float = 0.3, seed: int = 0) -> Holdout:
    return load_holdout(project, newest, share=share, seed=seed)


def test_no_row_of_any_batch_is_in_the_frozen_hold_out(project: Project) -> None:
    test = FOLD[s.TEST_SEEN]
    for newest in ([], ["d/new"], ["d/new", "d/old"]):
        found = load(project, *newest)
        assert keys(found.frozen[s.TEST_SEEN]) == keys(part_of(test, 30, len(test)))
        assert keys(found.frozen[s.TEST_UNSEEN]) == keys(FOLD[s.TEST_UNSEEN])
        assert keys(found.rows) == keys(found.frozen[s.TEST_SEEN]) | keys(FOLD[s.TEST_UNSEEN])


def test_the_newest_are_a_share_of_the_new_batches_training_rows(project: Project) -> None:
    train = FOLD[s.TRAIN]
    found = load(project, "d/new")
    held = keys(found.newest)
    assert held < keys(part_of(train, 60, 200))
    assert 0.15 < len(held) / 140 < 0.45
    assert keys(found.fold[s.TRAIN]) == keys(train) - held
    assert len(found.fold[s.TRAIN]) + len(found.newest) == len(train)
    everything = found.fold.all_as_train()[s.TRAIN]
    assert len(everything) == sum(len(pairs) for pairs in FOLD.parts.values())


def test_the_draw_is_of_the_seed_and_of_the_row_alone(project: Project) -> None:
    first = keys(load(project, "d/new").newest)
    assert keys(load(project, "d/new").newest) == first
    assert keys(load(project, "d/new", seed=1).newest) != first
    both = keys(load(project, "d/new", "d/old").newest)
    assert first < both  # more batches never move a row


def test_without_new_batches_nothing_is_held_out(project: Project) -> None:
    assert len(load(project).newest) == 0
    assert len(load(project, "d/new", share=0.0).newest) == 0
    assert NEWEST in load(project).fold.parts


def test_a_fold_without_batches_is_frozen_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def same(_project: Project, _number: int) -> Fold:
        return FOLD

    monkeypatch.setattr(holdout, "load_fold", same)
    found = load(Project(tmp_path))
    assert len(found.rows) == len(FOLD[s.TEST_SEEN]) + len(FOLD[s.TEST_UNSEEN])
