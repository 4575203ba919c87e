"""One server that speaks the OpenAI protocol: what failed for a while is tried again, and counted.

The `openai` client retries time-outs, lost connections, 429 and 5xx, backs off and waits as long as
``Retry-After`` says; answers that are no JSON of the protocol are asked for again here. The key
comes from ``OPENAI_API_KEY`` and is in no message.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import httpx2
import openai

from pamela.core.errors import PamelaError, hidden
from pamela.steer.servers.endpoints import Endpoint

T = TypeVar("T")
R = TypeVar("R")
KEY: Final = "OPENAI_API_KEY"
NO_KEY: Final = "none"  # the client wants one; servers on loopback do not
MAX_BYTES: Final = 128 * 2**20  # of one answer: a picture of 4096 x 4096 is smaller
_FIRST_WAIT_S: Final = 0.5  # before an answer is asked for again; doubled each time
_LONGEST_WAIT_S: Final = 8.0
_RETRIES: Final = "x-stainless-retry-count"  # the client's header that counts its attempts
_QUOTED: Final = 200  # characters of a server's own message


class MalformedError(ValueError):
    """An answer that is not of the protocol; the message says what it is instead."""


class OpenAIServer:
    """A server, asked by several threads at once.

    Parameters
    ----------
    settings : the section of params.yaml that `timeout_s` and `attempts` are in, for messages.
    timeout_s : for one answer, its last byte included.
    attempts : for one answer.
    threads : requests at once.

    Attributes
    ----------
    faults : what was tried again, by its kind.
    """

    def __init__(
        self, endpoint: Endpoint, settings: str, *, timeout_s: float, attempts: int, threads: int
    ) -> None:
        self.endpoint, self.settings = endpoint, settings
        self.timeout_s, self.attempts, self.threads = timeout_s, attempts, threads
        self.faults: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._key = os.environ.get(KEY, "")
        http = _Watched(self._count, timeout_s)
        self._client = openai.OpenAI(
            base_url=endpoint.url,
            api_key=self._key or NO_KEY,
            timeout=timeout_s,
            max_retries=attempts - 1,
            http_client=http,
        )

    def close(self) -> None:
        """Close the connections; say what was tried again."""
        self._client.close()
        if self.faults:
            kinds = ", ".join(f"{kind} {n}" for kind, n in self.faults.most_common())
            print(f"steer: {self.endpoint}: tried again: {kinds}", file=sys.stderr)

    def map(
        self,
        ask: Callable[[openai.OpenAI, T], R],
        items: Sequence[T],
        named: Callable[[T], str] = lambda item: "",
    ) -> list[R]:
        """Return ``ask(client, item)`` of every item, in their order; the first failure ends it.

        Parameters
        ----------
        named : what an item asks for, for the message where the server refuses it.
        """
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="openai")
        try:
            futures = [pool.submit(self._ask, ask, item, named) for item in items]
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            self._client.close()  # ends what other threads wait for
            raise
        finally:
            pool.shutdown(wait=False)

    def _ask(self, ask: Callable[[openai.OpenAI, T], R], item: T, named: Callable[[T], str]) -> R:
        wait = _FIRST_WAIT_S
        for attempt in range(self.attempts):
            try:
                return ask(self._client, item)
            except MalformedError as error:
                if attempt == self.attempts - 1:
                    raise PamelaError(
                        f"steer: {self.endpoint}: {error}, {_times(self.attempts)}: see its log or "
                        f"raise {self.settings}.attempts; what was drawn is kept"
                    ) from None
                self._count("malformed answer")
            except openai.APIError as error:
                raise self._explained(error, named(item)) from None
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
        raise AssertionError("attempts is at least 1")

    def _count(self, kind: str) -> None:
        with self._lock:
            self.faults[kind] += 1

    def _explained(self, error: openai.APIError, item: str) -> PamelaError:
        """Return the line for what the client could not mend."""
        where, what = f"steer: {self.endpoint}", self.settings
        times = _times(int(error.request.headers.get(_RETRIES, 0)) + 1)
        if isinstance(error, openai.APITimeoutError):
            return PamelaError(
                f"{where}: no whole answer within {self.timeout_s:g} s, {times}: raise "
                f"{what}.timeout_s, or see the server's log; what was drawn is kept"
            )
        if isinstance(error, openai.APIConnectionError):
            reason = error.__cause__ or error
            return PamelaError(
                f"{where}: cannot be reached ({reason}), {times}: start the server, or "
                f"correct {self.endpoint.key} in params.yaml; what was drawn is kept"
            )
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            state = "the key there is not accepted" if self._key else "it is not set"
            return PamelaError(
                f"{where}: refuses us (status {error.status_code}): it wants a key in the "
                f"environment variable {KEY}; {state}"
            )
        if isinstance(error, openai.RateLimitError):
            asked = error.response.headers.get("retry-after")
            wait = f"; it asks to wait {asked[:40]} s" if asked else ""
            return PamelaError(
                f"{where}: too many requests (status 429), {times}{wait}: lower "
                f"{what}.concurrent_requests, or run again later; what was drawn is kept"
            )
        status = getattr(error, "status_code", None)
        said = self._said(error)
        if status is not None and status >= 500:
            return PamelaError(
                f"{where}: status {status}, {times} ({said}): see the server's log and run "
                "again; what was drawn is kept"
            )
        return PamelaError(
            f"{where}: refuses the request{item} (status {status}: {said}): correct "
            f"{self.endpoint.key} or {what} in params.yaml"
            + (", or change steer.seed for other prompts" if item else "")
        )

    def _said(self, error: openai.APIError) -> str:
        """Return the server's own words, without the key should it repeat it."""
        text = hidden(" ".join(str(error.message).split()))
        text = text.replace(self._key, "***") if self._key else text
        return text[:_QUOTED]


