"""One retrain at a time; the second is told who is at it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.retraining.lock import one_at_a_time, why_busy


def test_the_second_is_told_who_is_at_it_and_the_lock_is_free_afterwards(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert why_busy(project) == ""
    with one_at_a_time(project):
        said = f"another retrain .*process {os.getpid()}, since"
        with pytest.raises(PamelaError, match=said), one_at_a_time(project):
            pass
        assert f"process {os.getpid()}" in why_busy(project)
    with one_at_a_time(project):
        pass
    assert why_busy(project) == ""
