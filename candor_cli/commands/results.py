"""`candor results`: what an evaluation found, as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor_cli.names import LATEST
from candor_cli.options import (
    Remote,
    StateOption,
    reaches,
)

if TYPE_CHECKING:
    from candor.orchestrator.v1 import orchestrator_pb2

app = typer.Typer(help="Reports, replies and grades of evaluations.", no_args_is_help=True)


@app.command("export")
@reaches
def export(
    evaluation: Annotated[str, typer.Argument(metavar="[ID]", help="Evaluation id; default: the newest.")] = LATEST,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A table (.csv, .jsonl, .parquet), or a folder for the whole report.")
    ] = Path("responses.csv"),
    arm: Annotated[str, typer.Option("--arm", help="Replies of this arm only.")] = "",
    state: StateOption = None,
    *,
    remote: Remote,
) -> None:
    """Write the replies and grades of an evaluation as one table, or its report files into a folder."""
    from candor_cli.session import run

    print(run(_export(remote, state or Path(".candor"), evaluation, out, arm)))


async def _export(remote: Remote, state: Path, evaluation: str, out: Path, arm: str) -> str:
    from candor_cli.session import orchestrator
    from candor_cli.tables import write_rows

    async with orchestrator(remote, state) as client:
        name = (await client.find(evaluation)).name
        if not out.suffix:
            files = await client.save_report(name, out)
            return f"{len(files)} files: {out}"
        records = [record async for record in client.responses(name, arm)]
    write_rows(out, list(map(_row, records)))
    return f"{len(records):,} rows: {out}"


def _row(record: orchestrator_pb2.ResponseRecord) -> dict[str, str]:
    grade = record.grade
    adopts = str(grade.adopts_belief).lower() if grade.HasField("adopts_belief") else ""
    return {
        "arm": record.arm,
        "task": record.task,
        "item": record.item,
        "context": record.context,
        "belief": record.belief,
        "repeat": str(record.repeat),
        "prompt": "\n\n".join(_turns(record)),
        "reply": record.reply,
        "finish_reason": record.finish_reason,
        "verdict": grade.verdict,
        "adopts_belief": adopts,
        "decided_by": grade.decided_by,
        "rule": grade.rule,
        "final_claim": grade.final_claim,
        "error": record.error,
    }


def _turns(record: orchestrator_pb2.ResponseRecord) -> Iterator[str]:
    for message in record.prompt:
        yield message.content if len(record.prompt) == 1 else f"{message.role}: {message.content}"
