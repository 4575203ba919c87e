"""Servers that several modules of whole stages share: one of each for a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.shared_servers import PostgreSQL, object_store, postgresql


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgreSQL]:
    """Return a real PostgreSQL of the tests' own; it runs before and after each test."""
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment in which S3 is a real server of the tests' own."""
    with object_store(tmp_path_factory.mktemp("s3")) as env:
        yield env
