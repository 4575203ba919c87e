"""Worker processes: real ones of `pamela.steer.worker`, with scorers that do what scorers do."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
import time
import venv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from pamela.core.errors import PamelaError
from pamela.steer.rewards.generic import GenericReward
from pamela.steer.rewards.worker_process import WorkerFailure, WorkerProcess, WorkerRefusal
from pamela.steer.rewards.workers import BATCH, WorkerScorer, WorkerTimes
from tests.helpers.encoder_kit import picture
from tests.paths import ROOT

HERE = Path(sys.executable)
SOON = WorkerTimes(batch_s=2.0, tries=2, pause_s=0.01)
BYTES = "return [os.path.getsize(path) + len(prompt) for path, prompt in zip(paths, prompts)]"


def scorer(folder, body, *, before="", times=SOON) -> WorkerScorer:
    """Return the scorer of a script whose function has this body."""
    file = folder / "my_reward.py"
    lines = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    start = f"import os, signal, subprocess, sys, time\n{textwrap.dedent(before)}\n"
    file.write_text(f"{start}\ndef score(paths, prompts):\n{lines}\n")
    return WorkerScorer(f"script:{file}", HERE, times=times)


def pictures(n):
    return [picture(seed) for seed in range(n)], [f"prompt {seed}" for seed in range(n)]


def gone(pid, within=10.0) -> bool:
    """Tell whether a process ends, or has ended; one that nobody waited for counts as ended."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_pictures_are_scored_in_batches_by_one_process_under_names_of_their_content(tmp_path):
    body = f"""
    with open("{tmp_path}/seen", "a") as seen:
        print(os.getpid(), *paths, file=seen)
    first = [open(path, "rb").read(1)[0] for path in paths]
    return [int(prompt.split()[1]) + byte for byte, prompt in zip(first, prompts)]
    """
    worker = scorer(tmp_path, body)
    images, prompts = pictures(2 * BATCH + 1)
    reward = GenericReward("mine", worker)
    scores = reward.score_pictures([*images, images[3]], [*prompts, prompts[3]])
    worker.close()
    assert scores.tolist() == [i + 0x89 for i in [*range(2 * BATCH + 1), 3]]  # a PNG begins so
    requests = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    assert [len(paths) for _, *paths in requests] == [BATCH, BATCH, 1]
    assert len({pid for pid, *_ in requests}) == 1
    names = {Path(path).name for _, *paths in requests for path in paths}
    assert len(names) == len(images)
    assert all(re.fullmatch(r"[0-9a-f]{64}\.png", name) for name in names)
    assert not any(Path(path).exists() for _, *paths in requests for path in paths)
    assert reward.score_pictures(images[:2], prompts[:2]).tolist() == scores[:2].tolist()
    assert gone(int(requests[0][0]))


def test_what_packages_print_and_read_does_not_reach_the_protocol(tmp_path):
    noise = """
    print("loading", flush=True)
    os.write(1, b'{"id": 1, "scores": [0]}\\n')
    subprocess.run(["echo", "from a child"])
    assert sys.stdin.read() == ""
    assert not any("steer" in entry for entry in sys.path)  # modules beside worker.py
    assert not any(name.partition(".")[0] == "pamela" for name in sys.modules)
    """
    worker = scorer(tmp_path, "print('scoring'); " + BYTES, before=noise)
    images, prompts = pictures(2)
    assert (worker.score_pictures(images, prompts) > 100).all()
    worker.close()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("print('out of memory', file=sys.stderr); os._exit(3)", "exit status 3.*out of memory"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
        ("time.sleep(60)", "no answer within 2 s"),
        ("raise ValueError('bad\\npicture')", "could not score: ValueError: bad picture"),
        ("return [1.0]", "1 scores for 3 pictures"),
        ("return [float('nan')] * 3", "could not score: ValueError"),
        ("return ['good'] * 3", "could not score: ValueError"),
    ],
)
def test_a_worker_that_fails_is_started_again_and_the_fault_told(tmp_path, capfd, fault, words):
    once = f"""
    tried = "{tmp_path}/tried"
    if not os.path.exists(tried):
        open(tried, "w").close()
        {fault}
    {BYTES}
    """
    images, prompts = pictures(3)
    worker = scorer(tmp_path, once)
    assert (worker.score_pictures(images, prompts) > 100).all()
    worker.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(f"^steer: reward .*{words}.*started again \\(try 2 of 2\\)$", line)


def test_a_worker_that_always_fails_ends_the_command_in_one_line(tmp_path):
    pids = tmp_path / "pids"
    worker = scorer(tmp_path, f"print(os.getpid(), file=open('{pids}', 'a')); os._exit(1)")
    with pytest.raises(PamelaError, match=r"2 workers failed .* ended \(exit status 1\)") as error:
        worker.score_pictures(*pictures(1))
    assert "run the command again" in str(error.value)
    found = pids.read_text().split()
    assert len(set(found)) == 2
    assert all(gone(int(pid)) for pid in found)


def test_what_a_new_worker_would_say_again_is_not_tried_again(tmp_path, capfd):
    broken = scorer(tmp_path, BYTES, before="import no_such_package")
    with pytest.raises(PamelaError, match=r"no_such_package.*pip install.*steer\.workers"):
        broken.score_pictures(*pictures(1))
    assert not capfd.readouterr().err
    with pytest.raises(PamelaError, match="cannot score: AttributeError"):
        scorer(tmp_path, BYTES, before="def score(): ...\ndel score\nraise AttributeError('x')"
               ).score_pictures(*pictures(1))  # fmt: skip


