"""The model that a command asks for, and the options of the commands that answer with pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

if TYPE_CHECKING:
    from pamela.serving.api import Reward

CHAMPION_URI: Final = "models:/pamela@champion"
ModelOption: TypeAlias = Annotated[
    str, typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION or a bundle folder.")
]
NumberOption: TypeAlias = Annotated[
    int, typer.Option("-n", "--number", min=1, help="How many pictures.")
]
CatalogOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Whose pictures, without a user and with several datasets.")
]


def load_reward(uri: str) -> Reward:
    """Load a model for the few small products of matrices that a command takes.

    OpenBLAS's threads wait for the next product at full speed, for longer than these take: here
    they sleep at once. Read when numpy is first loaded.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # 2^4 cycles; 2^26 by default
    import pamela

    return pamela.load(uri)


def relative(file: Path | None) -> str | None:
    """Return where a picture lies, from here; None where that is not known."""
    return None if file is None else os.path.relpath(file)
