"""``pamela study close``: the end of a study."""

from __future__ import annotations

from typing import Annotated

import typer

from pamela.cli.study.serve import NAME_HELP
from pamela.core.paths import Project


def close_command(name: Annotated[str, typer.Option("--name", help=NAME_HELP)]) -> None:
    """End a study: what people gave who stopped before the end goes into data/inbox/, too.

    It is not served again. A second time delivers nothing new.
    """
    project = Project.here()
    from pamela.study.closing import close_study

    done = close_study(project, name)
    inbox = project.relative(done.inbox)
    for batch in done.batches:
        print(f"{inbox}/{batch}")
    said = f"{len(done.batches)} delivered" if done.batches else "nothing was left to deliver"
    if done.withdrawn:
        said += f"; withdrawn and left out: {len(done.withdrawn)}"
    print(f"study {name} is closed: {said}")
