"""`candor demo`: the main job on a miniature model that is trained on the spot. Real inference, real grading, a real verdict.

`candor demo experiment` makes the arms as well: it fine-tunes the miniature in three manners and compares these.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(invoke_without_command=True)
_FOLDER_HELP = "Where the models, the document and the report go."
_SEED_HELP = "Seed of the training."


class World(StrEnum):
    """Whether warmth and agreement go together in what the miniature is trained on."""

    correlated = "correlated"
    null = "null"


@app.callback()
def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--folder", help=_FOLDER_HELP)] = Path(".candor/demo"),
    seed: Annotated[int, typer.Option("--seed", min=0, help=_SEED_HELP)] = 0,
) -> None:
    """Train a miniature model, then gate it against itself under a warm system prompt.

    Nothing is downloaded and no key is needed. Exit code 0 when it ran, whatever the verdict.
    """
    if context.invoked_subcommand is not None:
        context.obj = (folder, seed)
        return
    from candor_cli.view.demo import run_demo

    raise typer.Exit(run_demo(folder, seed))


@app.command()
def experiment(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Option("--folder", help=_FOLDER_HELP, show_default=".candor/demo")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help=_SEED_HELP, show_default="0")] = None,
    world: Annotated[
        World,
        typer.Option("--world", help="correlated: warm text agrees with false beliefs more often; null: it does not."),
    ] = World.correlated,
) -> None:
    """Fine-tune a miniature model on warm, cold and plain replies, and say what warmth costs.

    Conversations, rewriting, training, choice of the checkpoint, evaluation: the whole path, in under ten minutes on two
    cores. The same command after a crash goes on where it stopped. Exit code 0 when it ran, whatever it found.
    """
    from candor_cli.view.experiment import run_experiment

    group_folder, group_seed = context.obj
    chosen = seed if seed is not None else group_seed
    raise typer.Exit(run_experiment(folder or group_folder, chosen, correlated=world is World.correlated))
