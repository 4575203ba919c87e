"""Requests answered together, each with its own answer or fault."""

from __future__ import annotations

import asyncio

import pytest

from pamela.serving.http.batching import Batcher, ModelThread


def batches_of(coroutines, *, most=10, wait_s=0.02, fails=None):
    """Return the answers to what `coroutines` (of a batcher) ask, and the batches they were in."""
    seen: list[list[int]] = []

    def answer(asked):
        seen.append(list(asked))
        if fails in asked:
            raise RuntimeError("broken")
        return [one * 10 for one in asked]

    async def main():
        batcher = Batcher(ModelThread(), answer, size=lambda one: 1, most=most, wait_s=wait_s)
        running = asyncio.create_task(batcher.run())
        found = await asyncio.gather(*coroutines(batcher), return_exceptions=True)
        running.cancel()
        return found

    return asyncio.run(main()), seen


def test_what_comes_together_is_answered_together():
    found, batches = batches_of(lambda b: [b.ask(i) for i in range(5)])
    assert found == [0, 10, 20, 30, 40]
    assert batches == [[0, 1, 2, 3, 4]]


def test_a_batch_is_no_larger_than_it_may_be():
    found, batches = batches_of(lambda b: [b.ask(i) for i in range(7)], most=3)
    assert found == [i * 10 for i in range(7)]
    assert [len(one) for one in batches] == [3, 3, 1]


def test_a_broken_request_breaks_no_other():
    found, _ = batches_of(lambda b: [b.ask(i) for i in range(4)], fails=2)
    assert [found[0], found[1], found[3]] == [0, 10, 30]
    assert isinstance(found[2], RuntimeError)


def test_a_client_that_left_is_no_fault():
    async def impatient(batcher):
        asking = asyncio.create_task(batcher.ask(1))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    found, _ = batches_of(lambda b: [impatient(b), b.ask(2)])
    assert found == [None, 20]
