from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pamela.compute import runner as runners
from pamela.compute.runner import AHEAD, Bar, LocalRunner, Runner
from pamela.core.errors import PamelaError
from tests.helpers.pool_engine import threads


def slower_first(item: int) -> int:
    time.sleep(0.002 * (item % 3 == 0))
    return item * item


@given(
    st.lists(st.integers(0, 50), max_size=20),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_item_comes_once_with_its_result(items: list[int], workers: int, ordered: bool):
    runner, _ = threads(workers)
    found = list(runner.map(slower_first, items, ordered=ordered))
    runner.close()
    expected = list(LocalRunner().map(slower_first, items))
    assert sorted(found) == sorted(expected)
    assert expected == [(item, item * item) for item in items]
    if ordered:
        assert found == expected


@pytest.mark.parametrize("ordered", [True, False])
def test_items_are_taken_as_they_are_needed(ordered: bool):
    runner, engine = threads(2)
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    results = runner.map(slower_first, endless(), ordered=ordered)
    for done in range(1, 8):
        next(results)
        assert len(taken) <= done + AHEAD * engine.workers
    results.close()
    runner.close()
    assert engine.submitted == len(taken)


def faulty(item: int) -> int:
    if item == 3:
        raise PamelaError("3.png: does not decode")
    if item == 4:
        raise ZeroDivisionError
    if item == 5:
        raise ConnectionError
    return item


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_error_tells_the_item(elsewhere: bool):
    runner: Runner = threads()[0] if elsewhere else LocalRunner()
    where = "on .*: " if elsewhere else ""
    with pytest.raises(PamelaError, match=rf"^picture 3: {where}3\.png: does not decode"):
        list(runner.map(faulty, [1, 2, 3], name=lambda item: f"picture {item}"))
    with pytest.raises(ZeroDivisionError) as raised:
        list(runner.map(faulty, [4]))
    assert raised.value.__notes__ == ["with 4"]


def test_a_fault_of_the_cluster_is_one_line():
    runner, _ = threads()
    with pytest.raises(PamelaError, match=r"^compute\.runner threads: 5: it is gone$"):
        list(runner.map(faulty, [5]))


def test_what_was_done_before_an_error_has_come():
    runner, _ = threads(1)
    results = runner.map(faulty, [0, 1, 2, 3], ordered=True)
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(PamelaError):
        next(results)


def test_a_cluster_without_workers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runners, "LOOK_S", 0.01)
    monkeypatch.setattr(runners, "PATIENCE_S", 0.05)
    runner, _ = threads(0)
    with pytest.raises(PamelaError, match=r"no worker for 0\.05 s; start some"):
        list(runner.map(slower_first, [1]))


def test_an_engine_starts_when_it_is_needed_and_ends_once():
    runner, engine = threads()
    runner.close()
    assert not engine.closed
    list(runner.map(slower_first, [1]))
    runner.close()
    assert engine.closed == 1


def test_the_bar_counts_what_is_done(monkeypatch: pytest.MonkeyPatch):
    told: list[tuple[str, int, int]] = []

    class Shown:
        def __init__(self, label: str, total: int) -> None:
            self.label, self.total = label, total

        def __enter__(self):
            return lambda n: told.append((self.label, self.total, n))

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(runners, "progress", Shown)
    for runner in (LocalRunner(), threads()[0]):
        told.clear()
        list(runner.map(len, ["ab", "c"], bar=Bar("letters", 3, len)))
        assert sorted(told) == [("letters", 3, 1), ("letters", 3, 2)]


def test_items_run_side_by_side():
    runner, _ = threads(2)
    meet = threading.Barrier(2, timeout=10)
    assert len(list(runner.map(lambda _: meet.wait(), [1, 2]))) == 2
