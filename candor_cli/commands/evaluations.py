"""`candor evaluations`: what an orchestrator remembers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from candor_cli.names import LATEST, identifier, resource
from candor_cli.options import (
    JsonOption,
    Remote,
    StateOption,
    reaches,
)

if TYPE_CHECKING:
    from candor.orchestrator.v1 import orchestrator_pb2

    from candor_cli.client import Orchestrator

app = typer.Typer(help="List, show, cancel and delete evaluations.", no_args_is_help=True)
Result = TypeVar("Result")
NameOrLatest = Annotated[str, typer.Argument(metavar="[ID]", help="Evaluation id; default: the newest.")]
NameArgument = Annotated[str, typer.Argument(metavar="ID", help="Evaluation id.", show_default=False)]


@app.command("list")
@reaches
def list_evaluations(
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="Newest evaluations to list.")] = 20,
    state: StateOption = None,
    *,
    remote: Remote,
    as_json: JsonOption = False,
) -> None:
    """List evaluations, newest first."""
    page = _ask(remote, state, lambda client: client.newest(count))
    if as_json:
        _print_json(*page.evaluations)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    from chassis.text import plain

    # Ids are copied into other commands, also from a terminal that is narrow or none.
    table = Table(Column("id", no_wrap=True), "created", "name", "state", "verdict", "replies", box=box.SIMPLE_HEAD)
    for found in page.evaluations:
        table.add_row(
            identifier(found.name),
            found.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M"),
            plain(found.spec.name),
            _state(found, remote),
            found.verdict,
            f"{found.progress.responses_done:,} of {found.progress.responses_total:,}",
        )
    Console().print(table)


def _state(evaluation: orchestrator_pb2.Evaluation, remote: Remote) -> str:
    """Whoever lists a state folder by itself holds its lock, so nothing runs there: what has no end was broken off."""
    broken_off = not (remote.target or remote.ledger) and evaluation.state in {"PENDING", "RUNNING"}
    return "INTERRUPTED (give its document again)" if broken_off else evaluation.state


@app.command("get")
@reaches
def get(
    name: NameOrLatest = LATEST,
    state: StateOption = None,
    *,
    remote: Remote,
) -> None:
    """Show one evaluation as JSON."""
    _print_json(_ask(remote, state, lambda client: client.find(name)))


@app.command("show")
@reaches
def show(
    name: NameOrLatest = LATEST,
    events: Annotated[int, typer.Option("--events", "-n", min=1, max=500, help="Last events to show.")] = 10,
    state: StateOption = None,
    *,
    remote: Remote,
) -> None:
    """Show how an evaluation stands: verdict, reason and the last events, also when the pod that ran it is gone."""
    from candor_cli.view.evaluation import lines

    async def both(client: Orchestrator) -> tuple[orchestrator_pb2.Evaluation, list[orchestrator_pb2.EvaluationEvent]]:
        found = await client.find(name)
        return found, await client.last_events(found.name, events)

    found, history = _ask(remote, state, both)
    for line in lines(found, history, _state(found, remote)):
        print(line)


@app.command("cancel")
@reaches
def cancel(
    name: NameArgument,
    state: StateOption = None,
    *,
    remote: Remote,
) -> None:
    """Stop asking; what was answered stays."""
    found = _ask(remote, state, lambda client: client.cancel(resource(name)))
    print(f"{found.name}: {found.state}")


@app.command("delete")
@reaches
def delete(
    name: NameArgument,
    state: StateOption = None,
    *,
    remote: Remote,
) -> None:
    """Remove a finished or cancelled evaluation and the replies that only it owns."""
    _ask(remote, state, lambda client: client.delete(resource(name)))
    print(f"{resource(name)}: deleted")


def _ask(remote: Remote, state: Path | None, call: Callable[[Orchestrator], Awaitable[Result]]) -> Result:
    from candor_cli.session import orchestrator, run

    async def work() -> Result:
        async with orchestrator(remote, state or Path(".candor")) as client:
            return await call(client)

    return run(work())


def _print_json(*evaluations: orchestrator_pb2.Evaluation) -> None:
    import json

    from google.protobuf import json_format

    for found in evaluations:
        print(json.dumps(json_format.MessageToDict(found, preserving_proto_field_name=True), ensure_ascii=False))
