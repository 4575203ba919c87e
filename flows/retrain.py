"""New ratings retrain the model: ``python -m flows.retrain --once`` (``pamela retrain --once``).

One cycle takes the complete batches of ``data/inbox/`` (checked, moved to ``data/batches/``,
DVC-tracked), runs the pipeline, scores champion and challenger on the same hold-out now, and moves
the alias ``champion`` only if the challenger is not worse. It ends with one line that says what
was decided and why. A cycle that was interrupted is finished by the next one: the batches that the
last gate judged stand in ``reports/gate.json``. Exit status 1: a batch was refused, or a fault.

``python -m flows.retrain --serve`` does the same on the cron schedule ``retrain.cron`` (UTC), as a
Prefect deployment, one run at a time, until it is stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flows.environment import environment
from flows.pipeline import run, stale_stages
from flows.runtime import here, main, stage, step
from flows.server import server
from pamela.core.errors import PamelaError, hidden
from pamela.core.paths import Project
from pamela.core.strict_yaml import read_yaml
from pamela.params import Params
from pamela.retraining import admission, inbox, promotion

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

DEPLOYMENT = "new-ratings"


# --- the steps --------------------------------------------------------------------------------


take_batches = step("take batches")(admission.take)
run_gate = step("gate")(promotion.decide_and_promote)


@step("track batches")
def track_batches(project: Project) -> dict[str, str]:
    """`dvc add` every accepted batch that is not tracked yet; return ``{batch: hash}``."""
    untracked = [
        project.relative(batch.folder)
        for batch in inbox.accepted(project)
        if not _dvc_file(batch).is_file()
    ]
    if untracked:
        _command(project, "dvc", "add", "--quiet", *untracked)
    _check_unchanged(project)
    return batch_hashes(project)


@step("run the pipeline")
def run_pipeline(project: Project, reason: str) -> list[str]:
    """`dvc repro` and publish; on a fault the batches stay tracked and the champion where it is."""
    try:
        return run(project, reason=reason)
    except (PamelaError, subprocess.CalledProcessError) as error:
        raise PamelaError(
            f"{error}; the champion is unmoved and the batches stay in data/batches: mend the "
            "cause and run `pamela retrain --once` again, it goes on from there"
        ) from None


@step("commit")
def commit(project: Project, line: str) -> None:
    """Commit the pointers of this cycle to git (only where ``retrain.commit`` is true)."""
    paths = ["dvc.lock", "metrics", "MODEL_CARD.md", "data/batches"]
    present = [path for path in paths if (project.root / path).exists()]
    _command(project, "git", "add", "--", *present)
    staged = subprocess.run(
        ["git", "diff", "--cached", "--quiet", "--", *present], cwd=project.root, check=False
    )
    if staged.returncode:
        title, _, why = line.partition(": ")
        _command(project, "git", "commit", "-q", "-m", f"Retrain: {title}\n\n{why}", "--", *present)


# --- the cycle --------------------------------------------------------------------------------


@stage("retrain")
def retrain() -> str:
    """Run one cycle and return the line that says what was decided and why."""
    project, params = here()
    with one_at_a_time(project):
        refused = take_batches(project, params)
        batches = track_batches(project)
        if batches == promotion.judged(project):
            line = nothing_to_do(project, params)
        else:
            reason = "retrain: " + describe(promotion.news(batches, promotion.judged(project)))
            run_pipeline(project, reason)
            line = run_gate(project, params, batches, reason=reason).line
            if params.retrain.commit:
                commit(project, line)
    print(line, flush=True)
    if refused:
        raise PamelaError("; ".join(f"batch {why}" for why in refused.values()))
    return line


def describe(news: Mapping[str, list[str]]) -> str:
    """Return what is new for people: ``added synthetic/b1``."""
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in news.items())


def nothing_to_do(project: Project, params: Params) -> str:
    """Return the line for an inbox without a complete batch; it names what else lies there."""
    found = inbox.scan_inbox(project, params.ingest.datasets)
    also = [
        (found.waiting, f"without {inbox.DONE}"),
        (found.refused, f"refused, see its {inbox.REFUSED}"),
        (found.foreign, "of a dataset that is not in ingest.datasets"),
    ]
    notes = [f"{', '.join(b.label for b in some)} ({why})" for some, why in also if some]
    line = f"nothing to do: no complete batch in {project.relative(project.inbox)}"
    return f"{line}; left there: {'; '.join(notes)}" if notes else line


def work_waits(project: Project, params: Params) -> bool:
    """Return whether a cycle would do anything: a batch to take, or one that was not judged."""
    if inbox.scan_inbox(project, params.ingest.datasets).ready:
        return True
    present = inbox.accepted(project)
    return (
        any(not _dvc_file(batch).is_file() for batch in present)
        or batch_hashes(project) != promotion.judged(project)
    )  # fmt: skip


@contextlib.contextmanager
def one_at_a_time(project: Project) -> Iterator[None]:
    """Hold the project's retrain lock; a second retrain is an error, not a queue."""
    project.prefect_home.mkdir(exist_ok=True)
    with (project.prefect_home / "retrain.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PamelaError("another retrain is running in this project: wait for it") from None
        yield


# --- DVC's and git's side ---------------------------------------------------------------------


def batch_hashes(project: Project) -> dict[str, str]:
    """Return ``{dataset/batch: DVC's hash of its contents}`` of every tracked batch."""
    return {
        batch.label: str(read_yaml(_dvc_file(batch))["outs"][0]["md5"])
        for batch in inbox.accepted(project)
        if _dvc_file(batch).is_file()
    }


def _dvc_file(batch: inbox.Batch) -> Path:
    return batch.folder.with_name(f"{batch.name}.dvc")


def _check_unchanged(project: Project) -> None:
    """Raise if an accepted batch is no longer what DVC tracked: batches are immutable."""
    changed = [name for name in stale_stages(project) if name.endswith(".dvc")]
    ours = [name for name in changed if name.startswith(project.relative(project.batches))]
    if ours:
        raise PamelaError(
            f"{ours[0].removesuffix('.dvc')}: changed after it was accepted, and batches are "
            f"immutable; `dvc checkout --force {ours[0]}` brings it back"
        )


def _command(project: Project, *words: str) -> None:
    """Run dvc or git in the root; its last line of complaint becomes the error."""
    command = [sys.executable, "-m", *words] if words[0] == "dvc" else list(words)
    done = subprocess.run(
        command, cwd=project.root, env=environment(project), capture_output=True, text=True
    )
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise PamelaError(f"`{' '.join(words[:2])}` failed: {said[-1] if said else 'no message'}")


# --- how it is run ----------------------------------------------------------------------------


def once() -> None:
    """Run one cycle now; no Prefect server is started when there is nothing to do."""
    project, params = here()
    if not work_waits(project, params):
        print(nothing_to_do(project, params))
        return
    with server(project) as url, connected(url):
        retrain()


def serve_schedule() -> None:
    """Serve `retrain` on the schedule ``retrain.cron`` until stopped (Ctrl-C or SIGTERM)."""
    from prefect import serve

    project, params = here()
    # Prefect's own handler of SIGTERM drops a coroutine on its way out; it stops all the same
    warnings.filterwarnings("ignore", "coroutine 'Runner.astop' was never awaited")
    with server(project) as url, connected(url):
        deployment = _deployment(params.retrain.cron)
        print(
            f"serving retrain/{DEPLOYMENT} ({params.retrain.cron}, UTC) at {hidden(url)}",
            flush=True,
        )
        serve(deployment, limit=1, print_starting_message=False)


def _deployment(cron: str) -> RunnerDeployment:
    try:
        made = cast("Flow[[], str]", retrain).to_deployment(
            name=DEPLOYMENT, cron=cron, concurrency_limit=1, description=__doc__
        )
        return cast("RunnerDeployment", made)  # a coroutine only inside an event loop
    except ValueError:
        raise PamelaError(
            f'params.yaml: retrain.cron: {cron!r} is no cron line; e.g. "0 3 * * *" is 03:00 UTC'
        ) from None


@contextlib.contextmanager
def connected(url: str) -> Iterator[None]:
    """Make this process and the commands it runs talk to the Prefect server at `url`."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    before = os.environ.get("PREFECT_API_URL")
    os.environ["PREFECT_API_URL"] = url
    try:
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    finally:
        if before is None:
            del os.environ["PREFECT_API_URL"]
        else:
            os.environ["PREFECT_API_URL"] = before


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m flows.retrain", description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--once", action="store_true", help="one cycle now")
    mode.add_argument("--serve", action="store_true", help="serve the schedule retrain.cron")
    return parser.parse_args()


if __name__ == "__main__":
    main(once if _arguments().once else serve_schedule)
