"""What searches keep: nothing is drawn twice, a killed run ends as an uninterrupted one does."""

from __future__ import annotations

import hashlib
import sqlite3
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pamela.core import schema as s
from pamela.core.errors import DiskFullError, PamelaError
from pamela.steer.generators.base import Candidate
from pamela.steer.search.loop import REWARD, ROUND, Search, best_trials, run_searches
from pamela.steer.search.store import FolderStore, MemoryStore, picture_key
from tests.helpers.disks import fill
from tests.helpers.kill_points import Killed, KillPoints
from tests.helpers.kills import every_kill

WORDS = ("red", "blue", "warm", "cold", "low", "high")  # few: variants often come again


class Painter:
    """Draws noise that depends on prompt and seed alone; remembers what it drew."""

    fingerprint = "painter"

    def __init__(self, at_once=3, size=4):
        self.at_once, self.size, self.drawn, self.most = at_once, size, [], 0

    def generate(self, prompts, seeds):
        self.most = max(self.most, len(prompts))
        self.drawn += list(zip(prompts, seeds, strict=True))
        return [self._paint(*one) for one in zip(prompts, seeds, strict=True)]

    def _paint(self, prompt, seed):
        digest = hashlib.sha256(f"{prompt}{seed}".encode()).digest()
        rng = np.random.default_rng(list(digest))
        return rng.integers(256, size=(self.size, self.size, 3), dtype=np.uint8)


class Moody:
    """A rewriter with moods: what it writes depends on how often it was asked."""

    fingerprint = "moody"

    def __init__(self, moody=False):
        self.moody, self.asked = moody, 0

    def rewrite(self, requests):
        self.asked += 1
        return [self._write(request) for request in requests]

    def _write(self, request):
        rng = np.random.default_rng([*request.seed, self.asked if self.moody else 0])
        best = request.history[0].prompt
        return [f"{best} {WORDS[rng.integers(len(WORDS))]}" for _ in range(request.n)]


class Taste:
    """Likes some pixel of a picture; which one depends on the user."""

    personal = True

    def __init__(self, name):
        self.fingerprint, self.scored = name, 0

    def score(self, users, candidates, images):
        self.scored += len(images)
        return np.array(
            [
                image[0, len(user or "") % 4, 0] / 7
                for user, image in zip(users, images, strict=True)
            ]
        )


def searches_of(n):
    starts = [Candidate(f"p{i}", f"a barn {i}", i) for i in range(2)]
    return [Search("ab"[i % 2], "x" * (i % 3), starts[i % 2]) for i in range(n)]


def run(n=2, rounds=2, variants=4, *, painter=None, rewriter=None, rewards=None, **more):
    return run_searches(
        searches_of(n),
        generator=painter or Painter(),
        rewriter=rewriter or Moody(),
        rewards=rewards or {"a": Taste("a"), "b": Taste("b")},
        settings=SimpleNamespace(rounds=rounds, variants=variants, seed=0),
        advance=lambda n: None,
        **more,
    )


SIZES = {"n": st.integers(1, 5), "rounds": st.integers(1, 3), "variants": st.integers(1, 5)}


@settings(max_examples=15)
@given(**SIZES, at_once=st.integers(1, 9))
def test_with_or_without_a_store_the_trials_are_the_same(tmp_path_factory, at_once, **sizes):
    expected = run(**sizes)
    folder = tmp_path_factory.mktemp("store")
    for store in (MemoryStore(), MemoryStore(most=1), FolderStore(folder), FolderStore(folder)):
        painter = Painter(at_once)
        rewards = {"a": Taste("a"), "b": Taste("b")}
        assert run(**sizes, painter=painter, rewards=rewards, store=store).equals(expected)
        assert store.counts.asked == expected.height
        assert store.counts.drawn == len(painter.drawn)
        assert painter.most <= at_once
        assert store.counts.reused == expected.height - len(painter.drawn)
    assert painter.drawn == []  # the last one had all of the one before
    assert sum(taste.scored for taste in rewards.values()) == 0


