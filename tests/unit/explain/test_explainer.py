"""Explanations: in a world whose tastes are known, they name the true ones."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import pamela
from benchmarks.explanations import compare, explained_effects, true_effects
from pamela.cli.app import app
from pamela.core import schema as s
from pamela.core.errors import PamelaError
from pamela.explain.item_properties import NO_TEXT
from pamela.explain.result import clear, ends, preferred, sentences, telling_words
from pamela.reporting.presentation.html import Picture, write_page
from pamela.reporting.sections.people import PeoplePart, PersonPart, choose_people, tables
from tests.helpers.explain_kit import Small, small_world
from tests.helpers.two_scales import make_reward


@pytest.fixture(scope="module")
def small() -> Small:
    return small_world()


@pytest.fixture(scope="module")
def dark(small):
    return small.reward.explain(user=small.lover_of_dark)


def test_true_tastes_are_named(small):
    properties = small.reward.explainer.image_properties("synthetic")
    images = properties.items.frame.select(s.IMAGE).join(
        small.made.images, on=s.IMAGE, how="left", maintain_order="left"
    )
    truth = true_effects(small.made.world, images, small.raters)
    found = compare(explained_effects(small.reward, small.raters), truth, small.raters)
    strong = found.filter(pl.col("spread") > 0.3)
    assert strong.height >= 6
    assert (strong["correlation"] > strong["chance"]).all(), strong
    assert strong["correlation"].mean() > 0.7, strong
    assert strong.filter(pl.col("clear") > 0)["right"].mean() > 0.9, strong


def test_the_lover_of_dark_pictures_is_explained_as_such(dark):
    first = preferred(dark.concepts).row(0, named=True)
    assert (first["theme"], first["words"], first["against"]) == ("key", "very dark", "very bright")
    assert first["ci_low"] > 0.5
    assert dark.explained > 0.4
    up, down = telling_words(dark.words, 4)
    assert any("dark" in word or "low key" in word for word in up["word"]), up
    assert any("bright" in word or "high key" in word for word in down["word"]), down


def test_example_pictures_are_dark_and_bright(small, dark):
    key = dict(small.made.images.select(s.IMAGE, "key").iter_rows())
    up, down = (np.nanmean([key[i] for i in t[s.IMAGE]]) for t in ends(dark.pictures, 6))
    assert up < -0.3 < 0.3 < down
    raised = dark.pictures.row(0, named=True)
    assert raised["person"] > raised["population"]


def test_tables_are_sorted_and_intervals_hold_their_effects(dark):
    for name in ("levels", "words", "prompts"):
        table = dark.tables[name]
        assert table.height
        assert table["effect"].is_sorted(descending=True)
    for table in (dark.concepts, dark.levels, dark.prompts):
        assert (table["ci_low"] <= table["effect"]).mean() > 0.97
        assert (table["effect"] <= table["ci_high"]).mean() > 0.97
    assert 0 < clear(dark.concepts).sum() < dark.concepts.height
    assert dark.words["pictures"].min() >= 15


def test_the_same_explanation_every_time_and_for_an_adapted_user(small, dark):
    again = pamela.serving.api.Reward(small.reward.bundle, device="cpu", workers=0)
    assert again.explain(user=small.lover_of_dark).to_dict() == dark.to_dict()
    brightness = small.made.images["key"].fill_null(0.0).to_numpy()
    rows = np.argsort(brightness)[np.r_[0:20, -20:0]]
    context = small.reward.bundle.items.take(rows)
    encoder = small.reward.bundle.encoder["fingerprint"]
    me = pamela.User("synthetic", {}, context, tuple([5.0] * 20 + [1.0] * 20), encoder)
    found = small.reward.explain(user=me)
    assert found.source == "adapted"
    assert preferred(found.concepts)["words"][0] == "very dark"
    few = pamela.User("synthetic", {}, context.take(np.array([0, 39])), (5.0, 1.0), encoder)
    less = small.reward.explain(user=few)

    def width(one):
        return (one.concepts["ci_high"] - one.concepts["ci_low"]).mean()

    assert width(less) > width(found) > width(dark)  # 2, 40 and hundreds of ratings


def test_ratings_are_on_the_datasets_own_scale(small, dark):
    bundle = small.reward.bundle
    wide = pamela.training.bundle.Bundle(**{**vars(bundle), "scales": {"synthetic": (0.0, 100.0)}})
    found = pamela.serving.api.Reward(wide, device="cpu", workers=0).explain(
        user=small.lover_of_dark
    )
    ratio = found.concepts["effect"] / dark.concepts["effect"]
    np.testing.assert_allclose(ratio.to_numpy(), 25.0, rtol=1e-9)
    assert found.level.value == pytest.approx(25 * dark.level.value)
    assert found.follows == dark.follows
    assert found.pictures["person"].max() > 50


def test_plot_and_cli(small, dark, tmp_path, monkeypatch):
    path = dark.plot(tmp_path / "one.png", files={})
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    monkeypatch.setattr(pamela, "load", lambda uri: small.reward)
    monkeypatch.setenv("COLUMNS", "60")
    shown = CliRunner().invoke(app, ["explain", "--user", small.lover_of_dark])
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 60
    assert "very dark (rather than very" in shown.output
    told = CliRunner().invoke(app, ["explain", "--user", small.lover_of_dark, "--json"])
    assert json.loads(told.output)["concepts"][0]["theme"] == "key"


def test_the_report_shows_four_people_and_their_figures(small, dark, tmp_path):
    explainer = small.reward.explainer
    chosen = choose_people(explainer, "synthetic")
    names = [person.name for person, _ in chosen]
    assert names == [person.name for person, _ in choose_people(explainer, "synthetic")]
    assert len(set(names)) == 4
    sizes = [explainer.explain(person).spread for person, _ in chosen]
    assert sizes[0] > sizes[2] > sizes[3]
    person = PersonPart("x", sentences(dark), Picture("data:,", 10), "alt", {}, tables(dark))
    part = PeoplePart("hierarchical", {"synthetic": [person]}, [])
    write_page(tmp_path / "part.html", "people.html.j2", {"people": part})
    text = (tmp_path / "part.html").read_text()
    assert "very dark" in text
    assert "rather than" in text
    assert text.count("<table") == 4


def test_nothing_to_explain_is_loud(small, pictures):
    with pytest.raises(PamelaError, match="alike for everybody"):
        make_reward(pictures, "group_mean").explain(user="wide/ann")
    bundle = small.reward.bundle
    nothing = bundle.items.take(np.array([], int))
    nobody = pamela.User("synthetic", {}, nothing, (), bundle.encoder["fingerprint"])
    with pytest.raises(PamelaError, match="the population has no personal part"):
        small.reward.explain(user=nobody)


def test_precomputed_features_give_metadata_and_prompts_only(small):
    bundle = small.reward.bundle
    shipped = pamela.training.bundle.Bundle(
        **{**vars(bundle), "encoder": {"encoder": "precomputed"}}
    )
    found = pamela.serving.api.Reward(shipped, device="cpu", workers=0).explain(
        user=small.lover_of_dark
    )
    assert found.concepts.is_empty()
    assert found.explained is None
    assert NO_TEXT in found.notes
    assert found.levels.height
    assert found.words.height
    assert found.prompts.height
