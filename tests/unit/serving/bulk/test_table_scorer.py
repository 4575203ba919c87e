"""The numbers of a table are those of `Reward.score`, and rows without any say why."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import pamela
from pamela.core import schema as s
from pamela.serving.api import Reward
from pamela.serving.bulk.names import (
    NO_DATASET,
    NO_PICTURE,
    NO_USER,
    OTHER_DATASET,
    SEVERAL,
    UNKNOWN_DATASET,
    UNKNOWN_PICTURE,
    UNKNOWN_USER,
)
from pamela.serving.bulk.part import TableScorer
from pamela.serving.types import CatalogImage
from tests.helpers.people_commands import adapt
from tests.helpers.small_model import DATASET
from tests.helpers.two_scales import make_reward


def assert_as_score_says(reward: Reward, table: pl.DataFrame, scored: pl.DataFrame) -> None:
    """Compare every row of a table with `Reward.score` of the same user and picture."""
    assert scored.select(table.columns).equals(table)
    datasets = table[s.DATASET].to_list() if s.DATASET in table.columns else [None] * table.height
    found = []
    for user, image, dataset in zip(table[s.USER], table[s.IMAGE], datasets, strict=True):
        own = reward.user_context(user, dataset).dataset
        found += reward.score(user=user, dataset=dataset, images=[CatalogImage(own, str(image))])
    assert scored["source"].to_list() == [one.source for one in found]
    assert scored["rating"].to_list() == [one.rating for one in found]
    # a variance is summed in another order, and rounded to single precision
    np.testing.assert_allclose(scored["std"], [one.std for one in found], rtol=2e-7)
    if "percentile" in scored.columns:
        assert scored["percentile"].to_list() == [one.percentile for one in found]


def test_every_pair_gets_what_score_says(small_project):
    adapt()
    reward = pamela.load("models/bundle")
    users = [*reward.users, "p001", "anna", " p002", "p022"]  # p022 and p023 rated nothing
    images = reward.bundle.items.frame[s.IMAGE].to_list()
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"order": np.arange(700), s.USER: rng.choice(users, 700)}).with_columns(
        pl.Series(s.IMAGE, rng.choice(images, 700))
    )
    scored, rejected = TableScorer(reward).score(table, percentile=True)
    assert not rejected.height
    assert set(scored["source"]) == {"seen", "adapted", "demographics"}
    assert_as_score_says(reward, table, scored)


@pytest.mark.parametrize("model", ["group_mean", "hierarchical"])
def test_any_model_and_several_datasets(pictures, model):
    reward = make_reward(pictures, model)
    images = [path.stem for path in pictures]
    named = pl.DataFrame({s.USER: ["wide/ann", "bob", "eve", "new"]}).join(
        pl.DataFrame({s.IMAGE: images}), how="cross"
    )
    scored, _ = TableScorer(reward).score(named)
    assert_as_score_says(reward, named, scored)
    of = named.with_columns(pl.lit("wide").alias(s.DATASET))
    scored, rejected = TableScorer(reward).score(of)
    assert_as_score_says(reward, of, scored)
    assert rejected.is_empty()


def test_a_row_that_cannot_be_scored_says_why(pictures):
    scorer = TableScorer(make_reward(pictures, "group_mean"))
    rows = [
        ("nobody", "0", UNKNOWN_USER),
        (None, "0", NO_USER),
        ("ann", "0", SEVERAL),
        ("bob", "99", UNKNOWN_PICTURE),
        ("bob", None, NO_PICTURE),
        ("other/ann", "0", UNKNOWN_PICTURE),  # a picture of dataset wide
        ("bob", "1", None),
    ]
    table = pl.DataFrame(rows, [s.USER, s.IMAGE, "why"], orient="row")
    scored, rejected = scorer.score(table, first=101)
    assert scored[s.USER].to_list() == ["bob"]
    assert rejected["reason"].to_list() == rejected["why"].to_list()
    assert rejected["row"].to_list() == list(range(101, 107))
    assert rejected.columns == ["row", s.USER, s.IMAGE, "why", "reason"]


def test_a_dataset_says_whose_user_is_meant(pictures):
    scorer = TableScorer(make_reward(pictures, "group_mean"))
    rows = [
        ("zzz", "bob", UNKNOWN_DATASET),
        (None, "bob", NO_DATASET),
        ("other", "bob", UNKNOWN_USER),
        ("other", "wide/bob", OTHER_DATASET),
        ("wide", "ann", None),
        ("wide", "wide/ann", None),
    ]
    table = pl.DataFrame(rows, [s.DATASET, s.USER, "why"], orient="row")
    scored, rejected = scorer.score(table.with_columns(pl.lit("0").alias(s.IMAGE)))
    assert rejected["reason"].to_list() == rejected["why"].to_list()
    assert scored["rating"].n_unique() == 1
    assert scored.height == 2


def test_a_name_of_two_is_nobodys(small_project):
    adapt()
    anna = small_project.people / "anna.json"
    anna.rename(anna.with_name("p001.json"))  # of a model before, which did not know this user
    table = pl.DataFrame({s.USER: ["p001", "people/p001", f"{DATASET}/p001"]}).with_columns(
        pl.lit("i03").alias(s.IMAGE)
    )
    scored, rejected = TableScorer(pamela.load("models/bundle")).score(table)
    assert rejected["reason"].to_list() == [SEVERAL]
    assert scored["source"].to_list() == ["adapted", "seen"]


def test_ids_may_be_numbers_and_categories(pictures):
    scorer = TableScorer(make_reward(pictures, "group_mean"))
    table = pl.DataFrame(
        {s.USER: ["bob", "eve"], s.IMAGE: [0, 1]},
        schema_overrides={s.USER: pl.Categorical, s.IMAGE: pl.UInt8},
    )
    scored, rejected = scorer.score(table)
    assert scored.select(s.USER, s.IMAGE).equals(table)
    assert rejected.is_empty()
