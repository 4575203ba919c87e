"""What is trained on in shards, and that it is the same fold."""

from __future__ import annotations

from pathlib import Path

from polars.testing import assert_frame_equal

from pamela.core.paths import Project
from pamela.core.shards.fold import ShardedFold
from pamela.training.bundle_tables import flagged, rated_pairs, row_counts
from pamela.training.folds import training_fold
from pamela.training.train import fit_hash
from tests.helpers.train_params import params
from tests.unit.core.test_dataset import ROWS, rate, write


def test_a_large_split_is_trained_on_in_shards_that_are_gone_afterwards(tmp_path: Path) -> None:
    project = Project(tmp_path)
    write(project, ROWS)
    rate(project, None)
    with training_fold(project, 0) as whole:
        assert not isinstance(whole, ShardedFold)
    with training_fold(project, 0, most=10) as sharded:
        assert isinstance(sharded, ShardedFold)
        assert fit_hash(params(), sharded) == fit_hash(params(), whole)
        for one, other in ((whole, sharded), (whole.all_as_train(), sharded.all_as_train())):
            assert row_counts(other) == row_counts(one)
            assert_frame_equal(rated_pairs(other), rated_pairs(one))
        people, pictures = whole.people.frame, whole.items.frame
        for frame, column in ((people, "user"), (pictures, "item")):
            assert_frame_equal(
                flagged(frame, sharded.all_as_train(), sharded, column),  # type: ignore[arg-type]
                flagged(frame, whole.all_as_train(), whole, column),  # type: ignore[arg-type]
            )
    assert list(project.checkpoints.iterdir()) == []
