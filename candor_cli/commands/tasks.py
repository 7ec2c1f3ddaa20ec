"""`candor tasks`: what can be asked."""

from __future__ import annotations

from typing import Annotated

import typer

from candor_cli.options import JsonOption

app = typer.Typer(help="Built-in tasks and loaders.", no_args_is_help=True)


@app.command("list")
def list_tasks(as_json: JsonOption = False) -> None:
    """List the built-in tasks and the loaders of public datasets."""
    from services.orchestrator.domain.tasks.catalog import CATALOG

    if as_json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(entry) for entry in CATALOG], indent=2, ensure_ascii=False))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "items", "description", "hub", box=box.SIMPLE_HEAD)
    for entry in CATALOG:
        table.add_row(entry.name, f"{entry.items:,}" if entry.items else "–", entry.description, entry.hub or "–")
    Console().print(table)
    print(
        "Your own questions: tasks: [{path: my.jsonl}] with id, question, answer, false_answer (csv, json, jsonl, parquet)."
    )


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A built-in task.", show_default=False)],
    item: Annotated[str, typer.Option("--item", help="Show the prompts of this item in every cell.")] = "",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Items to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show items of a built-in task, or every prompt of one item."""
    from candor_cli.view.items import show_items, show_prompts
    from services.orchestrator.domain.tasks import load_built_in

    task = load_built_in(name)
    if item:
        show_prompts(task, item, as_json=as_json)
    else:
        show_items(task, count, as_json=as_json)
