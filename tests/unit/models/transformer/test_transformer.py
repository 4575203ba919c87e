"""The transformer: what it sees, how it is chosen, trained, stopped and resumed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.dataset import Pairs
from pamela.models.biases import within_user_correlation
from pamela.models.lightning_callbacks import KeepBest
from pamela.models.preprocessing import prompt_groups
from pamela.models.transformer.batches import FeatureTables, OptimiserConfig, SlicedBatches
from pamela.models.transformer.ddp import train_network
from pamela.models.transformer.model import Paper
from pamela.models.transformer.network import PreferenceTransformer, Shape, Size
from pamela.models.transformer.selection import (
    DESIGNED,
    Configuration,
    SearchConfig,
    choose_configuration,
    clearly_better,
    cross_validation,
    hold_out_prompts,
)
from pamela.models.transformer.trainer import TrainingJob
from tests.helpers.planted import make_world, with_part
from tests.helpers.unpickling import unpickled

WORLD = make_world(seed=2, own=0.6, train_items=60, test_items=20)
FOLD = WORLD.fold
SMALL = Configuration(8, 8, 1, 0.1, 5e-3, 0.01, 6)


def search(**changes: object) -> SearchConfig:
    base = {"folds": 2, "trials": 1, "max_epochs": 6, "patience": 6, "batch_size": 128}
    return SearchConfig(**{**base, "given": (SMALL,), **changes})  # type: ignore[arg-type]


class Stop(Exception):
    """An interruption."""


def weights(model: Paper) -> dict[str, np.ndarray]:
    return {k: v for k, v in model.state()[1].items() if k.startswith("network.")}


# --- training -------------------------------------------------------------------------------------


def test_loss_leaves_its_starting_value_and_validation_improves() -> None:
    model = Paper(search(), "cpu")
    history = model.fit(FOLD, seed=0)
    assert history.columns == ["step", "train_loss", "val_loss", "val_correlation"]
    assert history["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert history["train_loss"][-1] < 0.8 * history["train_loss"][0]
    assert history["val_correlation"].max() > 0.3


def test_an_interrupted_fit_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole = Paper(search(), "cpu")
    expected = whole.fit(FOLD, seed=3)

    def interrupt(_share: float, what: str) -> None:
        if what.startswith("epoch 3"):
            raise Stop

    with pytest.raises(Stop):
        Paper(search(), "cpu").fit(FOLD, seed=3, progress=interrupt, workdir=tmp_path)
    assert (tmp_path / "last.ckpt").is_file()
    seen: list[str] = []
    again = Paper(search(), "cpu")
    with unpickled() as heard:  # a checkpoint is a pickle: tensors alone are taken
        history = again.fit(
            FOLD, seed=3, progress=lambda _share, what: seen.append(what), workdir=tmp_path
        )
    assert heard == []
    epochs = [what.split(",")[0] for what in seen if what.startswith("epoch")]
    assert "epoch 1" not in epochs  # it did not start anew
    assert epochs[-1] == "epoch 6"
    assert history["val_correlation"].to_list() == expected["val_correlation"].to_list()
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(value, weights(again)[key])


def test_the_selection_is_kept_when_the_fit_is_interrupted(tmp_path: Path) -> None:
    two = search(given=(SMALL, Configuration(4, 8, 1, 0.0, 1e-3, 0.01, 2)))

    def interrupt(_share: float, what: str) -> None:
        if what.startswith("epoch"):
            raise Stop

    with pytest.raises(Stop):
        Paper(two, "cpu").fit(FOLD, seed=0, progress=interrupt, workdir=tmp_path)
    seen: list[str] = []
    Paper(two, "cpu").fit(
        FOLD, seed=0, progress=lambda _share, what: seen.append(what), workdir=tmp_path
    )
    assert not any(what.startswith("configuration") for what in seen)


def test_the_best_epoch_is_restored_and_patience_ends_training() -> None:
    """A learning rate that destroys the network: the best epoch is not the last."""
    wild = Paper(search(given=(Configuration(8, 8, 1, 0.0, 0.5, 0.0, 6),), patience=1), "cpu")
    history = wild.fit(FOLD, seed=0)
    assert history.height < 6
    found = wild.predict(FOLD.items, FOLD.people, FOLD[s.VAL_SEEN]).mean
    score = within_user_correlation(FOLD[s.VAL_SEEN], found.astype(np.float64))
    assert score == pytest.approx(history["val_correlation"].max(), abs=0.1)
    assert history["val_correlation"].max() > history["val_correlation"][-1]


def test_without_a_validation_part_prompts_of_train_are_held_out() -> None:
    bare = with_part(FOLD, s.VAL_SEEN, Pairs.empty())
    model = Paper(search(), "cpu")
    model.fit(bare, seed=0)
    found = model.predict(FOLD.items, FOLD.people, FOLD[s.TEST_SEEN])
    assert np.isfinite(found.std).all()
    group = prompt_groups(FOLD.items)
    inner, held = hold_out_prompts(FOLD[s.TRAIN], group, 0)
    assert len(inner) + len(held) == len(FOLD[s.TRAIN])
    assert not np.intersect1d(group[inner.item], group[held.item]).size


def test_demographics_speak_for_a_cold_start_user() -> None:
    world = make_world(seed=4, own=1.0, seen=40, train_items=90)
    model = Paper(
        search(given=(Configuration(12, 16, 1, 0.0, 1e-2, 0.01, 12),), max_epochs=12), "cpu"
    )
    model.fit(world.fold, seed=0)
    items = np.unique(world.fold[s.TEST_UNSEEN].item)
    unseen = np.unique(world.fold[s.TEST_UNSEEN].user)
    gender = world.fold.people.frame["gender"].to_numpy()[unseen]
    women, men = unseen[gender == "f"][0], unseen[gender == "m"][0]
    none = np.zeros(len(items), np.float32)
    her, him = (
        model.predict(
            world.fold.items, world.fold.people, Pairs(np.full(len(items), who), items, none)
        ).mean
        for who in (women, men)
    )
    assert np.abs(her - him).mean() > 0.2


def test_a_gpu_that_is_there_is_used_and_scores_alike() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_gpu, on_cpu = Paper(search(), "gpu"), Paper(search(), "cpu")
    on_gpu.fit(FOLD, seed=0)
    on_cpu.fit(FOLD, seed=0)
    first = on_gpu.predict(FOLD.items, FOLD.people, FOLD[s.TEST_SEEN]).mean
    second = on_cpu.predict(FOLD.items, FOLD.people, FOLD[s.TEST_SEEN]).mean
    assert np.corrcoef(first, second)[0, 1] > 0.8


# --- parts ----------------------------------------------------------------------------------------


@given(count=st.integers(1, 50), size=st.integers(1, 20), epoch=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_batches_hold_every_row_once_in_an_order_of_the_epoch(
    count: int, size: int, epoch: int
) -> None:
    rows = torch.arange(count)
    batches = SlicedBatches((rows, rows * 2), size, seed=1, epoch=lambda: epoch)
    cut = list(batches)
    assert len(cut) == len(batches)
    joined = torch.cat([a for a, _ in cut])
    assert sorted(joined.tolist()) == rows.tolist()
    assert all(torch.equal(b, 2 * a) for a, b in cut)
    assert torch.equal(joined, torch.cat([a for a, _ in batches]))
    plain = SlicedBatches((rows,), size)
    assert torch.equal(torch.cat([a for (a,) in plain]), rows)


def test_another_epoch_is_another_order() -> None:
    rows = torch.arange(100)
    orders = [
        torch.cat([a for (a,) in SlicedBatches((rows,), 7, epoch=lambda e=e: e)]) for e in (0, 1)
    ]
    assert not torch.equal(*orders)


def test_unknown_user_token_learns_from_masked_rows() -> None:
    """Without masking the unknown user's embedding keeps its first value, with it it moves."""
    train = FOLD[s.TRAIN]
    moved = []
    for share in (0.0, 0.5):
        torch.manual_seed(0)
        network = PreferenceTransformer(Size(2, 0, 30, (), (1,)), Shape(8, 1, 4, 0.0))
        before = network.user.weight[0].detach().clone()
        tables = FeatureTables(
            torch.from_numpy(FOLD.items.image[:, :2].copy()),
            torch.zeros(len(FOLD.items), 0),
            torch.ones(len(FOLD.items), 1, dtype=torch.int64),
            torch.arange(1, len(FOLD.people) + 1).clamp(max=30),
            torch.zeros(len(FOLD.people), 0, dtype=torch.int64),
        )
        regime = OptimiserConfig(2, 128, 1e-2, 0.0, share, 2)
        train_network(
            TrainingJob(network, tables, train, FOLD[s.VAL_SEEN], regime, seed=0, device="cpu")
        )
        moved.append(float((network.user.weight[0].detach() - before).abs().max()))
    assert moved[0] == 0.0
    assert moved[1] > 1e-3


