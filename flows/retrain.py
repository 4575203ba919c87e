"""New ratings retrain the model: ``python -m flows.retrain --once`` (``pamela retrain --once``).

One cycle takes the complete batches of ``data/inbox/`` (checked, copied to ``data/batches/``,
DVC-tracked), brings the data up to date (``dvc repro split embed``), fits a challenger, scores it
and the champion on the same hold-out now, and moves the alias ``champion`` only if the gate says
so. A rejected batch is set aside; several are tried apart. Each decision is one line, with its
reason. A cycle that was interrupted is finished by the next one. Exit status 1: a batch was
refused, or a fault.

``python -m flows.retrain --serve`` does the same on the cron schedule ``retrain.cron`` (UTC), as a
Prefect deployment, one run at a time, until it is stopped.
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported: a cycle with nothing to do needs none
    from flows.retrain_service import command

    command()
    raise SystemExit

import datetime as dt
import subprocess
import sys

from flows import pipeline
from flows.environment import environment
from flows.lock import one_retrain
from flows.runtime import here, stage, step
from flows.service import run_page
from pamela.core.errors import PamelaError
from pamela.core.paths import Project
from pamela.params import Params
from pamela.registry import healing
from pamela.retraining import admission, batches, champion, inbox, promotion, triggers, withdrawal
from pamela.retraining.drift import record
from pamela.retraining.gate import challenger, holdout, trial
from pamela.retraining.gate.decision import Decision
from pamela.retraining.report import page
from pamela.retraining.tracking import dvc_file
from pamela.retraining.waiting import nothing_to_do, tables_lag

DATA = ("split", "embed")  # the stages that training reads

# --- the steps --------------------------------------------------------------------------------


heal = step("heal the registry")(healing.heal)
complete_records = step("complete the records")(champion.complete_records)
forget_withdrawn = step("forget who withdrew")(withdrawal.forget_withdrawn)
finish = step("finish what was decided")(promotion.finish)
take_batches = step("take batches")(admission.take)
load_holdout = step("load the hold-out")(holdout.load_holdout)
measure_drift = step("measure drift")(record.measure_drift)
write_page = step("write the page")(page.write_retraining_page)
fit_challenger = step("fit the challenger")(challenger.fit_challenger)
decide = step("gate")(trial.decide)
carry_out = step("carry out")(promotion.carry_out)


@step("track batches")
def track_batches(project: Project) -> None:
    """`dvc add` every accepted batch that is not tracked yet; none may have changed."""
    untracked = [b.folder for b in inbox.accepted(project) if not dvc_file(b.folder).is_file()]
    uncached = batches.check_unchanged(project)
    if folders := [project.relative(folder) for folder in (*untracked, *uncached)]:
        _command(project, "dvc", "add", *folders)


@step("bring the data up to date")
def refresh_data(project: Project, reason: str) -> list[str]:
    """`dvc repro split embed`; on a fault the batches stay tracked and the champion where it is."""
    return _repro(project, reason, [*DATA])


@step("run the pipeline")
def run_pipeline(project: Project, reason: str) -> list[str]:
    """`dvc repro` and publish: every model, figure and report."""
    try:
        return pipeline.run(project, reason=reason)
    except (PamelaError, subprocess.CalledProcessError) as error:
        raise _stopped(error) from None


def _repro(project: Project, reason: str, dvc_args: list[str]) -> list[str]:
    try:
        return pipeline.repro(project, reason=reason, dvc_args=dvc_args)
    except PamelaError as error:
        raise _stopped(error) from None


def _stopped(error: Exception) -> PamelaError:
    return PamelaError(
        f"{error}; the champion is unmoved and the batches stay in data/batches: mend the "
        "cause and run `pamela retrain --once` again, it goes on from there"
    )


@step("commit")
def commit(project: Project, line: str) -> None:
    """Commit the pointers of this cycle to git (only where ``retrain.commit`` is true)."""
    paths = ["dvc.lock", "metrics", "MODEL_CARD.md", "data/batches", "data/set_aside"]
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
    """Run one cycle and return the lines that say what was decided and why."""
    project, params = here()
    with one_retrain(project):
        for mended in heal(project, params):
            print(mended, flush=True)
        complete_records(project, params)
        for name in forget_withdrawn(project):
            print(f"withdrawn: deleted what was adapted to {name}", flush=True)
        said: list[str] = []
        decisions = [done] if (done := finish(project, params)) else []
        if tables_lag(project, params):  # a cycle was interrupted; batches are held to the tables
            refresh_data(project, "retrain: an interrupted cycle")
        refused = {} if triggers.pending(project) else take_batches(project, params)
        track_batches(project)
        while reason := next_trial(project, params):
            decisions.append(learn(project, params, reason, said))
        if decisions:
            conclude(project, params, decisions)
        write_page(project, params)
    lines = [decision.line for decision in decisions] or [nothing_to_do(project, params)]
    print("\n".join(lines), flush=True)
    run_page.show_cycle(decisions, list(refused), [*lines, *said, *refused.values()])
    if refused:
        raise PamelaError("; ".join(f"batch {why}" for why in refused.values()))
    return lines[-1]


def next_trial(project: Project, params: Params) -> str:
    """Return why to train now; empty where there is no reason. A group on trial is put back."""
    if waiting := triggers.pending(project):
        for label in waiting[0]:
            batches.take_back(project, label)
        return f"retrain: rejected together, tried apart: {', '.join(waiting[0])}"
    found = triggers.new_data(project)
    reasons = triggers.fired(project, params, found, now=dt.datetime.now(dt.UTC))
    return f"retrain: {'; '.join(reasons)}" if reasons else ""


def learn(project: Project, params: Params, reason: str, said: list[str]) -> Decision:
    """Bring the data up to date, fit a challenger, judge it, and do what follows.

    What was found on the way and belongs on the run's page is added to `said`.
    """
    found, waiting = triggers.new_data(project), triggers.pending(project)
    group = waiting[0] if waiting else found.group
    refresh_data(project, reason)
    rows = load_holdout(
        project, group, share=params.retrain.newest_share, seed=params.evaluate.seed
    )
    if drift := measure_drift(project, params, rows, group):
        print(drift.line, flush=True)
        said.append(drift.line)
    print(fit_challenger(project, params, rows), flush=True)
    decision = decide(
        project, params, rows, found.data,
        group=group, to_try=waiting[1:], reason=reason,
    )  # fmt: skip
    carry_out(project, params, decision)
    return decision


def conclude(project: Project, params: Params, decisions: list[Decision]) -> None:
    """Leave the data without what was rejected, and the reports as the params ask."""
    promoted = any(decision.outcome == "PROMOTE" for decision in decisions)
    reason = f"retrain: {decisions[-1].line}"
    if params.retrain.full_run and promoted:
        run_pipeline(project, reason)
    elif decisions[-1].set_aside:
        refresh_data(project, reason)
    if params.retrain.commit:
        commit(project, decisions[-1].line)


# --- DVC's and git's side ---------------------------------------------------------------------


def _command(project: Project, *words: str) -> None:
    """Run dvc or git in the root; its last line of complaint becomes the error."""
    command = [sys.executable, "-m", *words] if words[0] == "dvc" else list(words)
    done = subprocess.run(
        command, cwd=project.root, env=environment(project), capture_output=True, text=True
    )
    if done.returncode:
        raise PamelaError(f"`{' '.join(words[:2])}` failed: {pipeline.complaint(done)}")
