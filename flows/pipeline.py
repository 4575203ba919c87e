"""Run the whole pipeline against one Prefect server: ``python -m flows.pipeline`` (`make repro`).

``dvc repro`` decides what runs; this starts one server on a free loopback port for all stages,
and none where there is nothing to do. Nothing stays running afterwards. With ``PREFECT_API_URL``
set, that server is used instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from flows import family
from flows.command import ROOM, ends_in_a_line, stop_when_asked, take_no_words, temporary_folder
from flows.environment import environment, refuse_shared_secrets, require_given_server
from flows.server import STOP_TIMEOUT_S, server
from pamela.core.errors import PamelaError
from pamela.core.files import tells_full
from pamela.core.paths import Project
from pamela.core.strict_yaml import read_yaml
from pamela.params import load_params, tracking_uri
from pamela.registry.reachable import require_server

FAULT = "ERROR: "  # so DVC begins the line that counts; advice follows
OTHER_GRAPH = "/dvc.yaml:"  # in the names of stages that the root's dvc.yaml does not hold


def stale_stages(project: Project) -> list[str]:
    """Return the names of the stages that `dvc status` says must run (directly).

    `dvc status` looks at every dvc.yaml below the root; what `dvc repro` runs is the root's own.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"],
        cwd=project.root, env=environment(project), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0 and not done.stdout.strip():
        raise PamelaError(f"`dvc status` failed: {complaint(done)}")
    return sorted(name for name in json.loads(done.stdout or "{}") if OTHER_GRAPH not in name)


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return in a line why a command of DVC's or git's failed."""
    if done.returncode < 0:
        return f"it was killed ({signal.Signals(-done.returncode).name}); run this command again"
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if any(tells_full(line) for line in said):
        return f"no space is left in the project or in {temporary_folder()}; {ROOM}"
    named = [line for line in said if line.startswith(FAULT)]
    return (named or said or ["no message"])[-1].removeprefix(FAULT)


def run(project: Project, *, reason: str, dvc_args: list[str] | None = None) -> list[str]:
    """Run ``dvc repro`` and publish; return the names of the stages that ran or were restored.

    While stages run, MLflow shows them: `repro` and `publish` under one run of the pipeline.
    """
    require_given_server()
    params = load_params(project.params_file)
    require_server(tracking_uri(params, project.root))
    stale = stale_stages(project)
    if not dvc_args and not stale:
        publish(project, reason)
        return []
    from pamela.registry.tracking.live import shown_live

    with shown_live(project, params, reason) as session:
        ran = repro(project, stale, reason=reason, dvc_args=dvc_args, PAMELA_SESSION=session)
        publish(project, reason, PAMELA_SESSION=session)
    return ran


def repro(
    project: Project,
    stale: list[str] | None = None,
    *,
    reason: str,
    dvc_args: list[str] | None = None,
    **env: str,
) -> list[str]:
    """Run ``dvc repro`` and return the names of the stages that ran or were restored.

    One Prefect server serves all stages; none is started when nothing is stale.

    Parameters
    ----------
    stale : from `stale_stages`, where the caller has asked already.
    reason : why it runs; MLflow runs carry it as a tag.
    dvc_args : further arguments of ``dvc repro``.
    env : further variables for the stages.

    Raises
    ------
    PamelaError
        When a stage fails, its own message standing above on stderr; or when the tracking server,
        which the results go to at the end, does not answer.
    """
    require_given_server()
    require_server(tracking_uri(load_params(project.params_file), project.root))
    before = _lock(project)
    stale = stale_stages(project) if stale is None else stale
    if not dvc_args and not stale:
        return []
    with server(project) as url:
        status = _run_to_the_end(
            [sys.executable, "-m", "dvc", "repro", *(dvc_args or [])],
            project,
            environment(project, PREFECT_API_URL=url, PAMELA_REASON=reason, **env),
        )
    if status != 0:
        raise PamelaError("the pipeline stopped: the failing stage's message stands above")
    after = _lock(project)
    return [name for name in after if name in stale or after[name] != before.get(name)]


def _run_to_the_end(command: list[str], project: Project, env: dict[str, str]) -> int:
    """Run `command`; if this process is stopped meanwhile, so is everything it started."""
    process = subprocess.Popen(command, cwd=project.root, env=env)
    try:
        return process.wait()
    except BaseException:
        import psutil

        members: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):  # Ctrl-C may have ended them already
            started = psutil.Process(process.pid)
            members = [started, *started.children(recursive=True)]
        for member in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.terminate()
        psutil.wait_procs(members, timeout=STOP_TIMEOUT_S)  # then `flows.family` kills them
        raise


def _lock(project: Project) -> dict[str, object]:
    path = project.root / "dvc.lock"
    if not path.is_file():
        return {}
    stages: dict[str, object] = (read_yaml(path) or {}).get("stages", {})
    return stages


def publish(project: Project, reason: str, **env: str) -> None:
    """Publish to MLflow and register; a deleted ``mlflow.db`` heals here. Idempotent."""
    subprocess.run(
        [sys.executable, "-m", "flows.publish"],
        cwd=project.root,
        env=environment(project, PAMELA_REASON=reason, **env),
        check=True,
    )


def main() -> None:
    """Run everything, publish, and print the summary."""
    if {"-h", "--help"} & set(sys.argv[1:]):  # other words are for `dvc repro`
        take_no_words(["--help"])
    reason = os.environ.get("PAMELA_REASON", "make repro")
    started = time.monotonic()
    stop_when_asked()  # unwind: stop the server as well
    with ends_in_a_line():
        project = Project.here()
        family.lead(project)
        refuse_shared_secrets(project)
        params = load_params(project.params_file)
        try:
            ran = run(project, reason=reason, dvc_args=sys.argv[1:])
        except subprocess.CalledProcessError:
            raise PamelaError("publishing to MLflow failed: its message stands above") from None
        from pamela.reporting.terminal_summary import print_summary

        print_summary(project)
    print(f"\n{len(ran)} stages in {time.monotonic() - started:.0f} s. Look further:")
    print("  reports/index.html   the report, one file; reports/data.html the data,")
    print("                       reports/retraining.html what became champion and why")
    print("  make ui              MLflow and Prefect in the browser")
    dataset = params.ingest.datasets[0]
    print(f"  pamela score --user {dataset}/<id> --prompt '...' picture.png")


if __name__ == "__main__":
    main()
