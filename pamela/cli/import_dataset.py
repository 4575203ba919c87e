"""``pamela import KIND SRC --name NAME``: a dataset in, checked, recorded and tracked by DVC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from pamela.cli.tracking import require_dvc, track_with_dvc
from pamela.core.errors import PamelaError, require
from pamela.core.paths import Project

if TYPE_CHECKING:
    from pamela.data.importing.options import TableOptions
    from pamela.data.importing.summary import ImportSummary


class ImportCommand(TyperCommand):
    """The command, whose help ends with the files and columns of every kind."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the usual help, then the kinds."""
        super().format_help(ctx, formatter)
        formatter.write(kinds_text())


def kinds_text() -> str:
    """Return what each kind of dataset consists of, at most 80 columns wide."""
    from pamela.data.formats import FORMATS
    from pamela.data.importing import label_studio, preferences
    from pamela.data.importing.dataset import LABEL_STUDIO

    columns = {kind: form.columns for kind, form in FORMATS.items()}
    columns[LABEL_STUDIO] = label_studio.COLUMNS
    columns |= {kind: release.columns for kind, release in preferences.KINDS.items()}
    lines = ["Kinds: files and columns"]
    for kind, text in columns.items():
        lines += ["", kind, *(f" {line}".rstrip() for line in text.strip().splitlines())]
    return "\n".join(lines) + "\n"


def import_command(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="What it is: one of the kinds listed below.")
    ],
    src: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="Its folder. For pamela also the release's zip, or hf://OWNER/NAME@REVISION; "
            "for tables also the file of ratings; for label-studio the export; for pick-a-pic, "
            "hpd and image-reward also one of its files.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Its name under data/raw/.")],
    link: Annotated[
        bool, typer.Option("--link", help="Hard links instead of copies (one file system).")
    ] = False,
    move: Annotated[bool, typer.Option("--move", help="Move the files out of SRC.")] = False,
    use: Annotated[
        bool, typer.Option("--use", help="Name it in params.yaml: ingest.datasets: [NAME].")
    ] = False,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="With --use: set embed.encoder too.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would come in; write nothing.")
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=THEIRS,...",
            help="Tables: what your columns are, such as rating=score,users.user_id=id.",
        ),
    ] = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="Tables: the ratings have one column a rater.")
    ] = False,
    drop: Annotated[
        str | None, typer.Option("--drop", metavar="COLUMN,...", help="Tables: leave columns out.")
    ] = None,
    demographics: Annotated[
        str | None,
        typer.Option(
            "--demographics",
            metavar="COLUMN,...",
            help="Tables: columns of the ratings that say something of the user.",
        ),
    ] = None,
    separator: Annotated[
        str | None, typer.Option("--separator", help="Tables: between the cells, such as ';'.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Tables: of the text, such as latin-1.")
    ] = None,
    decimal_comma: Annotated[
        bool, typer.Option("--decimal-comma", help="Tables: 4,5 is a number.")
    ] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale", metavar="LOWEST,HIGHEST", help="Tables: where no dataset.yaml says it."
        ),
    ] = None,
    repeats: Annotated[
        str | None,
        typer.Option(
            "--repeats",
            metavar="MODE",
            help="Tables: several ratings of one picture by one person are measures, of which "
            "mean, first, last or all are learned.",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures", help="Tables: a folder to look for pictures in, by the end of the path."
        ),
    ] = None,
) -> None:
    """Bring a dataset to data/raw/NAME, checked, and track it with DVC."""
    from pamela.data.importing import options as given
    from pamela.data.repeats import parse_repeats

    if link and move:
        raise PamelaError("say either --link or --move")
    if encoder and not use:
        raise PamelaError("--encoder goes with --use, which sets params.yaml")
    options = given.TableOptions(
        columns=given.parse_columns(columns or []),
        wide=wide,
        drop=given.parse_names(drop),
        demographics=given.parse_names(demographics),
        separator=given.parse_separator(separator),
        encoding=given.parse_encoding(encoding),
        decimal_comma=decimal_comma,
        scale=given.parse_scale(scale),
        repeats=parse_repeats(repeats),
        pictures=pictures,
    )
    project = Project.here()
    if dry_run:
        _say_what_would_come(project, kind, src, name, options)
        return
    how = "link" if link else "move" if move else "copy"
    _bring(project, kind, src, name, how, options, _changes(name, encoder) if use else None)


def _changes(name: str, encoder: str | None) -> dict[str, Any]:
    """Return the params that --use sets."""
    return {"ingest.datasets": [name], **({"embed.encoder": encoder} if encoder else {})}


def _say_what_would_come(
    project: Project, kind: str, src: str, name: str, options: TableOptions
) -> None:
    from pamela.data.importing.dataset import preview
    from pamela.params import load_params
    from pamela.validation.preview import check_tables, describe

    require("great_expectations", "pamela import --dry-run")
    params = load_params(project.params_file).validate_
    with preview(project, kind, src, name, options) as loaded:
        summary = loaded.summary(f"{project.relative(project.raw / name)} (nothing is written)")
        results = check_tables(project, loaded.tables, loaded.root, params)
    typer.echo(str(summary))
    typer.echo("What validate would say:")
    for line in describe(results, params.max_quarantined_share):
        typer.echo(f"  {line}")


def _bring(
    project: Project,
    kind: str,
    src: str,
    name: str,
    how: Any,
    options: TableOptions,
    changes: dict[str, Any] | None,
) -> None:
    from pamela.cli.edit_params import set_params
    from pamela.data.importing.dataset import import_dataset
    from pamela.params import load_params

    require("dvc", "pamela import")
    params = load_params(project.params_file)  # before anything is brought
    require_dvc(project)
    summary = import_dataset(
        project, kind, src, name, how, options, lambda folder: track_with_dvc(project, folder)
    )
    typer.echo(str(summary))
    _warn_of_validate(summary, params.validate_.max_quarantined_share)
    if changes is None:
        typer.echo(
            f"Next, in params.yaml: `ingest.datasets: [{name}]` and `embed.encoder`; then "
            "`dvc repro`"
        )
        return
    set_params(project.params_file, changes)
    said = ", ".join(f"{key}: {value}".replace("'", "") for key, value in changes.items())
    typer.echo(f"params.yaml now has {said}; next: `dvc repro`")


def _warn_of_validate(summary: ImportSummary, allowed: float) -> None:
    if summary.faulty_share > allowed:
        typer.echo(
            f"WARNING: {summary.faulty_share:.1%} of the rows are faulty, more than "
            f"validate.max_quarantined_share {allowed:g}: `dvc repro` will stop at validate"
        )
