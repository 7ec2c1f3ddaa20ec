"""`candor plan DOCUMENT`: what a run would ask and cost, and whether it can conclude, before anything is spent."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor_cli.options import (
    JsonOption,
    Remote,
    StateOption,
    reaches,
)
from chassis.errors import CandorError, ExitCode

if TYPE_CHECKING:
    from candor.orchestrator.v1 import orchestrator_pb2

    from candor_cli.client import Orchestrator
    from candor_cli.document import Document


@reaches
def plan(
    document: Annotated[Path, typer.Argument(help="Evaluation document (YAML).", show_default=False)],
    limit: Annotated[int, typer.Option("--limit", min=0, help="Plan for N items; 0 plans for all.")] = 0,
    pilot: Annotated[
        bool,
        typer.Option("--pilot", help="Ask the baseline for 20 replies to see what the deterministic grader decides."),
    ] = False,
    earlier: Annotated[
        str,
        typer.Option(
            "--earlier", metavar="ID", help="Plan with what this evaluation measured; `latest` is the newest."
        ),
    ] = "",
    state: StateOption = None,
    *,
    remote: Remote,
    as_json: JsonOption = False,
) -> None:
    """Say what a run would ask and cost, and whether it can conclude. Exit code 78 when it cannot."""
    from candor_cli.document import read_document
    from candor_cli.session import run

    found = read_document(document)
    how = _How(limit, pilot, earlier)
    result = run(_plan(found, remote, state or document.parent / ".candor", how))
    if as_json:
        from google.protobuf import json_format

        print(
            json_format.MessageToJson(
                result, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        )
    else:
        from candor_cli.view.plan import show_plan

        show_plan(result)
    if result.gates and not result.can_conclude:
        raise typer.Exit(int(ExitCode.BAD_DOCUMENT))


@dataclass(frozen=True, slots=True)
class _How:
    limit: int
    pilot: bool
    earlier: str


async def _plan(document: Document, remote: Remote, state: Path, how: _How) -> orchestrator_pb2.Plan:
    from candor_cli.session import orchestrator

    async with orchestrator(remote, state, makes_arms=document.makes_arms) as client:
        if how.earlier:
            await _learn(document, client, how.earlier)
        try:
            await client.upload_tasks(document.spec)
            if remote.target:
                await client.upload_conversations(document.spec)
            return await client.plan(document.spec, pilot=how.pilot, limit=how.limit)
        except CandorError as error:
            raise document.located(error) from error


async def _learn(document: Document, client: Orchestrator, evaluation: str) -> None:
    """Take what an evaluation measured into the document; what the document says itself stays."""
    from candor_cli.earlier import line, measured

    planning = measured(await client.find(evaluation))
    planning.MergeFrom(document.spec.planning)
    document.spec.planning.CopyFrom(planning)
    print(f"Planned with this; to evaluate with it too, write it into the document:\n{line(planning)}", file=sys.stderr)
