"""``pamela steer --prompt P --user U``: rewrite a prompt until a person likes its picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pamela.cli.model import CHAMPION_URI, ModelOption, load_reward, relative

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from pamela.serving.steering.progress import Progress
    from pamela.serving.steering.result import Steered

OF_PARAMS: Final = "of params.yaml"
INTERRUPTED: Final = 130  # exit status after Ctrl-C


def steer_command(
    prompt: Annotated[str, typer.Option(help="The prompt to begin with.")],
    user: Annotated[
        str | None,
        typer.Option(
            help="dataset/user, bare where unique, or who was adapted to; none: the population."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often it is rewritten.")] = 5,
    variants: Annotated[int, typer.Option(min=1, help="How many variants each time.")] = 20,
    generator: Annotated[
        str | None, typer.Option(help="What draws, as steer.generator.", show_default=OF_PARAMS)
    ] = None,
    rewriter: Annotated[
        str | None, typer.Option(help="What rewrites, as steer.rewriter.", show_default=OF_PARAMS)
    ] = None,
    penalty: Annotated[
        float, typer.Option(min=0.0, help="Standard deviations taken off a predicted rating.")
    ] = 0.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of pictures and variants.", show_default=OF_PARAMS)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Whose population, without a user and with several datasets.")
    ] = None,
    model: ModelOption = CHAMPION_URI,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of this run; by default one below steering/."),
    ] = None,
    track: Annotated[bool, typer.Option(help="Show the run in MLflow.")] = True,
) -> None:
    """Rewrite a prompt until a person is expected to like its picture; what was drawn is kept."""
    from pamela.reporting.presentation.terminal import PlainConsole

    reward = load_reward(model)
    with _Display(PlainConsole(stderr=True)) as display:
        try:
            steered = reward.steer(
                user=user,
                prompt=prompt,
                rounds=rounds,
                variants=variants,
                generator=generator,
                rewriter=rewriter,
                penalty=penalty,
                seed=seed,
                dataset=dataset,
                folder=out,
                track=track,
                listener=display.show,
            )
        except KeyboardInterrupt:
            display.close()
            print(f"stopped{display.where}: the same command goes on from there", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
    if sys.stdout.isatty():
        print_steered(steered, user, PlainConsole())
    else:
        typer.echo(json.dumps(_row(steered), ensure_ascii=False))


class _Display:
    """A line for each round that has ended and, on a terminal, a bar for all pictures."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        self._now: Progress | None = None

    def __enter__(self) -> _Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def where(self) -> str:
        """Where it was stopped."""
        now = self._now
        return f" in round {now.round} of {now.rounds} ({relative(now.folder)})" if now else ""

    def show(self, now: Progress) -> None:
        """Show what is told."""
        self._now = now
        if now.finished:
            what = f"round {now.round} of {now.rounds}: best so far" if now.round else "original:"
            self._console.print(f"{what} {now.best:.2f}")
        if not self._console.is_terminal:
            return
        if self._bar is None:
            self._bar = self._started(now.total)
        said = "" if now.best is None else f", best so far {now.best:.2f}"
        label = f"round {now.round} of {now.rounds}{said}"
        self._bar.update(self._bar.task_ids[0], completed=now.done, description=label)

    def _started(self, total: int) -> Bar:
        from rich import progress as bars

        bar = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(bar_width=24),
            bars.MofNCompleteColumn(),
            bars.TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        bar.add_task("", total=total)
        bar.start()
        return bar

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def print_steered(steered: Steered, user: str | None, console: Console) -> None:
    """Print the path of prompts, what each changed, and where the pictures lie."""
    from pamela.reporting.presentation.terminal import PlainTable

    score = steered.score
    table = PlainTable(
        f"{user or 'population'} ({score.source}) · {score.model_version}", title_justify="left"
    )
    table.add_column("round", justify="right")
    for name in ("rating", "std", "percentile"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("what changed", overflow="fold")
    for step in steered.path:
        one = step.score
        table.add_row(
            str(step.round), f"{one.rating:.2f}", f"{one.std:.2f}", f"{one.percentile:.0f}",
            "; ".join(step.changes) or ("original" if step.round == 0 else "other words"),
        )  # fmt: skip
    console.print(table)
    console.print(f"best prompt: {steered.prompt}")
    console.print(
        f"best picture: {relative(steered.picture)}; all of it: {relative(steered.folder)}"
    )
    console.print(f"{steered.asked} pictures asked for, {steered.drawn} drawn now")


def _row(steered: Steered) -> dict[str, Any]:
    counts = {"asked": steered.asked, "drawn": steered.drawn, "run_id": steered.run_id}
    return {"folder": relative(steered.folder), **steered.to_dict(), **counts}
