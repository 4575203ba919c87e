"""Whatever is given to the API: a valid answer or one line, never another exception."""

from __future__ import annotations

import datetime as dt
import warnings
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from io import BytesIO, StringIO
from itertools import count, repeat
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import pamela
from pamela.core.errors import PamelaError
from pamela.serving.api import Reward
from pamela.serving.types import CatalogImage, Ranked, Recorded, Score, Suggestion
from pamela.serving.user_context import User
from pamela.training.bundle import load_bundle

PIXELS = np.zeros((9, 9, 3), np.uint8)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Odd(str):
    """Text of a caller's own kind."""


# Made anew for every call: some are used up by it.
VALUES: dict[str, Callable[[], Any]] = {
    # numbers and nothing
    "none": lambda: None, "true": lambda: True, "zero": lambda: 0, "seven": lambda: 7,
    "negative": lambda: -3, "huge": lambda: 10**400, "half": lambda: 2.5,
    "nan": lambda: float("nan"), "infinity": lambda: float("inf"), "complex": lambda: 1j,
    "int64": lambda: np.int64(7), "float32": lambda: np.float32(3), "bool_": lambda: np.bool_(True),
    "decimal": lambda: Decimal("2.5"), "fraction": lambda: Fraction(5, 2),
    "not a time": lambda: pd.NaT, "pandas missing": lambda: pd.NA, "date": lambda: dt.date.today(),
    # text
    "empty text": lambda: "", "blank": lambda: "  ", "letter": lambda: "a",
    "unknown": lambda: "zzz",
    "user": lambda: "p001", "key": lambda: "synthetic/p001", "own text": lambda: Odd("p001"),
    "numpy text": lambda: np.str_("p001"), "half a character": lambda: "\ud800",
    "nul": lambda: "a\0b", "lines": lambda: "a\nb\r\nc\u2028d", "long": lambda: "x" * 100_000,
    "slashes": lambda: "///", "up": lambda: "../../etc/passwd", "people": lambda: "people/",
    "percent": lambda: "%s{0}{name}", "number as text": lambda: "5",
    "uri": lambda: "models:/pamela",
    "dataset": lambda: "synthetic",
    # bytes and files
    "no bytes": lambda: b"", "bytes": lambda: b"abc", "bytearray": lambda: bytearray(b"abc"),
    "memory": lambda: memoryview(b"abc"), "stream": lambda: BytesIO(b"abc"),
    "text stream": lambda: StringIO("abc"), "closed": lambda: _closed(),
    "path": lambda: Path("x.png"),
    "no path": lambda: Path(), "pure path": lambda: PurePosixPath("/dev/null"),
    "device": lambda: "/dev/zero", "folder": lambda: Path("/"),
    # pictures
    "pixels": lambda: PIXELS, "grey": lambda: PIXELS[..., 0],
    "batch": lambda: np.stack([PIXELS] * 2),
    "floats": lambda: PIXELS / 255.0, "channels first": lambda: PIXELS.transpose(2, 0, 1),
    "no pixels": lambda: PIXELS[:0], "5d": lambda: PIXELS[None, None], "0d": lambda: np.array("x"),
    "objects": lambda: np.array([PIXELS, None, "x"], object), "nested": lambda: [[PIXELS]],
    "image": lambda: Image.fromarray(PIXELS), "float image": lambda: Image.new("F", (9, 9)),
    "thin": lambda: Image.new("RGB", (900, 1)), "empty image": lambda: Image.new("RGB", (0, 0)),
    "tensor": lambda: torch.zeros(3, 9, 9), "known": lambda: CatalogImage("synthetic", "i01"),
    "unknown id": lambda: CatalogImage("synthetic", "i99"), "no id": lambda: CatalogImage(1, []),
    "recorded": lambda: Recorded("synthetic", None, None, None),
    "suggested": lambda: Suggestion(PIXELS, None, None, None, 1.0, 1.0),
    # collections
    "list": list, "tuple": tuple, "dict": dict, "set": set, "strings": lambda: ["a", "b"],
    "string set": lambda: {"a"}, "nones": lambda: [None], "nans": lambda: [float("nan")],
    "mapping": lambda: {"gender": "female"}, "counter": lambda: Counter("ab"),
    "number mapping": lambda: {1: 2}, "mixed keys": lambda: {1: "a", "b": None},
    "unknown fact": lambda: {"shoe": "42"}, "no fact": lambda: {"gender": None},
    "half a fact": lambda: {"gender": "\ud800"}, "generator": lambda: (x for x in ["a", 1]),
    "endless numbers": count, "endless text": lambda: _endless(), "range": lambda: range(3),
    "array": lambda: np.arange(3), "keys": lambda: {"a": 1}.keys(), "pairs": lambda: [("a", 1)],
    # tables
    "frame": lambda: pl.DataFrame({"a": [1]}), "no frame": pl.DataFrame,
    "lazy": lambda: pl.LazyFrame({"image_id": ["i01"], "rating": [4]}),
    "broken lazy": lambda: pl.LazyFrame({"a": [1]}).select("b"),
    "pandas": lambda: pd.DataFrame({"image_id": ["i01"], "rating": [np.nan]}),
    "mixed pandas": lambda: pd.DataFrame({"image_id": ["i01", 2], "rating": [4, "x"]}),
    "twice": lambda: pd.DataFrame([[1, 2]], columns=["rating", "rating"]),
    "series": lambda: pl.Series(["a", None]), "pandas series": lambda: pd.Series(["a", np.nan]),
    "objects in pandas": lambda: pd.DataFrame({"image": [PIXELS], "rating": [4]}),
    # of Python itself
    "object": object, "class": lambda: str, "function": lambda: len, "module": lambda: np,
    "ellipsis": lambda: ..., "error": lambda: ValueError("x"), "unprintable": Unprintable,
}  # fmt: skip


