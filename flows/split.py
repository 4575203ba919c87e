"""Stage split: data/validated/ -> data/splits/. Run: ``python -m flows.split``."""

from __future__ import annotations

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.params import Params
from pamela.splits import split, split_record
from pamela.splits.split import Split


@step("split dataset")
def split_dataset(project: Project, name: str, params: Params) -> Split:
    """Put every user, image and rating of one dataset on its side."""
    return split.split_dataset(project, name, params.split)


@step("write splits")
def write_splits(project: Project, parts: list[Split]) -> None:
    """Write the splits with their hashes."""
    print(split_record.counts(split_record.write_splits(project, parts)))


@stage("split")
def flow() -> None:
    """Split every dataset."""
    project, params = here()
    parts = [split_dataset(project, name, params) for name in split.dataset_names(project)]
    write_splits(project, parts)


if __name__ == "__main__":
    main(flow)