def test_what_several_searches_and_rounds_ask_for_is_drawn_and_scored_once():
    painter, store = Painter(), MemoryStore()
    rewards = {"a": Taste("a"), "b": Taste("b")}
    rewards["b"].personal = False
    trials = run(6, 3, 5, painter=painter, rewards=rewards, store=store)
    asked = set(zip(trials[s.PROMPT], trials["seed"], strict=True))
    assert len(painter.drawn) == len(set(painter.drawn)) == len(asked) < trials.height
    impersonal = trials.filter(pl.col("search") % 2 == 1)
    assert rewards["b"].scored == impersonal.select(s.PROMPT, "seed").n_unique()


@settings(max_examples=40)
@given(**SIZES, moody=st.booleans(), steps=st.integers(0, 40))
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path_factory, moody, steps, **sizes):
    """Killed at any call of rewriter, generator, reward or store, twice; nothing is lost."""
    folder = tmp_path_factory.mktemp("run")
    expected = run(**sizes, rewriter=Moody(), store=MemoryStore())
    drawn, asked = [], 0
    for at in (steps, steps // 2, None):
        points, painter, rewriter = KillPoints(at), Painter(), Moody(moody)
        store, reward = FolderStore(folder / "store"), {"a": Taste("a"), "b": Taste("b")}
        for one, name in (
            (painter, "generate"), (rewriter, "rewrite"), (reward["a"], "score"),
            (store, "keep_picture"), (store, "keep_scores"),
        ):  # fmt: skip
            setattr(one, name, points.step(getattr(one, name)))
        try:
            found = run(
                **sizes,
                painter=painter,
                rewriter=rewriter,
                rewards=reward,
                store=store,
                folder=folder / "run",
            )
        except Killed:
            continue
        finally:
            asked += rewriter.asked
            drawn += painter.drawn
    assert asked == sizes["rounds"]  # no answer of a language model is lost
    assert moody or found.equals(expected)
    twice = len(drawn) - len(set(drawn))
    assert twice <= 2 * Painter().at_once  # what a kill found drawn and not yet kept
    again = run(**sizes, painter=painter, rewriter=rewriter, store=store, folder=folder / "run")
    assert again.equals(found)


def test_dying_at_any_change_of_a_file_loses_nothing(tmp_path):
    expected = run()
    number = 0

    def start():
        nonlocal number
        number += 1
        return lambda: run(
            painter=Painter(1),
            store=FolderStore(tmp_path / f"{number}/store"),
            folder=tmp_path / f"{number}/run",
        )

    for _ in every_kill(start):
        store, painter = FolderStore(tmp_path / f"{number}/store"), Painter(1)
        kept = len(list((tmp_path / f"{number}/store").rglob("*/*/[!.]*.png")))
        found = run(painter=painter, store=store, folder=tmp_path / f"{number}/run")
        assert found.equals(expected)
        assert len(painter.drawn) + kept == expected.select(s.PROMPT, "seed").n_unique()
    assert number > 30


@settings(max_examples=40)
@given(place=st.integers(0), at=st.integers(0), value=st.integers(1, 255), end=st.booleans())
def test_a_damaged_picture_is_drawn_again(tmp_path_factory, place, at, value, end):
    folder = tmp_path_factory.mktemp("store")
    expected = run(store=FolderStore(folder))
    files = sorted(folder.rglob("*.png"))
    damaged = files[place % len(files)]
    content = bytearray(damaged.read_bytes())
    sound = bytes(content)
    content[at % len(content)] ^= value
    damaged.write_bytes(content[: at % len(content)] if end else content)
    painter = Painter()
    assert run(painter=painter, store=FolderStore(folder)).equals(expected)
    assert len(painter.drawn) <= 1
    assert not painter.drawn or damaged.read_bytes() == sound


def test_damaged_scores_are_worked_out_again(tmp_path):
    def scored(store):
        rewards = {"a": Taste("a"), "b": Taste("b")}
        assert run(rewards=rewards, store=store).equals(expected)
        return sum(taste.scored for taste in rewards.values())

    expected = run()
    path = tmp_path / "scores.sqlite"
    n = scored(FolderStore(tmp_path))
    assert scored(FolderStore(tmp_path)) == 0
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE scores SET value = value + 1 WHERE key = (SELECT min(key) FROM scores)"
        )
    database.close()
    assert scored(FolderStore(tmp_path)) == 1
    for broken in (b"no database" * 100, path.read_bytes()[:5000] + b"\xff" * 4000):
        path.write_bytes(broken)
        assert scored(FolderStore(tmp_path)) == n
        assert scored(FolderStore(tmp_path)) == 0


