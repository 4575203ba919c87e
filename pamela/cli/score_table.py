"""``pamela score-table IN.parquet OUT.parquet``: scores for every row of a table of any size."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pamela.cli.model import CHAMPION_URI, ModelOption, load_reward

if TYPE_CHECKING:
    from pamela.compute.runner import Runner
    from pamela.serving.bulk.job import ScoredTable

SET_APART: Final = 3  # exit status: the result is there, and some rows are not in it
MOST_REASONS: Final = 3


def score_table_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="A Parquet file, a folder of some, or s3://...: user_id, image_id."
        ),
    ],
    out: Annotated[str, typer.Argument(metavar="OUT.parquet", help="The result; s3://... too.")],
    percentile: Annotated[
        bool, typer.Option("--percentile", help="Add the column percentile.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; by default one a core, 4 at most.")
    ] = None,
    model: ModelOption = CHAMPION_URI,
) -> None:
    """Score a table of users and known pictures; a killed run goes on when it is started again.

    Rows that cannot be scored are set apart in OUT.rejected.parquet, and the exit status is 3.
    In a project it is done where `compute` of params.yaml says: here, or on a cluster.
    """
    reward = load_reward(model)
    with _runner() as runner:
        done = reward.score_table(
            source, out, percentile=percentile, overwrite=overwrite, workers=workers, runner=runner
        )
    typer.echo(summary(done))
    if done.rejected:
        raise typer.Exit(SET_APART)


def _runner() -> AbstractContextManager[Runner | None]:
    """Return the runner of the project here; none without a project."""
    from pamela.compute.opening import open_runner
    from pamela.params import load_params
    from pamela.serving.loading import project_here

    project = project_here()
    return open_runner(load_params(project.params_file).compute) if project else nullcontext()


def summary(done: ScoredTable) -> str:
    """Return in one line what became of a table."""
    text = f"{done.out}: {done.scored:,} of {done.rows:,} rows scored"
    if done.resumed:
        text += f" ({done.resumed:,} by an earlier run)"
    if not done.rejected:
        return text
    first = list(done.reasons.items())[:MOST_REASONS]
    why = ", ".join(f"{reason} {count:,}" for reason, count in first)
    more = ", ..." if len(done.reasons) > len(first) else ""
    return f"{text}, {done.rejected:,} set apart in {done.rejected_file} ({why}{more})"
