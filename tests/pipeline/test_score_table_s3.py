"""A table in an object store is scored into another one, by the same parts and bytes as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import pamela
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.serving.api import score_part
from pamela.serving.bulk.job import score_table
from tests.helpers.small_model import make_small_project

pytestmark = pytest.mark.slow
BUCKET = "tables"


@pytest.fixture
def store(monkeypatch) -> Iterator[Any]:
    """Yield a client of a store on loopback, found by the usual variables."""
    moto = pytest.importorskip("moto.server")
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "somebody"),
        ("AWS_SECRET_ACCESS_KEY", "made-up-secret-7f02"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket=BUCKET)
    yield client
    server.stop()


def test_a_table_of_an_object_store(store, tmp_path, monkeypatch):
    monkeypatch.chdir(make_small_project(tmp_path / "project").root)
    reward = pamela.load("models/bundle")
    rows = {s.USER: ["p001", "p002", "nobody", "p003"] * 10, s.IMAGE: ["i01", "i02"] * 20}
    for path in ("in/1.parquet", "in/2.parquet"):
        Path(path).parent.mkdir(exist_ok=True)
        pl.DataFrame(rows).write_parquet(path)
        store.upload_file(path, BUCKET, path)
    score_table(reward, "in", "out.parquet", rows_at_once=15)

    def remote(source: str, out: str):
        return score_table(reward, f"s3://{source}", f"s3://{out}", rows_at_once=15)

    half = iter(range(3))

    def dying(parts):
        for part in parts:
            next(half)  # the fourth part is never made
            yield part, score_part(part)

    with pytest.raises(RuntimeError):  # what a generator makes of StopIteration
        score_table(reward, f"s3://{BUCKET}/in", f"s3://{BUCKET}/out.parquet", rows_at_once=15,
                    run=dying)  # fmt: skip
    done = remote(f"{BUCKET}/in", f"{BUCKET}/out.parquet")
    assert (done.rows, done.rejected, done.resumed) == (80, 20, 45)
    found = {one["Key"] for one in store.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert found == {"in/1.parquet", "in/2.parquet", "out.parquet", "out.rejected.parquet"}
    for name in ("out.parquet", "out.rejected.parquet"):
        written = store.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        assert written == Path(name).read_bytes()
    for source, out, said in (
        (f"{BUCKET}/in", f"{BUCKET}/out.parquet", "exists already"),
        (f"{BUCKET}/none.parquet", f"{BUCKET}/new.parquet", "no such file"),
        (f"{BUCKET}/in", "gone-bucket/new.parquet", "NO_SUCH_BUCKET"),
    ):
        with pytest.raises(PamelaError, match=said) as fault:
            remote(source, out)
        assert "made-up-secret" not in str(fault.value)
