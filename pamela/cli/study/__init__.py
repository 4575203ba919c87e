"""``pamela study``: a study with people, served, evaluated and closed."""

from __future__ import annotations

import typer

from pamela.cli.study.close import close_command
from pamela.cli.study.report import report_command
from pamela.cli.study.serve import serve_command

study_app = typer.Typer(
    help="A study with people: they rate, are steered for, and choose blindly between pictures.",
    no_args_is_help=True,
)
study_app.command("serve")(serve_command)
study_app.command("report")(report_command)
study_app.command("close")(close_command)
