"""The pieces of an explanation: slopes, regressions, shrinkage, draws, words and concepts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import Ridge

from pamela.core.errors import PamelaError
from pamela.explain.concepts import GENERAL, concept_scores, concepts_for, read_concepts
from pamela.explain.effects import Effects, JointRidge, Resamples, _penalty, shrunken, slopes
from pamela.explain.personal_part import Axes, PersonalPart, PredictedParts, parts_of
from pamela.explain.words import collect_words, words_of
from pamela.features.factory import get_encoder
from pamela.models import create_model
from pamela.params import load_params
from tests.helpers.encoder_kit import ROOT, write_open_clip
from tests.helpers.planted import make_world

N = 300


def part_of(mean: np.ndarray, draws: np.ndarray | None = None) -> PersonalPart:
    return PersonalPart(mean, draws, np.zeros(len(mean)))


def resamples(n: int = N) -> Resamples:
    return Resamples.draw([f"p{i}" for i in range(n)], 0)


def test_slopes_are_least_squares_and_mean_differences():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(N, 3)) * [1, 5, 0]
    x[:, 2] = rng.random(N) < 0.3
    y = 2 + 0.5 * x[:, 0] + rng.normal(size=N)
    found = slopes(x, part_of(y), resamples())
    expected = [np.polyfit(x[:, j], y, 1)[0] for j in range(3)]
    np.testing.assert_allclose(found.value, expected, rtol=1e-9)
    inside = x[:, 2] == 1
    assert found.value[2] == pytest.approx(y[inside].mean() - y[~inside].mean())
    same = slopes(sparse.csr_matrix(x), part_of(y), resamples())
    np.testing.assert_allclose(same.low, found.low)


def test_a_column_that_does_not_vary_has_no_effect():
    found = slopes(np.ones((N, 1)), part_of(np.random.default_rng(0).normal(size=N)), resamples())
    assert (found.value[0], found.low[0], found.high[0]) == (0, 0, 0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(-5, 5), st.floats(0.1, 10))
def test_effects_ignore_the_level_and_scale_with_the_part(seed, level, scale):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    few = Resamples.draw([str(i) for i in range(60)], seed, count=20)
    one, two = (slopes(x, part_of(v), few) for v in (y, scale * y + level))
    for a, b in ((one.value, two.value), (one.low, two.low), (one.high, two.high)):
        np.testing.assert_allclose(scale * a, b, rtol=1e-6, atol=1e-8)


def test_intervals_cover_the_slope_in_the_population_of_pictures():
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(N, 1))
        found = slopes(x, part_of(0.5 * x[:, 0] + rng.normal(size=N)), resamples())
        held += found.low[0] <= 0.5 <= found.high[0]
    assert held >= 88


def test_draws_of_the_person_widen_the_interval():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 1))
    y = 0.5 * x[:, 0]
    draws = y + rng.normal(size=(400, 1)) * x[:, 0]  # the slope is known to one point
    sure, unsure = (slopes(x, part_of(y, d), resamples()) for d in (None, draws))
    assert sure.high[0] - sure.low[0] < 1e-6
    assert 3.3 < unsure.high[0] - unsure.low[0] < 4.6  # 2 x 1.96


def test_pictures_of_one_prompt_are_drawn_together():
    drawn = Resamples.draw(["a", "a", "b", "c", "c", "c"], 0).weights[1:]
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 3] == drawn[:, 5]).all()
    assert (drawn[:, 0] != drawn[:, 2]).any()


def test_together_tells_a_cause_from_its_companion():
    rng = np.random.default_rng(0)
    cause = rng.normal(size=N)
    companion = 0.8 * cause + 0.6 * rng.normal(size=N)
    x = np.column_stack([cause, companion])
    part = part_of(cause + 0.1 * rng.normal(size=N))
    drawn = resamples()
    alone = slopes(x, part, drawn)
    both, share = JointRidge.prepare(x, drawn).fit(part, drawn)
    assert alone.value[1] > 0.5
    assert abs(both.value[1]) < 0.05
    assert both.value[0] == pytest.approx(cause.std(), rel=0.05)
    assert share > 0.95


def test_ridge_and_its_penalty_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5))
    z = (x - x.mean(0)) / x.std(0)
    y = z @ np.array([1.0, 0, 0, 0.3, 0]) + 2 * rng.normal(size=80)
    y -= y.mean()
    penalty, share = _penalty(z, y)
    drawn = Resamples.draw([str(i) for i in range(80)], 0)
    found, _ = JointRidge.prepare(x, drawn).fit(part_of(y), drawn)
    np.testing.assert_allclose(found.value, Ridge(alpha=penalty).fit(z, y).coef_, rtol=1e-8)
    left_out = 0.0
    for i in range(80):
        keep = np.arange(80) != i
        fit = Ridge(alpha=penalty).fit(z[keep], y[keep])
        left_out += (y[i] - fit.predict(z[[i]])[0]) ** 2
    assert share == pytest.approx(1 - left_out / (y @ y * (80 / 79) ** 2), abs=0.01)


def test_noise_explains_nothing():
    rng = np.random.default_rng(0)
    _, share = _penalty(rng.normal(size=(N, 20)), rng.normal(size=N))
    assert share < 0.03


def test_shrinkage_removes_noise_and_keeps_what_is_sure():
    rng = np.random.default_rng(0)
    error = np.full(400, 0.3)
    noise = Effects(rng.normal(size=400) * 0.3, np.zeros(400), np.zeros(400), error)
    assert np.abs(shrunken(noise, error).value).max() < 0.25
    true = rng.normal(size=400)
    uneven = np.where(np.arange(400) < 200, 0.05, 1.0)
    seen = true + uneven * rng.normal(size=400)
    found = shrunken(Effects(seen, seen - 1, seen + 1, uneven), uneven).value
    assert np.abs(found - true)[200:].mean() < 0.8 * np.abs(seen - true)[200:].mean()
    np.testing.assert_allclose(found[:200], seen[:200], rtol=0.05)


def test_draws_along_axes_have_the_variances_kept_and_the_posteriors_correlations():
    rng = np.random.default_rng(0)
    k, n, ratings, noise = 8, 2000, 150, 0.7
    columns = rng.normal(size=(n, k)) @ rng.normal(size=(k, k))  # redundant columns
    covariance = np.diag(rng.uniform(0.1, 0.5, k))
    axes = np.linalg.eigh(covariance)[1]
    rated = columns[rng.integers(0, n, ratings)]
    posterior = np.linalg.inv(rated.T @ rated / noise + np.linalg.inv(covariance))
    variance = np.diag(axes.T @ posterior @ axes)
    drawn = Axes.of(columns, covariance, noise, axes).draw(variance, 20_000, 0)
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.06)
    along = columns[:200] @ axes
    exact = np.sqrt(np.einsum("ij,jk,ik->i", columns[:200], posterior, columns[:200]))
    np.testing.assert_allclose((along @ drawn.T).std(axis=1).mean(), exact.mean(), rtol=0.15)
    independent = np.sqrt((along**2) @ variance)
    assert independent.mean() > 1.5 * exact.mean()  # what the correlations are for


def test_the_personal_part_is_the_person_less_a_cold_start_user():
    world = make_world(own=1.0)
    params = load_params(ROOT / "params.yaml").train.model_copy(update={"cv_folds": 2})
    fold = world.fold
    model = create_model("hierarchical", params)
    model.fit(fold, seed=0)
    rows = fold.people.frame
    person, nobody = (type(fold.people)(frame) for frame in (
        rows[[0]], rows[[0]].with_columns(user_id=pl.lit(""), gender=pl.lit(None, pl.String))
    ))  # fmt: skip
    found = parts_of(model, fold.items, nobody).of(person, None, draws=300, seed=0)
    both = type(fold.people)(rows[[0]].vstack(nobody.frame.cast(rows.schema)))
    scores = model.picture_columns(fold.items).scores(model.weights_of(both)[0])
    np.testing.assert_allclose(found.mean, scores[0] - scores[1], atol=1e-4)
    np.testing.assert_allclose(found.draws.mean(axis=0), found.mean, atol=0.2)
    bent = PredictedParts(model, fold.items, nobody).of(person, None, draws=1, seed=0)
    assert bent.draws is None
    assert np.corrcoef(bent.mean, found.mean)[0, 1] > 0.98  # the same but for the scale's ends
    truth = world.truth[0] - world.shared
    assert np.corrcoef(found.mean, truth)[0, 1] > 0.7


def test_words_of_a_prompt():
    found = words_of("A very dark photo of a cat, against the light (2 of 3)")
    assert {"very dark", "dark photo", "cat", "light"} <= set(found)
    assert not {"very", "a", "cat against", "2", "photo of"} & set(found)


def test_enough_prompts_hold_a_word_and_only_the_longest_of_equals_is_kept():
    prompts = ["a barn at golden hour"] * 20 + ["a barn, golden hour"] * 5 + ["a boat"] * 30
    prompts += [None, "a rare bird"]
    words = collect_words(prompts)
    counts = np.asarray(words.present.sum(axis=0)).ravel()
    found = dict(zip(words.words, counts.tolist(), strict=True))
    assert found == {"boat": 30, "golden hour": 25}  # barn, golden, hour: the same pictures


def test_concepts_of_the_embedded_encoder_follow_what_is_drawn():
    from pamela.synthetic.rendering.render import render

    encoder = get_encoder("embedded", device="cpu", batch_size=64, workers=0)
    concepts = concepts_for("embedded")
    ways = {"key": ("very dark", "very bright"), "grain": ("perfectly smooth", "very grainy"),
            "warmth": ("in icy cold tones", "in fiery warm tones")}  # fmt: skip
    for theme, (low, high) in ways.items():
        pictures = [render(f"A photo of a {what}, {look}", seed, 96)
                    for look in (low, high)
                    for seed, what in enumerate(("cat", "pizza", "sports car", "dog"))]  # fmt: skip
        column = [c.theme for c in concepts].index(theme)
        scores = concept_scores(encoder, encoder.encode_images(pictures), concepts)[:, column]
        assert scores[:4].max() < scores[4:].min(), theme
    kinds = [c for c in concepts if c.low is None]
    assert {c.theme for c in kinds} == {"lighting"}


def test_the_general_list_works_with_any_open_clip_model(tmp_path):
    encoder = get_encoder(write_open_clip(tmp_path / "m"), device="cpu", batch_size=8, workers=0)
    concepts = concepts_for(encoder.name)
    assert {"light", "colour", "composition", "mood", "medium", "subject"} <= {
        c.theme for c in concepts
    }
    image = encoder.encode_images([np.full((40, 40, 3), v, np.uint8) for v in (0, 128, 255)])
    scores = concept_scores(encoder, image, concepts)
    assert scores.shape == (3, len(concepts))
    low, high = (
        encoder.encode_prompts([t]) for t in ("a very dark picture", "a very bright picture")
    )
    np.testing.assert_allclose(scores[:, 0], (image @ (high - low).T)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("light: [", "not valid YAML"),
        ("", "holds no themes"),
        ("light: {sentence: a picture, kinds: [a, b]}", "theme light: give a sentence"),
        ("light: {sentence: 'a {}', kinds: [a]}", "at least two kinds"),
        ("light: {sentence: 'a {}', opposites: [[a]]}", "opposites are pairs"),
        ("light: {sentence: 'a {}', words: [a, b]}", "theme light: give a sentence"),
    ],
)
def test_a_broken_list_is_named(tmp_path, text, says):
    path = tmp_path / "words.yaml"
    path.write_text(text)
    with pytest.raises(PamelaError, match=says):
        read_concepts(path)


def test_every_concept_of_the_general_list_is_said_once():
    concepts = read_concepts(GENERAL)
    assert len({(c.theme, c.low, c.high) for c in concepts}) == len(concepts) > 30
