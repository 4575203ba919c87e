"""A SigLIP-like encoder with the tokenizer of the real library, which no other test needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import run_in
from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TESTS = "tests/unit/features/encoders/test_published.py"


def test_a_siglip_like_model_works_with_the_real_library(tmp_path: Path) -> None:
    folder = tmp_path / "packages"
    if find_spec("transformers") is None:
        _install(folder, "transformers", "tokenizers")
    path = os.pathsep.join([str(folder), str(ROOT)])
    words = ("pytest", "-o", "addopts=", "-rs", "-k", "siglip_like", TESTS)
    done = run_in(ROOT, "python", "-m", *words, PYTHONPATH=path)
    assert "1 passed" in done.stdout, done.stdout[-3000:]


def _install(folder: Path, *packages: str) -> None:
    """Install packages of the tested set aside, so that nothing else here changes."""
    install = [sys.executable, "-m", "pip", "install"]
    if find_spec("pip") is None:
        uv = shutil.which("uv")
        if uv is None:
            pytest.skip("neither pip nor uv is here to install the extra transformers")
        install = [uv, "pip", "install", "--python", sys.executable]
    words = ["-q", "--no-deps", "--target", str(folder), "-c", str(ROOT / "constraints.txt")]
    done = subprocess.run([*install, *words, *packages], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the extra transformers cannot be had: {done.stderr.strip()[-300:]}")
