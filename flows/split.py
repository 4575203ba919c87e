"""Stage split: data/validated/ -> data/splits/. Run: ``python -m flows.split``."""

from __future__ import annotations

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.params import Params
from pamela.splits import split
from pamela.splits.split import Split


@step("split dataset")
def split_dataset(project: Project, name: str, params: Params) -> Split:
    """Put every user, image and rating of one dataset on its side."""
    return split.split_dataset(project, name, params.split)


@step("write splits")
def write_splits(project: Project, splits: list[Split]) -> None:
    """Write the splits with their hashes."""
    print(split.counts(split.write_splits(project, splits)))


@stage("split")
def flow() -> None:
    """Split every dataset."""
    project, params = here()
    splits = [split_dataset(project, name, params) for name in split.validated_datasets(project)]
    write_splits(project, splits)


if __name__ == "__main__":
    main(flow)
