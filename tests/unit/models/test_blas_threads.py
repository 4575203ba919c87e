"""One BLAS thread while small matrices are many, and what there was before afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

from threadpoolctl import ThreadpoolController, threadpool_limits

from pamela.models.blas_threads import small_matrices, small_numpy_matrices
from tests.paths import ROOT


def blas_threads() -> set[int]:
    pools = ThreadpoolController().select(user_api="blas")
    return {pool["num_threads"] for pool in pools.info()}


def check() -> None:
    with threadpool_limits(2, user_api="blas"):
        assert small_matrices(blas_threads)() == {1}
        assert small_matrices(small_matrices(blas_threads))() == {1}
        assert 1 in small_numpy_matrices(blas_threads)()  # numpy's own
        assert small_numpy_matrices(small_matrices(blas_threads))() == {1}
        assert blas_threads() == {2}


def test_one_thread_inside_and_as_before_outside() -> None:
    """In a process that may have two: the tests' own were started with one."""
    code = "from tests.unit.models.test_blas_threads import check; check()"
    env = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
