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

if __name__ == "__main__":  # before Prefect is imported: a cycle with nothing to do needs none
    from flows.retrain_service import command

    command()
    raise SystemExit

import subprocess
import sys
from collections.abc import Mapping

from flows.environment import environment
from flows.lock import one_at_a_time
from flows.pipeline import run, stale_stages
from flows.runtime import here, stage, step
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.retraining import admission, inbox, promotion
from pamela.retraining.waiting import batch_hashes, dvc_file, nothing_to_do

# --- the steps --------------------------------------------------------------------------------


take_batches = step("take batches")(admission.take)
run_gate = step("gate")(promotion.decide_and_promote)


@step("track batches")
def track_batches(project: Project) -> dict[str, str]:
    """`dvc add` every accepted batch that is not tracked yet; return ``{batch: hash}``."""
    untracked = [
        project.relative(batch.folder)
        for batch in inbox.accepted(project)
        if not dvc_file(batch).is_file()
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


# --- DVC's and git's side ---------------------------------------------------------------------


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