def _closed() -> BytesIO:
    stream = BytesIO(b"abc")
    stream.close()
    return stream


def _endless() -> Any:
    return repeat("a red barn")


@pytest.fixture(scope="module")
def reward(small_template) -> Reward:
    return Reward(load_bundle(small_template.models / "bundle"), project=small_template)


def answer(call: Callable[[], Any]) -> Any:
    """Return what a call answers, or its one line; whatever else it raises fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except PamelaError as error:
            said = str(error)
            assert said.strip()
            assert "\n" not in said
            assert len(said) < 700
            return error


def calls(reward: Reward, value: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """Return a call for every place where `value` may stand."""
    one = [CatalogImage("synthetic", "i01")]
    rated = (one[0], 4)
    return {
        "score user": lambda: reward.score(user=value(), images=one),
        "score images": lambda: reward.score(user="p001", images=_bounded(value)),
        "score one image": lambda: reward.score(user="p001", images=[*one, value()]),
        "score prompt": lambda: reward.score(user="p001", images=one, prompt=value()),
        "score prompts": lambda: reward.score(user="p001", images=one, prompt=[value()]),
        "score dataset": lambda: reward.score(user="p001", images=one, dataset=value()),
        "population dataset": lambda: reward.score(user=None, images=one, dataset=value()),
        "adapt ratings": lambda: reward.adapt(ratings=_bounded(value)),
        "adapt row": lambda: reward.adapt(ratings=[rated, value()]),
        "adapt image": lambda: reward.adapt(ratings=[(value(), 4)]),
        "adapt prompt": lambda: reward.adapt(ratings=[(one[0], value(), 4)]),
        "adapt rating": lambda: reward.adapt(ratings=[(one[0], value())]),
        "adapt demographics": lambda: reward.adapt(ratings=[rated], demographics=value()),
        "adapt a fact": lambda: reward.adapt(ratings=[], demographics={"gender": value()}),
        "adapt dataset": lambda: reward.adapt(ratings=[rated], dataset=value()),
        "suggest user": lambda: reward.suggest(user=value(), n=1),
        "suggest n": lambda: reward.suggest(user=None, n=value()),
        "suggest candidates": lambda: reward.suggest(user=None, n=1, candidates=_bounded(value)),
        "suggest dataset": lambda: reward.suggest(user=None, n=1, dataset=value()),
        "rank user": lambda: reward.rank(user=value(), n=1),
        "rank n": lambda: reward.rank(user=None, n=value()),
        "rank images": lambda: reward.rank(user=None, n=1, images=_bounded(value)),
        "person": lambda: reward.person(value()),
        "load": lambda: pamela.load(value()),
    }


def _bounded(value: Callable[[], Any]) -> Any:
    """Return the value; endless texts would be endless pictures, which nobody can tell."""
    return "a red barn" if value is VALUES["endless text"] else value()


@pytest.mark.parametrize("name", VALUES)
def test_any_value_in_any_place_is_answered_or_refused_in_one_line(
    reward, small_template, monkeypatch, name
):
    monkeypatch.chdir(small_template.root)
    for place, call in calls(reward, VALUES[name]).items():
        found = answer(call)
        kinds = (PamelaError, User, Reward, list)
        assert isinstance(found, kinds), (place, found)
        if isinstance(found, list):
            assert all(isinstance(x, Score | Suggestion | Ranked) for x in found), place
            assert len(found) <= 60, (place, len(found))
        if isinstance(found, list) and found and isinstance(found[0], Score):
            assert all(np.isfinite([x.rating, x.std, x.percentile]).all() for x in found), place


@pytest.mark.parametrize("name", [n for n in VALUES if n not in ("user", "key", "own text")])
def test_an_explanation_of_nobody_is_refused(reward, name):
    found = answer(lambda: reward.explain(user=VALUES[name]()))
    assert isinstance(found, PamelaError) or name == "numpy text"


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        ("user", 7, "user 7: a number; ids are text, write user='7'"),
        ("user", np.int64(7), "user 7: a number"),
        ("user", float("nan"), r"user nan \(float\); give text"),
        ("user", "", "user: an empty text"),
        ("images", PIXELS / 255, r"images: an array of float64 \(9, 9, 3\); give a path"),
        ("images", {"a.png"}, r"images \{'a.png'\} \(set\); give a list of pictures"),
        ("images", [None], r"image 1: None \(NoneType\) is no picture; give a path"),
        ("images", pl.DataFrame({"image": ["a"]}), r"images \(DataFrame\); give a list"),
        ("prompt", [float("nan")], r"prompt 1 nan \(float\); give text, or None"),
        ("prompt", 1984, r"prompt 1984 \(int\); give one text for all pictures"),
        ("prompt", ["a", "b"], "1 images but 2 prompts"),
        ("ratings", None, r"ratings None \(NoneType\); give a list of \(image, rating\)"),
        ("ratings", [("a.png",)], r"rating 1: \('a.png',\) \(tuple\) is none"),
        ("ratings", ("a.png", 5), r"rating 1: 'a.png' \(str\) is none; give \(image, rating\)"),
        ("ratings", [("a.png", True)], r"rating 1 \(a.png\): True \(bool\) is not a number"),
        (
            "ratings",
            [("a.png", 4, "its prompt")],
            r"rating 1 .*: prompt 4 \(int\); give text",
        ),
        ("ratings", [("a.png", float("nan"))], r"rating nan is off the scale 1\.\.5"),
        ("demographics", ["female"], r"demographics \['female'\] \(list\); give names and values"),
        ("demographics", {"gender": 1}, r"demographic gender 1 \(int\); give text"),
        ("n", True, r"n True \(bool\); give a whole number"),
        ("n", 2.0, r"n 2.0 \(float\); give a whole number"),
        ("name", 7, r"name 7 \(int\); give text"),
    ],
)
def test_a_line_names_the_argument_and_what_to_give(reward, where, value, says):
    one = [CatalogImage("synthetic", "i01")]
    call = {
        "user": lambda: reward.score(user=value, images=one),
        "images": lambda: reward.score(user="p001", images=value),
        "prompt": lambda: reward.score(user="p001", images=one, prompt=value),
        "ratings": lambda: reward.adapt(ratings=value),
        "demographics": lambda: reward.adapt(ratings=[], demographics=value),
        "n": lambda: reward.suggest(user=None, n=value),
        "name": lambda: reward.person(value),
    }[where]
    with pytest.raises(PamelaError, match=says):
        call()


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(json_like)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_anything_made_of_plain_values_is_answered_or_refused(reward, value):
    for call in calls(reward, lambda: value).values():
        answer(call)
