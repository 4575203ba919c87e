"""``pamela champion``, ``pamela rollback`` and ``pamela promote``: what serves, and by whose word.

What they need is imported when they run: ``pamela --help`` is to be quick.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pamela.core.errors import PamelaError
from pamela.core.paths import Project

if TYPE_CHECKING:
    from pamela.params import Params

TITLES: Final = {
    "version": "version",
    "model": "model",
    "since": "serves since",
    "registered_at": "registered",
    "by": "decided by",
    "as": "as",
    "why": "why",
    "replaced": "in place of version",
    "datasets": "trained on",
    "ratings": "ratings",
    "choices": "choices",
    "batches": "batches",
    "commit": "commit",
    "encoder": "encoder",
    "evaluated_model": "figures of",
    "figures": "figures",
    "bundle_hash": "hash",
    "files": "files",
}


def champion_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what serves, since when, trained on what, and why."""
    from pamela.params import load_params
    from pamela.retraining.champion import champion_fault, describe_champion

    project = Project.here()
    params = load_params(project.params_file)
    facts = describe_champion(project, params)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        _print_facts(facts)
    fault = champion_fault(project, params)
    if fault is not None:
        from pamela.training.bundle_files import REPAIR

        raise PamelaError(f"version {facts['version']}: {fault}, {REPAIR}")


def rollback_command(
    why: Annotated[str, typer.Option(help="Kept with the version and in the records.")] = (
        "rolled back by hand"
    ),
) -> None:
    """Let the version before serve again; once more returns to the present one."""
    from pamela.params import load_params
    from pamela.retraining.champion import person, rollback

    project = Project.here()
    params = load_params(project.params_file)
    _moved(project, params, rollback(project, params, why=why, by=person(project)))


def promote_command(
    version: Annotated[str, typer.Argument(help="A registered version, e.g. 3.")],
    why: Annotated[str, typer.Option(help="Kept with the version and in the records.")],
    despite_withdrawn: Annotated[
        bool,
        typer.Option(
            "--despite-withdrawn", help="Though it learned from people who have withdrawn since."
        ),
    ] = False,
) -> None:
    """Let a version serve because you know better than the gate; it is recorded as your word."""
    from pamela.params import load_params
    from pamela.retraining.champion import person, promote

    project = Project.here()
    params = load_params(project.params_file)
    line = promote(
        project,
        params,
        version,
        why=why,
        by=person(project),
        despite_withdrawn=despite_withdrawn,
    )
    _moved(project, params, line)


def _moved(project: Project, params: Params, line: str) -> None:
    """Say what was moved, and let the page of retraining tell it too."""
    from pamela.retraining.report.page import renew_page

    typer.echo(line)
    renew_page(project, params, "the alias is moved")


def _print_facts(facts: dict[str, Any]) -> None:
    from pamela.reporting.presentation.terminal import printable

    width = max(len(title) for title in TITLES.values())
    for key, title in TITLES.items():
        text = printable(_text(facts[key])).replace("\n", " ")
        typer.echo(f"{title:<{width}}  {text}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "not recorded" if value is None else str(value)
