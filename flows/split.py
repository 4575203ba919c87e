"""Stage split: data/validated/ -> data/splits/. Run: ``python -m flows.split``."""

from __future__ import annotations

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.splits import split
from pamela.splits.split import Split

split_dataset = step("split dataset")(split.split_dataset)


@step("write splits")
def write_splits(project: Project, splits: list[Split]) -> None:
    """Write the splits with their hashes."""
    print(split.counts(split.write_splits(project, splits)))


@stage("split")
def flow() -> None:
    """Split every dataset."""
    project, params = here()
    names = split.validated_datasets(project)
    splits = [split_dataset(project, name, params.split) for name in names]
    write_splits(project, splits)


if __name__ == "__main__":
    main(flow)
