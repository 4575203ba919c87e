"""Requests that come at about the same time are answered together, in one thread.

While a batch is worked on the next one gathers; a request that comes alone waits a few
milliseconds for others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from fastapi import HTTPException

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

MOST_WAITING: Final = 1000  # requests; beyond that a client is told to come later


class ModelThread:
    """The one thread that uses the model: a loaded model is not made for several."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.busy = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, once its turn came."""
        self.busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(lambda _: setattr(self, "busy", self.busy - 1))
        return await future

    def close(self) -> None:
        """Take nothing more; what is running is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Batcher(Generic[Asked, Answer]):
    """Gathers what is asked.

    Parameters
    ----------
    answer : answers several at once, in their order.
    size : how much one of them adds to a batch.
    most : how much a batch holds at most (one that is larger is alone).
    wait_s : how long the first of a batch waits for others.
    """

    def __init__(
        self,
        thread: ModelThread,
        answer: Callable[[Sequence[Asked]], list[Answer]],
        size: Callable[[Asked], int],
        most: int,
        wait_s: float,
    ) -> None:
        self._thread, self._answer, self._size = thread, answer, size
        self._most, self._wait_s = most, wait_s
        self._queue: asyncio.Queue[tuple[Asked, asyncio.Future[Answer]]] = asyncio.Queue()

    async def ask(self, asked: Asked) -> Answer:
        """Return the answer to `asked`."""
        if self._queue.qsize() >= MOST_WAITING:
            raise HTTPException(503, "too many requests wait; try again", {"Retry-After": "1"})
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((asked, future))
        return await future

    async def run(self) -> None:
        """Answer batches until cancelled."""
        while True:
            batch = await self._gather()
            try:
                await self._settle(batch)
            finally:
                for _, future in batch:  # cancelled amidst it: nobody waits for ever
                    future.cancel()

    async def _gather(self) -> list[tuple[Asked, asyncio.Future[Answer]]]:
        batch = [await self._queue.get()]
        if self._queue.empty() and self._wait_s:
            await asyncio.sleep(self._wait_s)
        total = self._size(batch[0][0])
        while not self._queue.empty() and total < self._most:
            batch.append(self._queue.get_nowait())
            total += self._size(batch[-1][0])
        return batch

    async def _settle(self, batch: list[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        asked = [one for one, _ in batch]
        try:
            answers = await self._thread.run(lambda: self._answer(asked))
        except Exception as error:
            if len(batch) > 1:  # whose fault is it? the others are not to suffer
                for one in batch:
                    await self._settle([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
