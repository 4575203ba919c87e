"""Beside recommenders: how they are tuned and asked, and the table; not their figures."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from benchmarks.recommenders import __main__ as command
from benchmarks.recommenders import comparison, rivals
from benchmarks.recommenders.rivals import KINDS, Kind, Recommender, tune
from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.core.errors import PamelaError
from pamela.evaluation.comparators.image_mean import IMAGE_MEAN, ImageMean
from pamela.evaluation.few_shot import known_pictures_task
from pamela.evaluation.metrics.schema import KNOWN_PICTURES
from pamela.evaluation.predictions import predict_unseen
from pamela.params import load_params
from tests.helpers.extras import needs
from tests.paths import ROOT
from tests.unit.evaluation.test_known_pictures import make_fold

PARAMS = load_params(ROOT / "params.yaml")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_recommender_is_tuned_within_the_budget_of_our_models(kind):
    assert len(kind.grid) == 12  # configurations that `hierarchical` tries
    assert len({str(config) for config in kind.grid}) == 12


def test_tuning_picks_what_predicts_people_held_out_but_for_some_ratings(monkeypatch):
    asked_of: list[tuple[Pairs, Pairs]] = []

    def says(kind, config, seed, rated, asked):
        asked_of.append((rated, asked))
        noise = np.random.default_rng(seed).normal(size=len(asked))
        return asked.rating + config["noise"] * noise

    monkeypatch.setattr(rivals, "estimates", says)
    train = make_fold()[s.TRAIN]
    kind = Kind(lambda config, seed: None, [{"noise": 3.0}, {"noise": 0.1}, {"noise": 1.0}])
    assert tune(kind, train, 3, seed=0) == {"noise": 0.1}
    for rated, asked in asked_of:
        assert len(rated) + len(asked) == len(train)
        left = np.bincount(rated.user)[np.unique(asked.user)]
        assert (left == rivals.TUNING_SHOTS).all()
    few = train.take(np.arange(len(train)) % 10 == 0)
    with pytest.raises(PamelaError, match="nobody has more than 20 training ratings"):
        tune(kind, few, 3, seed=0)


def test_shown_ratings_are_fitted_together_with_the_training_part(monkeypatch):
    fold, seen = make_fold(), []

    def says(kind, config, seed, rated, asked):
        seen.append((len(rated), set(asked.user)))
        return np.full(len(asked), 3.0)

    monkeypatch.setattr(rivals, "estimates", says)
    model = Recommender(KINDS["surprise_svd"], {}, fold[s.TRAIN], 0)
    task = known_pictures_task(fold, seed=0)
    rows = predict_unseen(model, "surprise_svd", fold, task, [0, 20], KNOWN_PICTURES)
    assert seen == [(len(fold[s.TRAIN]), {10, 11}), (len(fold[s.TRAIN]) + 2 * 20, {10, 11})]
    assert rows["shots"].unique().sort().to_list() == [0, 20]


def test_the_table_has_the_champion_minus_each_on_the_same_people():
    fold = make_fold()
    task = known_pictures_task(fold, seed=0)
    query = task.query
    frames = [predict_unseen(ImageMean.fit(fold), IMAGE_MEAN, fold, task, [5], KNOWN_PICTURES)]
    other = frames[0].with_columns(pl.lit("hierarchical").alias("model"), mean=pl.col("rating"))
    found = comparison.compare(
        pl.concat([*frames, other.select(frames[0].columns).cast(dict(frames[0].schema))]),
        PARAMS, "here", 5,
    )  # fmt: skip
    assert found.schema == comparison.RECOMMENDERS
    mean, champion = found.rows(named=True)
    assert (mean["model"], champion["model"]) == (IMAGE_MEAN, "hierarchical")
    assert champion["value"] == pytest.approx(1.0)
    assert champion["difference"] == pytest.approx(0.0)
    assert mean["difference"] == pytest.approx(1.0 - mean["value"])
    assert mean["difference_ci_low"] <= mean["difference"] <= mean["difference_ci_high"]
    assert mean["n_users"] == len(np.unique(query.user)) == 2
    table = comparison.table_of(found, "here", "hierarchical")
    assert [column.header for column in table.columns] == ["model", "5 shots"]


def test_without_the_package_or_anybody_to_ask_there_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["recommenders"])
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^error: .*pip install .*'\.\[recommenders\]'$"):
        command.main()
    monkeypatch.setattr(command, "find_spec", lambda name: True)
    with pytest.raises(SystemExit, match=r"^error: .*predictions\.parquet"):
        command.main()


@needs("recommenders")
def test_the_real_ones_learn_from_others_and_from_the_person():
    fold = make_fold()
    task = known_pictures_task(fold, seed=0)
    for kind in KINDS.values():
        model = Recommender(kind, kind.grid[0], fold[s.TRAIN], 0)
        query, context = task.at(100)
        for shown in (None, context):
            mean = model.predict(fold.items, fold.people, query, shown).mean
            assert np.corrcoef(mean, query.rating)[0, 1] > 0.5