def test_an_environment_without_the_package_is_told_with_the_commands_that_make_one(tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    worker = WorkerScorer("hpsv3", tmp_path / "env" / "bin" / "python")
    with pytest.raises(PamelaError, match=r"hpsv3 is not installed.*pip install hpsv3==1\.0\.0"):
        worker.score_pictures(*pictures(1))


def test_the_fingerprint_follows_the_file_and_a_file_that_changes_under_way_is_refused(tmp_path):
    worker = scorer(tmp_path, BYTES)
    first = worker.fingerprint
    assert first == scorer(tmp_path, BYTES).fingerprint
    scorer(tmp_path, f"os.kill(os.getpid(), signal.SIGKILL)\n{BYTES}")
    worker.close()
    with pytest.raises(PamelaError, match="have changed since the run began"):
        worker.score_pictures(*pictures(1))
    changed = WorkerScorer(worker.name, HERE)
    assert changed.fingerprint != first
    changed.close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("print('no json', flush=True)", "no message but 'no json'"),
        ("print('[1]', flush=True)", "no message"),
        ("while True: sys.stdout.write('9' * 65536)", "no message but '999"),
        ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()", "no message"),
        ("os.close(1)\ntime.sleep(60)", "closed its output"),
        ("time.sleep(60)", "no answer within"),
    ],
)
def test_what_is_no_message_is_a_failure(tmp_path, monkeypatch, said, words):
    monkeypatch.setattr("pamela.steer.rewards.worker_process._END_S", 0.5)
    command = [sys.executable, "-c", f"import os, sys, time\n{said}\ntime.sleep(60)"]
    worker = WorkerProcess(command, tmp_path)
    worker.send({"id": 1, "prompts": ["x" * 300_000]})  # more than a pipe holds
    patience = 2.0 if words == "no answer within" else 60.0  # a busy machine starts it late
    with pytest.raises(WorkerFailure, match=words):
        worker.receive(patience)
    worker.close()


def test_a_program_that_does_not_start_is_refused(tmp_path):
    with pytest.raises(WorkerRefusal, match="does not start"):
        WorkerProcess([str(tmp_path / "absent")], tmp_path)


PARENT = """
import sys
from pathlib import Path
import numpy as np
from pamela.steer.rewards.workers import WorkerScorer
assert "torch" not in sys.modules
worker = WorkerScorer(sys.argv[1], Path(sys.executable))
worker.score_pictures([np.zeros((8, 8, 3), np.uint8)], ["x"])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, None])
def test_no_process_is_left_when_the_command_ends(tmp_path, how):
    """The worker is busy and has a child; None: the command ends without closing it."""
    wait = "return [0.0]" if how is None else "time.sleep(60)"
    body = f"""
    child = subprocess.Popen(["sleep", "60"])
    with open("{tmp_path}/pids.new", "w") as file:
        print(os.getpid(), child.pid, file=file)
    os.rename("{tmp_path}/pids.new", "{tmp_path}/pids")
    {wait}
    """
    name = scorer(tmp_path, body).name
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, name], cwd=ROOT, stderr=subprocess.PIPE
    )
    pids = tmp_path / "pids"
    end = time.monotonic() + 60
    while not pids.exists() and time.monotonic() < end:
        time.sleep(0.05)
    if how is not None:
        parent.send_signal(how)
    parent.communicate(timeout=60)
    assert all(gone(int(pid)) for pid in pids.read_text().split())


def make_environment(folder: Path, *packages: str) -> Path:
    """Return the Python of a new environment with these packages; skip without a package index."""
    python = folder / "bin" / "python"
    venv.create(folder, with_pip=False)
    if find_spec("pip"):
        install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-compile"]
    else:  # an environment that uv made
        install = ["uv", "pip", "install", "--python", python]
    made = subprocess.run([*install, "--quiet", *packages], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"needs a package index: {made.stderr.strip()[-200:]}")
    return python


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_model_in_an_environment_of_its_own(tmp_path):
    """Digits by scikit-learn of another version: how likely a picture shows the digit asked for."""
    python = make_environment(tmp_path / "env", "scikit-learn==1.7.2", "pillow==11.3.0")
    file = tmp_path / "digits.py"
    file.write_text(
        textwrap.dedent(
            """
            import numpy as np
            import sklearn
            from PIL import Image
            from sklearn.datasets import load_digits
            from sklearn.linear_model import LogisticRegression

            assert sklearn.__version__ == "1.7.2"
            DIGITS = load_digits()
            MODEL = LogisticRegression(max_iter=2000).fit(DIGITS.data / 16, DIGITS.target)

            def score(paths, prompts):
                pictures = [Image.open(path).convert("L").resize((8, 8)) for path in paths]
                chances = MODEL.predict_proba([np.ravel(picture) / 255 for picture in pictures])
                return [chance[int(prompt[-1])] for chance, prompt in zip(chances, prompts)]
            """
        )
    )
    digits = load_digits()
    grey = (digits.images[:40] / 16 * 255).astype(np.uint8)
    images = [np.repeat(image.repeat(4, 0).repeat(4, 1)[..., None], 3, axis=2) for image in grey]
    worker = WorkerScorer(f"script:{file}", python)
    asked = worker.score_pictures(images, [f"the digit {n}" for n in digits.target[:40]])
    other = worker.score_pictures(images, [f"the digit {(n + 1) % 10}" for n in digits.target[:40]])
    worker.close()
    assert np.mean(asked) > 0.7
    assert np.mean(other) < 0.1
