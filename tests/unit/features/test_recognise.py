"""The same picture by its features: found in any order and number, and no other taken for it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.features import recognise
from pamela.features.recognise import SAME, KnownPictures


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 30), st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_pictures_are_found_again_and_others_are_not(seed, known_rows, rows, size):
    rng = np.random.default_rng(seed)
    known = (size * rng.normal(size=(known_rows, 16))).astype(np.float32)
    at = rng.integers(0, known_rows, rows)
    noise = rng.normal(size=(rows, 16))
    noise *= np.linalg.norm(known[at], axis=1, keepdims=True) / np.linalg.norm(
        noise, axis=1, keepdims=True
    )
    near = (known[at] + 0.2 * SAME * noise).astype(np.float32)
    far = (known[at] + 20 * SAME * noise).astype(np.float32)
    np.testing.assert_array_equal(KnownPictures(known).rows_of(near), at)
    assert (KnownPictures(known).rows_of(far) == -1).all()


def test_many_are_compared_in_parts(monkeypatch):
    known = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    whole = KnownPictures(known).rows_of(known[::-1])
    monkeypatch.setattr(recognise, "COMPARED", 20)
    np.testing.assert_array_equal(KnownPictures(known).rows_of(known[::-1]), whole)
    assert whole.tolist() == list(range(7))[::-1]
    assert KnownPictures(known[:0]).rows_of(known).tolist() == [-1] * 7
