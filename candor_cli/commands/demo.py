"""`candor demo`: the main job on a miniature model that is trained on the spot. Real inference, real grading, a real verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Option("--folder", help="Where the models, the document and the report go.")] = Path(
        ".candor/demo"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the training.")] = 0,
) -> None:
    """Train a miniature model, then gate it against itself under a warm system prompt.

    Nothing is downloaded and no key is needed. Exit code 0 when it ran, whatever the verdict.
    """
    from candor_cli.view.demo import run_demo

    raise typer.Exit(run_demo(folder, seed))
