"""The train stage: what it writes, that it resumes, what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from pamela.core import schema as s
from pamela.core.dataset import Pairs, load_fold
from pamela.core.errors import PamelaError
from pamela.core.files import read_json, write_json
from pamela.core.paths import Project
from pamela.models import create_model, list_models
from pamela.models.base import RewardModel, load_model, model_hash
from pamela.models.transformer.model import Paper
from pamela.training import train
from pamela.training.bundle import load_bundle, load_evaluated
from tests.helpers.folders import split_rows_of, write_split
from tests.helpers.stages import run_stage
from tests.helpers.train_params import params


def as_of_format(bundle: Path, meta: dict[str, Any], number: int) -> None:
    """Make a bundle one of before its files were listed."""
    write_json(bundle / "bundle.json", {**meta, "format": number})
    (bundle / "SHA256SUMS").unlink()


class Stop(Exception):
    """An interruption."""


def test_the_stage_writes_every_model_of_every_fold(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled: list[str] = []
    monkeypatch.setattr(
        "pamela.training.train.write_bundle", lambda _project, model, folder: bundled.append(model)
    )
    asked = params()
    run_stage("train", project, SimpleNamespace(train=asked))
    assert bundled == ["population"]
    fold = load_fold(project, 1)
    for name in asked.models:
        folder = project.models / name / "fold_1"
        assert {p.name for p in folder.iterdir()} == {
            "model.json", "model.safetensors", "history.parquet", "fit.json",
        }  # fmt: skip
        assert pl.read_parquet(folder / "history.parquet").columns[0] == "step"
        assert read_json(folder / "fit.json")["rows"]["train"] == len(fold[s.TRAIN])
        model = load_model(folder)
        assert model.name == name
        found = model.predict(fold.items, fold.people, fold[s.TEST_SEEN]).mean
        assert np.isfinite(found).all()
    everything = read_json(project.models / "population" / "all" / "fit.json")
    assert everything["fold"] is None
    assert everything["rows"]["train"] == sum(len(pairs) for pairs in fold.parts.values())
    record = read_json(project.models / "training.json")
    assert record["folds"] == 2
    assert record["champion"] == "population"
    assert record["fingerprint"] == "f"
    assert not list(project.checkpoints.glob("*"))


class TestBundle:
    """What serves is fitted on everything, what is compared on fold 0; neither is the other."""

    FOLDER = "bundle"

    @pytest.fixture
    def bundled(self, project: Project) -> Path:
        asked = params().model_copy(update={"champion": "group_mean"})
        train.fit_fold(project, asked, "group_mean", 0)
        train.refit_champion(project, asked)
        train.write_champion(project, asked)
        return project.models / self.FOLDER

    def test_both_say_who_and_what_they_were_trained_on(
        self, project: Project, bundled: Path
    ) -> None:
        fold = load_fold(project, 0)
        rated = Pairs.concat(*fold.parts.values())
        for bundle, pairs in (
            (load_bundle(bundled), rated),
            (load_evaluated(bundled), fold[s.TRAIN]),
        ):
            assert np.flatnonzero(bundle.in_train_people).tolist() == np.unique(pairs.user).tolist()
            assert np.flatnonzero(bundle.in_train_items).tolist() == np.unique(pairs.item).tolist()
        assert not load_evaluated(bundled).in_train_people.all()

    def test_each_is_the_fit_that_its_version_names(self, project: Project, bundled: Path) -> None:
        served, evaluated = load_bundle(bundled), load_evaluated(bundled)
        hashes = {
            one: model_hash(project.models / "group_mean" / one)[:8] for one in ("all", "fold_0")
        }
        assert served.version == f"group_mean-{hashes['all']}" != evaluated.version
        assert evaluated.version == served.evaluated_version == f"group_mean-{hashes['fold_0']}"
        assert evaluated.evaluated_version == evaluated.version

    @pytest.mark.parametrize(
        ("number", "says"), [(3, "damaged or replaced"), (2, "not the model that bundle")]
    )
    def test_one_in_the_place_of_the_other_is_refused(
        self, bundled: Path, number: int, says: str
    ) -> None:
        if number == 2:
            as_of_format(bundled, read_json(bundled / "bundle.json"), 2)
        for name in ("model.json", "model.safetensors"):
            shutil.copyfile(bundled / "fold_0" / name, bundled / name)
        with pytest.raises(PamelaError, match=says):
            load_bundle(bundled)
        assert load_evaluated(bundled).version

    def test_one_model_registered_before_there_were_two_still_loads(self, bundled: Path) -> None:
        meta = read_json(bundled / "bundle.json")
        del meta["evaluated"]
        as_of_format(bundled, meta, 1)
        assert load_evaluated(bundled).version == load_bundle(bundled).version


@pytest.mark.parametrize("name", list_models())
def test_a_refit_chooses_nothing_again(project: Project, name: str) -> None:
    fold, asked = load_fold(project, 0), params()
    first = create_model(name, asked)
    first.fit(fold, seed=0)
    again = first.refit(asked)
    again.fit(fold.all_as_train(), seed=0)
    sizes = {"taste", "rank", "strength", "components", "tuned", "widening", "width", "best_epoch"}
    assert {k: v for k, v in again.chosen.items() if k in sizes} == {
        k: v for k, v in first.chosen.items() if k in sizes
    }
    if first.personal:
        assert again.knows(fold.people).all()
        assert not first.knows(fold.people).all()


def test_the_same_inputs_give_the_same_bytes(project: Project) -> None:
    def contents() -> dict[str, bytes]:
        for name in ("group_mean", "population", "paper"):
            train.fit_fold(project, params(), name, 0)
        files = sorted(p for p in project.models.rglob("*") if p.is_file())
        return {str(p): p.read_bytes() for p in files}

    assert contents() == contents()


def test_an_interrupted_fit_leaves_nothing_half_written_and_resumes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = params(max_epochs=4, cv_trials=1)
    train.fit_fold(project, asked, "paper", 0)
    expected = load_model(project.models / "paper" / "fold_0").state()[1]
    train.shutil.rmtree(project.models)
    real = Paper.fit

    def cut(self: RewardModel, fold: object, **options: object) -> pl.DataFrame:
        def stop(_share: float, what: str) -> None:
            if what.startswith("epoch 2"):
                raise Stop

        return real(self, fold, **{**options, "progress": stop})  # type: ignore[arg-type]

    monkeypatch.setattr(Paper, "fit", cut)
    with pytest.raises(Stop):
        train.fit_fold(project, asked, "paper", 0)
    assert not (project.models / "paper" / "fold_0").exists()
    assert len(list(project.checkpoints.glob("paper-fold_0-*"))) == 1
    monkeypatch.setattr(Paper, "fit", real)
    train.fit_fold(project, asked, "paper", 0)
    found = load_model(project.models / "paper" / "fold_0").state()[1]
    for key, value in expected.items():
        np.testing.assert_array_equal(value, found[key])
    assert not list(project.checkpoints.glob("*"))


def test_checkpoints_of_other_data_or_params_are_not_taken(project: Project) -> None:
    fold = load_fold(project, 0)
    backwards = fold.items.take(np.arange(len(fold.items))[::-1].copy())
    pairs = fold[s.TRAIN]
    rating = pairs.rating.copy()
    rating[0] += 0.5
    other = {**fold.parts, s.TRAIN: replace(pairs, rating=rating)}
    folders = {
        train.work_folder(project, params(), "paper", fold),
        train.work_folder(project, params(max_epochs=3), "paper", fold),
        train.work_folder(project, params(), "paper", fold.with_items(backwards)),
        train.work_folder(project, params(), "paper", replace(fold, parts=other)),
        train.work_folder(project, params(), "population", fold),
    }  # fmt: skip
    assert len(folders) == 5


def test_models_and_folds_no_longer_named_go(project: Project) -> None:
    for name in ("old/fold_0", "population/fold_0", "population/fold_7", "bundle"):
        (project.models / name).mkdir(parents=True)
        (project.models / name / "x").write_text("x")
    assert train.remove_old(project, params()) == ["old", "population/fold_7"]
    assert (project.models / "bundle" / "x").is_file()
    assert (project.models / "population" / "fold_0").is_dir()


def test_unknown_model_and_absent_gpu_are_named(project: Project) -> None:
    with pytest.raises(PamelaError, match="unknown model 'papre'"):
        train.plan_fits(project, params(models=["papre", "population"]))
    if not torch.cuda.is_available():
        with pytest.raises(PamelaError, match=r"train\.device is gpu"):
            train.plan_fits(project, params(device="gpu"))


def test_a_fold_without_training_rows_is_an_error(project: Project) -> None:
    write_split(project, split_rows_of(project).filter(pl.col(s.PART) != s.TRAIN))
    with pytest.raises(PamelaError, match="fold 0 has no rows in part train"):
        train.fit_fold(project, params(), "global_mean", 0)


def test_fit_json_says_what_was_chosen(project: Project) -> None:
    train.fit_fold(project, params(), "paper", 0)
    chosen = json.loads((project.models / "paper" / "fold_0" / "fit.json").read_text())["chosen"]
    assert set(chosen["cv_correlation"]) == {"0", "1"}
    assert chosen["components"] in {32, 64, 128, 256}