def test_keep_best_survives_a_checkpoint() -> None:
    one, two = KeepBest(), KeepBest()
    one.best, one.weights = 0.5, {"w": torch.ones(2)}
    two.load_state_dict(one.state_dict())
    assert two.best == 0.5
    assert torch.equal(two.weights["w"], torch.ones(2))


# --- selection ------------------------------------------------------------------------------------


def test_successive_halving_finds_the_planted_best() -> None:
    calls: list[Configuration] = []
    best = DESIGNED[3]

    def run(trial: Configuration, inner: Pairs, outer: Pairs, epochs: int) -> float:
        calls.append(trial)
        return {DESIGNED[1]: 0.5, best: 0.4}.get(trial, 0.1) + (trial == best) * 0.05 * epochs

    wide = SearchConfig(folds=3, trials=6, max_epochs=30, patience=4, batch_size=512)
    trial, scores = choose_configuration(
        wide, FOLD[s.TRAIN], prompt_groups(FOLD.items), run, seed=0
    )
    assert trial == best
    assert len(scores) == 6
    assert len(calls) == 3 * (6 + 2)  # all once, the two best again


def test_the_first_configuration_gives_way_only_to_what_folds_agree_on() -> None:
    base = np.array([0.30, 0.40, 0.35])
    assert clearly_better(base + np.array([0.03, 0.02, 0.04]), base)
    assert not clearly_better(base + np.array([0.20, -0.08, -0.06]), base)
    assert not clearly_better(base, base)


