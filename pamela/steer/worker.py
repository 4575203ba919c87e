"""A reward in an environment of its own: a process that scores picture files, by JSON lines.

    ENV/bin/python worker.py NAME [--device auto|cpu|cuda]

NAME is ``image_reward[:<folder>]``, ``hpsv3[:<folder>]``, ``q_align[:quality|aesthetic]`` or
``script:<file.py>``. The file imports the standard library and that one package, never pamela. On
standard output it says who it is, then answers each line of standard input (docs/steering_rewards):

    <- {"hello": {"name": ..., "versions": {...}, "weights": ...}}
    -> {"id": 1, "paths": ["a.png"], "prompts": ["a red barn"]}
    <- {"loaded": true}                                        before the first answer
    <- {"id": 1, "scores": [0.4]}  or  {"id": 1, "error": "..."}

The end of its input ends it at once, whatever it is doing: the process that started it is gone.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

Score = Callable[[list[str], list[str]], Iterable[Any]]  # paths, prompts -> numbers
LONGEST_REASON = 300
ABSENT = (importlib.metadata.PackageNotFoundError, ModuleNotFoundError)


class Kind(NamedTuple):
    """One reward: the distribution that must be installed, and what loads its model."""

    distribution: str | None
    load: Callable[[str, str], Score]  # argument, device
    files: bool = True  # whether the argument names a file or folder


def main() -> None:
    """Say hello, then answer requests until the input ends."""
    channel, source = take_channels()
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    asked = parser.parse_args()
    here = Path(__file__).resolve().parent  # beside this file lie modules that are no packages
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != here]
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # of a pickle: tensors, no code
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(source, requests), daemon=True).start()
    kind_name, _, argument = asked.name.partition(":")
    try:
        kind = KINDS[kind_name]
        send(channel, {"hello": hello(asked.name, kind, argument)})
        score = None
        while True:
            request = json.loads(requests.get())
            if score is None:
                score = kind.load(argument, asked.device)
                send(channel, {"loaded": True})
            send(channel, answer(score, request))
    except BaseException as error:
        send(channel, {"fatal": reason(error), "absent": isinstance(error, ABSENT)})
        raise  # the whole traceback, on standard error


def take_channels() -> tuple[TextIO, TextIO]:
    """Keep the two pipes to ourselves: what packages print goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    source = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(2, 1)  # also what C libraries print
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout = sys.stderr
    return channel, source


def listen(source: TextIO, requests: queue.SimpleQueue[str]) -> None:
    """Queue the lines of `source`; end this process and what it started when there are no more."""
    for line in source:
        requests.put(line)
    if os.getpgrp() == os.getpid():  # a group of its own: nobody else is in it
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def send(channel: TextIO, message: dict[str, Any]) -> None:
    """Write one line."""
    channel.write(json.dumps(message, allow_nan=False) + "\n")
    channel.flush()


def hello(name: str, kind: Kind, argument: str) -> dict[str, Any]:
    """Return what identifies the scores: versions, and the content of files that are named."""
    versions = {}
    if kind.distribution is not None:
        for distribution in (kind.distribution, "torch", "transformers"):
            versions[distribution] = importlib.metadata.version(distribution)
    weights = content(Path(argument).expanduser()) if kind.files and argument else None
    return {"name": name, "versions": versions, "weights": weights}


def content(path: Path) -> str:
    """Return one SHA-256 over a file, or over the names and contents of a folder's files."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def answer(score: Score, request: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of one request, or why there are none."""
    try:
        scores = [float(value) for value in score(request["paths"], request["prompts"])]
        json.dumps(scores, allow_nan=False)
    except Exception as error:
        return {"id": request.get("id"), "error": reason(error)}
    return {"id": request["id"], "scores": scores}


def reason(error: BaseException) -> str:
    """Return an error in one line."""
    if isinstance(error, importlib.metadata.PackageNotFoundError):
        return f"{error.name} is not installed in {sys.executable}"
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:LONGEST_REASON]


def torch_device(device: str) -> str:
    """Return the device that torch is to use."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def load_image_reward(argument: str, device: str) -> Score:
    """ImageReward; a folder holds ``ImageReward.pt`` and ``med_config.json``."""
    import ImageReward
    import torch

    if argument:
        folder = Path(argument).expanduser()
        files = {
            "name": str(folder / "ImageReward.pt"),
            "med_config": str(folder / "med_config.json"),
        }
    else:
        files = {"name": "ImageReward-v1.0"}
    model = ImageReward.load(device=torch_device(device), **files)

    def score(paths: list[str], prompts: list[str]) -> list[float]:
        with torch.inference_mode():  # it takes one picture at a time
            return list(map(model.score, prompts, paths))

    return score


def load_hpsv3(argument: str, device: str) -> Score:
    """HPSv3; a folder holds ``HPSv3.safetensors`` and its configuration ``HPSv3_7B.yaml``."""
    import torch
    from hpsv3 import HPSv3RewardInferencer

    files = {}
    if argument:
        folder = Path(argument).expanduser()
        files = {
            "config_path": str(folder / "HPSv3_7B.yaml"),
            "checkpoint_path": str(folder / "HPSv3.safetensors"),
        }
    device = torch_device(device)
    model = HPSv3RewardInferencer(device=device, **files)
    if device == "cpu":  # its head is float32 and the rest bfloat16, which only CUDA reconciles
        model.model.float()

    def score(paths: list[str], prompts: list[str]) -> list[float]:
        with torch.inference_mode():
            return model.reward(paths, prompts)[:, 0].float().tolist()  # mean; then its deviation

    return score


def load_q_align(argument: str, device: str) -> Score:
    """Q-Align of pyiqa, of the picture alone; its task is quality or aesthetic, 1 to 5."""
    import pyiqa
    import torch

    task = argument or "quality"
    if task not in ("quality", "aesthetic"):
        raise ValueError(f"q_align:{task}: write q_align:quality or q_align:aesthetic")
    model = pyiqa.create_metric("qalign", device=torch.device(torch_device(device)))

    def score(paths: list[str], _prompts: list[str]) -> list[float]:
        return [model(path, task_=task).item() for path in paths]  # it takes one at a time

    return score


def load_script(argument: str, _device: str) -> Score:
    """Somebody's own file with ``score(paths, prompts)``, which returns a number per picture."""
    path = Path(argument).expanduser().resolve()
    sys.path.insert(0, str(path.parent))  # as `python file.py` has it
    spec = importlib.util.spec_from_file_location("pamela_user_scorer", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.score


KINDS = {
    "image_reward": Kind("image-reward", load_image_reward),
    "hpsv3": Kind("hpsv3", load_hpsv3),
    "q_align": Kind("pyiqa", load_q_align, files=False),
    "script": Kind(None, load_script),
}


if __name__ == "__main__":
    main()
