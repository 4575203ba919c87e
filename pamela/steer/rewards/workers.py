"""Rewards of packages that need an environment of their own: scored by a worker process.

Pictures go as PNG files in a temporary folder, named by their content. A worker that dies, is
silent or answers wrongly is started again a few times; what it scored before is kept.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from PIL import Image as PillowImage

from pamela.core.arrays import Floats
from pamela.core.errors import PamelaError
from pamela.core.files import writing_to
from pamela.steer.generators.base import Image
from pamela.steer.rewards.generic import image_digest
from pamela.steer.rewards.worker_process import (
    WorkerFailure,
    WorkerProcess,
    WorkerRefusal,
    worker_command,
)

PAGE: Final = "docs/steering_rewards.md"
# What is installed beside Python for each; the page says why each pin.
PACKAGES: Final = {
    "image_reward": (
        "image-reward==1.5 openai-clip==1.0.1 transformers==4.45.2 diffusers==0.31.0 "
        "'setuptools<70'"
    ),
    "hpsv3": "hpsv3==1.0.0 tensorboard matplotlib",
    "q_align": "pyiqa==0.1.16 icecream transformers==4.57.6",
    "script": "what it imports",
}
BATCH: Final = 16  # pictures of one request
T = TypeVar("T")


@dataclass(frozen=True)
class WorkerTimes:
    """How long a worker may take, and how often it is tried.

    Attributes
    ----------
    hello_s : to say who it is, hashes of its local weights included.
    load_s : to load its model, which may download the weights.
    batch_s : to score one request.
    tries : of one request, each by a new worker.
    pause_s : before the second try; twice as long before each further one.
    """

    batch_s: float = 600.0
    hello_s: float = 600.0
    load_s: float = 7200.0
    tries: int = 3
    pause_s: float = 1.0


class WorkerScorer:
    """Scores by a worker process, started with the first question and kept until `close`.

    Parameters
    ----------
    name : as in ``steer.rewards``: ``hpsv3``, ``script:my_reward.py``, ...
    python : of the environment that its package is installed in.
    root : the folder that it runs in, which relative paths in its name are meant from.
    """

    def __init__(
        self,
        name: str,
        python: Path,
        device: str = "auto",
        root: Path = Path(),
        times: WorkerTimes | None = None,
    ) -> None:
        self.name = name
        self._python = python
        self._root = root
        self._device = {"gpu": "cuda"}.get(device, device)
        self._times = times or WorkerTimes()
        self._worker: WorkerProcess | None = None
        self._hello: dict[str, Any] | None = None
        self._loaded = False
        self._requests = 0

    @property
    def fingerprint(self) -> str:
        """The package's versions, and the content of files that the name holds."""
        if self._hello is None:
            self._persist(self._start)
        hello = self._hello or {}
        versions = ",".join(f"{key}={value}" for key, value in sorted(hello["versions"].items()))
        return f"worker:{self.name}:{versions}:{hello['weights']}"

    def score_pictures(self, images: Sequence[Image], prompts: Sequence[str]) -> Floats:
        """Score picture i for prompt i; array (n,), higher is better.

        Raises
        ------
        PamelaError
            If the environment cannot score, or every try failed.
        """
        scores: list[float] = []
        with tempfile.TemporaryDirectory(prefix="pamela-") as folder:
            for begin in range(0, len(images), BATCH):
                batch = slice(begin, begin + BATCH)
                with writing_to(Path(folder)):
                    paths = [_write_png(image, Path(folder)) for image in images[batch]]
                scores += self._persist(self._ask, paths, list(prompts[batch]))
                for path in set(paths):
                    path.unlink()
        return np.array(scores, np.float64)

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
        self._worker, self._loaded = None, False

    def _persist(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what `work` gives, by as many workers as may be tried."""
        times = self._times
        for attempt in range(1, times.tries + 1):
            try:
                return work(*arguments)
            except WorkerRefusal as refusal:
                self.close()
                advice = f"; {set_up(self.name)}" if refusal.absent else f" ({PAGE})"
                raise PamelaError(
                    f"steer: reward {self.name!r}: its worker cannot score: {refusal}{advice}"
                ) from None
            except WorkerFailure as failure:
                self.close()
                if attempt == times.tries:
                    raise PamelaError(
                        f"steer: reward {self.name!r}: {attempt} workers failed on the same "
                        f"pictures; the last one {failure}. What was scored before is kept; run "
                        f"the command again to go on ({PAGE})"
                    ) from None
                print(
                    f"steer: reward {self.name!r}: its worker {failure}; it is started again "
                    f"(try {attempt + 1} of {times.tries})",
                    file=sys.stderr,
                )
                time.sleep(times.pause_s * 2 ** (attempt - 1))
            except BaseException:  # Ctrl-C: an answer that is still to come would be the next one's
                self.close()
                raise
        raise AssertionError("tries is at least 1")

    def _start(self) -> WorkerProcess:
        """Return the running worker; one that is started again must be the same."""
        if self._worker is None:
            self._worker = WorkerProcess(
                worker_command(self._python, self.name, self._device), self._root
            )
            hello = self._worker.receive(self._times.hello_s).get("hello")
            if not isinstance(hello, dict) or hello.get("name") != self.name:
                raise WorkerFailure("did not say who it is")
            if self._hello is not None and hello != self._hello:
                raise WorkerRefusal("the package or its files have changed since the run began")
            self._hello = hello
        return self._worker

    def _ask(self, paths: list[Path], prompts: list[str]) -> list[float]:
        worker = self._start()
        self._requests += 1
        request = {"id": self._requests, "paths": list(map(str, paths)), "prompts": prompts}
        worker.send(request)
        if not self._loaded:
            if worker.receive(self._times.load_s) != {"loaded": True}:
                raise WorkerFailure("answered before it had loaded its model")
            self._loaded = True
        return _scores(worker.receive(self._times.batch_s), self._requests, len(paths))


def set_up(name: str) -> str:
    """Return how to make the environment of a reward, for messages."""
    kind = name.partition(":")[0]
    return (
        f"python -m venv envs/{kind} && envs/{kind}/bin/pip install {PACKAGES[kind]}, then in "
        f"params.yaml steer.workers: {{'{name}': envs/{kind}/bin/python}} ({PAGE})"
    )


def _scores(message: dict[str, Any], request: int, n: int) -> list[float]:
    """Return the scores of an answer.

    Raises
    ------
    WorkerFailure
        If it is the answer to something else, says why there are none, or has not `n` numbers.
    """
    if message.get("id") != request:
        raise WorkerFailure("gave the answer to another question")
    if "error" in message:
        raise WorkerFailure(f"could not score: {message['error']}")
    scores = message.get("scores")
    if not isinstance(scores, list) or len(scores) != n:
        found = len(scores) if isinstance(scores, list) else "no"
        raise WorkerFailure(f"gave {found} scores for {n} pictures")
    if not all(isinstance(x, int | float) and isfinite(x) for x in scores):
        raise WorkerFailure("gave a score that is no number")
    return [float(x) for x in scores]


def _write_png(image: Image, folder: Path) -> Path:
    path = folder / f"{image_digest(image).hex()}.png"
    if not path.exists():
        PillowImage.fromarray(image).save(path, compress_level=1)
    return path