@pytest.mark.parametrize("trials", [1, 3, 9])
def test_as_many_candidates_as_asked_for_and_always_the_same(trials: int) -> None:
    wide = SearchConfig(folds=2, trials=trials, max_epochs=9, patience=2, batch_size=64)
    drawn = [wide.candidates(np.random.default_rng(5)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == trials
    assert SearchConfig.from_json(json.loads(json.dumps(asdict(search())))) == search()


@given(folds=st.integers(2, 4), rows=st.integers(50, 3000), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_cross_validation_keeps_prompts_and_some_users_apart(
    folds: int, rows: int, seed: int
) -> None:
    group = prompt_groups(FOLD.items)
    train = FOLD[s.TRAIN]
    parts = cross_validation(train, group, folds, rows, np.random.default_rng(seed))
    assert len(parts) == folds
    keys = set(zip(train.user.tolist(), train.item.tolist(), strict=True))
    outer_groups: list[int] = []
    for inner, outer in parts:
        assert not np.intersect1d(group[inner.item], group[outer.item]).size
        assert np.setdiff1d(outer.user, inner.user).size  # users that the inner rows lack
        assert np.intersect1d(outer.user, inner.user).size  # and users that they hold
        for pairs in (inner, outer):
            assert set(zip(pairs.user.tolist(), pairs.item.tolist(), strict=True)) <= keys
        outer_groups += np.unique(group[outer.item]).tolist()
    assert len(outer_groups) == len(set(outer_groups))