def _times(attempts: int) -> str:
    return f"asked {attempts} times" if attempts > 1 else "asked once"


def read_json(text: str) -> dict[str, Any]:
    """Return the object that a body of the protocol is.

    Raises
    ------
    MalformedError
        If it is none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError(f"malformed JSON ({text.strip()[:40]!r})") from None
    if not isinstance(value, dict):
        raise MalformedError(f"no JSON object ({text.strip()[:40]!r})")
    return value


class _Watched(openai.DefaultHttpxClient):
    """The client's HTTP, which counts what fails and bounds the length and the time of answers."""

    def __init__(self, count: Callable[[str], None], timeout_s: float) -> None:
        super().__init__(event_hooks={"response": [self._bound]})
        self._count_fault, self._timeout_s = count, timeout_s

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            response: httpx2.Response = super().send(request, **options)
        except httpx2.TimeoutException:
            self._count_fault("time-out")
            raise
        except httpx2.TransportError:
            self._count_fault("no connection")
            raise
        if response.status_code == 429 or response.status_code >= 500:
            self._count_fault(f"status {response.status_code}")
        return response

    def _bound(self, response: httpx2.Response) -> None:
        response.stream = _Bounded(response.stream, response.request, self._timeout_s)


class _Bounded(httpx2.SyncByteStream):
    """An answer's bytes: an error where they are too many or take too long as a whole."""

    def __init__(self, stream: Any, request: httpx2.Request, timeout_s: float) -> None:
        self._stream, self._request, self._timeout_s = stream, request, timeout_s

    def __iter__(self) -> Iterator[bytes]:
        size, end = 0, time.monotonic() + self._timeout_s
        for chunk in self._stream:
            size += len(chunk)
            if size > MAX_BYTES:
                raise httpx2.ReadError(
                    f"an answer of more than {MAX_BYTES >> 20} MB", request=self._request
                )
            if time.monotonic() > end:
                raise httpx2.ReadTimeout("the answer does not end", request=self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()