def test_other_settings_are_refused_with_what_differs(tmp_path):
    run(folder=tmp_path)
    with pytest.raises(PamelaError, match=r"rounds \(2 there, 3 now\).*name another folder"):
        run(rounds=3, folder=tmp_path)
    with pytest.raises(PamelaError, match=r"rewards.a \('a' there, 'other' now\)"):
        run(rewards={"a": Taste("other"), "b": Taste("b")}, folder=tmp_path)
    with pytest.raises(PamelaError, match=r"searches.2.reward \(none there, 'a' now\)"):
        run(3, folder=tmp_path)


def test_a_damaged_round_is_run_again(tmp_path):
    found = run(folder=tmp_path)
    for number in range(3):
        path = tmp_path / f"rounds/round_{number:02d}.parquet"
        rounds = pl.read_parquet(path)
        for broken in (b"PAR1", path.read_bytes()[:-40]):
            path.write_bytes(broken)
            assert run(folder=tmp_path).equals(found)
        rounds[1:].write_parquet(path)
        assert run(folder=tmp_path).equals(found)


def test_rounds_are_told_as_they_end_and_the_best_never_falls(tmp_path):
    for _ in range(2):
        told = []
        trials = run(1, 3, 4, folder=tmp_path, on_round=told.append)
        assert [rounds[ROUND].unique().to_list() for rounds in told] == [[0], [1], [2], [3]]
        assert pl.concat(told).equals(trials)
    best = [best_trials(pl.concat(told[: i + 1]))[REWARD][0] for i in range(4)]
    assert best == sorted(best)


def test_a_rewriter_that_writes_too_few_is_an_error():
    class Lazy(Moody):
        def rewrite(self, requests):
            return [prompts[1:] for prompts in super().rewrite(requests)]

    with pytest.raises(PamelaError, match="3 variants of 'a barn 0', not 4"):
        run(rewriter=Lazy())


def test_a_full_disk_is_one_line_and_nothing_is_half_written(small_disk, tmp_path):
    """The disk of the store: first full of pictures, then of scores alone."""
    disk = tmp_path / "disk"
    small_disk(disk, 200)
    painter = Painter(size=64)
    with pytest.raises(DiskFullError, match="no space is left"):
        run(painter=painter, store=FolderStore(disk), folder=tmp_path / "run")
    assert not list(disk.rglob(".*"))
    small_disk(disk, 4000)
    store, drawn = FolderStore(disk), set(painter.drawn)
    kept = [one for one in drawn if _kept(store, *one)]
    assert kept
    painter = Painter(size=64)
    found = run(painter=painter, store=store, folder=tmp_path / "run")
    assert found.equals(run(painter=Painter(size=64)))
    assert not set(painter.drawn) & set(kept)
    fill(disk)
    with pytest.raises(DiskFullError, match="no space is left"):
        store.keep_scores({"key": 1.0})
    assert store.scores(["key"]) == {}


def _kept(store, prompt, seed):
    return store.picture(picture_key("painter", Candidate("", prompt, seed))) is not None
