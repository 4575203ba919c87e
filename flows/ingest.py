"""Stage ingest: datasets and batches -> data/tables/. Run: ``python -m flows.ingest``."""

from __future__ import annotations

import polars as pl

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.data import ingest
from pamela.data.ingest import Dataset
from pamela.params import Params


@step("prepare world")
def prepare_world(project: Project, params: Params) -> None:
    """Build the embedded dataset if it is named."""
    ingest.prepare_world(project, params)


@step("read dataset")
def read_dataset(project: Project, name: str) -> Dataset:
    """Read one dataset with its batches."""
    dataset = ingest.read_dataset(project, name)
    print(dataset.counts)
    return dataset


@step("hash pictures")
def hash_pictures(project: Project, datasets: list[Dataset]) -> pl.DataFrame:
    """Hash every picture's content."""
    return ingest.hash_pictures(project, datasets)


@step("write tables")
def write_tables(project: Project, datasets: list[Dataset], hashes: pl.DataFrame) -> None:
    """Write the canonical tables."""
    ingest.write_tables(project, datasets, hashes)


@stage("ingest")
def flow() -> None:
    """Read every dataset that is named and write the three tables."""
    project, params = here()
    prepare_world(project, params)
    datasets = [read_dataset(project, name) for name in params.ingest.datasets]
    hashes = hash_pictures(project, datasets)
    write_tables(project, datasets, hashes)


if __name__ == "__main__":
    main(flow)
