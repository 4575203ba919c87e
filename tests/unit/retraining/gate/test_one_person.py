"""How much one person can move the gate, whatever they rate: they weigh as much as any other."""

from __future__ import annotations

import numpy as np
import pytest

from pamela.params import load_params
from pamela.retraining.gate.judgement import setting_of
from pamela.retraining.gate.table_rows import row_of
from tests.paths import ROOT

SETTING = setting_of(load_params(ROOT / "params.yaml"))


@pytest.mark.parametrize("people", [10, 30, 200])
def test_one_person_makes_no_gain(people):
    """A third of the resamples are without them: the lower bound is what the others say."""
    rng = np.random.default_rng(people)
    values = np.repeat(rng.uniform(0.2, 0.6, people)[:, None], 2, axis=1)
    values[0] = -1.0, 1.0  # the most that an SROCC can change
    row = row_of(("newest", "", ""), "srocc", values, 5 * people, SETTING)
    assert row.difference == pytest.approx(2 / people)
    assert row.lower == 0.0
