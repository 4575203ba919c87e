"""Stage ingest: datasets and batches -> data/tables/. Run: ``python -m flows.ingest``."""

from __future__ import annotations

from flows.runtime import here, main, stage, step
from pamela.core.paths import Project
from pamela.data import ingest
from pamela.data.ingest import Dataset

prepare_world = step("prepare world")(ingest.prepare_world)
hash_pictures = step("hash pictures")(ingest.hash_pictures)
write_tables = step("write tables")(ingest.write_tables)


@step("read dataset")
def read_dataset(project: Project, name: str) -> Dataset:
    """Read one dataset with its batches."""
    dataset = ingest.read_dataset(project, name)
    print(dataset.counts)
    return dataset


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
