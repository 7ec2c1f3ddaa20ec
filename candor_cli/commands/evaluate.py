"""`candor evaluate DOCUMENT`: the main job, from a document to a verdict, an exit code and a report."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor_cli.names import resource
from candor_cli.options import (
    JsonOption,
    OrchestratorOption,
    Remote,
    StateOption,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    TokenFileOption,
)
from chassis.errors import CandorError, ExitCode, Reason

if TYPE_CHECKING:
    from candor.orchestrator.v1 import orchestrator_pb2

    from candor_cli.client import Orchestrator
    from candor_cli.document import Document

_VERDICT_CODES = {
    "PASS": ExitCode.PASS,
    "FAIL": ExitCode.FAIL,
    "INCONCLUSIVE": ExitCode.INCONCLUSIVE,
    "INVALID": ExitCode.INVALID,
    "NONE": ExitCode.PASS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the command line asked for."""

    document: Path
    remote: Remote
    state: Path
    out: Path
    resume: str = ""
    new: bool = False
    underpowered: bool = False
    limit: int = 0
    request_id: str = ""
    as_json: bool = False
    quiet: bool = False


def evaluate(
    document: Annotated[Path, typer.Argument(help="Evaluation document (YAML).", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder of the report. Default: NAME.results beside the document."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Ask only N items, a seeded and balanced subset; 0 asks all.")
    ] = 0,
    resume: Annotated[str, typer.Option("--resume", metavar="ID", help="Go on with this evaluation.")] = "",
    new: Annotated[bool, typer.Option("--new", help="Start anew although the last run is unfinished.")] = False,
    underpowered: Annotated[
        bool, typer.Option("--underpowered", help="Run although the plan says that no verdict can be reached.")
    ] = False,
    request_id: Annotated[
        str, typer.Option("--request-id", help="Two runs with one id are one evaluation; a restarted pod reattaches.")
    ] = "",
    state: StateOption = None,
    orchestrator: OrchestratorOption = "",
    token_file: TokenFileOption = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the verdict only.")] = False,
) -> None:
    """Ask both models, grade, and decide whether the candidate is more sycophantic.

    The same command after a crash goes on where it stopped. Exit codes: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID,
    64 usage, 70 internal error, 75 temporary failure (run it again), 78 bad document, 130 stopped.
    """
    job = Job(
        document=document,
        remote=Remote(orchestrator, token_file, tls_ca, tls_cert, tls_key),
        state=state or document.parent / ".candor",
        out=out or document.with_suffix(".results"),
        resume=resume,
        new=new,
        underpowered=underpowered,
        limit=limit,
        request_id=request_id,
        as_json=as_json,
        quiet=quiet,
    )
    raise typer.Exit(run_job(job))


def run_job(job: Job) -> int:
    """Run an evaluation from its document to its files; returns the exit code."""
    from candor_cli.document import read_document
    from candor_cli.session import run

    if job.resume and job.new:
        raise CandorError(Reason.INVALID_REQUEST, "--resume and --new exclude each other; give one")
    found = read_document(job.document)
    try:
        return run(_evaluate(job, found))
    except KeyboardInterrupt:
        where = "goes on at the orchestrator" if job.remote.target else "is kept"
        print(f"stopped; what was answered {where}, the same command goes on from here", file=sys.stderr)
        return int(ExitCode.CANCELLED)


async def _evaluate(job: Job, document: Document) -> int:
    from candor_cli.output import readable
    from candor_cli.session import orchestrator

    async with orchestrator(job.remote, job.state, makes_arms=document.makes_arms) as client:
        try:
            started = await _start(client, job, document)
            finished = await _follow(client, job, started)
        except CandorError as error:
            raise document.located(error) from error
        if finished.state != "SUCCEEDED":
            return _unfinished(finished)
        files = await client.save_report(finished.name, job.out)
    with readable():
        _show(job, finished, files)
    return int(_VERDICT_CODES[finished.verdict])


async def _start(client: Orchestrator, job: Job, document: Document) -> orchestrator_pb2.Evaluation:
    from candor.orchestrator.v1 import orchestrator_pb2

    await client.upload_tasks(document.spec)
    if job.remote.target:
        await client.upload_conversations(document.spec)
    request = orchestrator_pb2.CreateEvaluationRequest(
        spec=document.spec,
        request_id=job.request_id,
        resume="new" if job.new else "auto",
        resume_name=resource(job.resume),
        allow_underpowered=job.underpowered,
        limit=job.limit,
    )
    return await client.create(request)


async def _follow(client: Orchestrator, job: Job, started: orchestrator_pb2.Evaluation) -> orchestrator_pb2.Evaluation:
    """The evaluation at its end; what happens on the way is shown."""
    from rich.console import Console

    from candor_cli.view.progress import event_view

    with event_view(Console(stderr=True), quiet=job.quiet or job.as_json) as view:
        async for event in client.watch_attempt(started):
            view.show(event)
    return await client.get(started.name)


def _unfinished(evaluation: orchestrator_pb2.Evaluation) -> int:
    """Report an evaluation that ended without a verdict; returns the exit code."""
    if evaluation.state == "CANCELLED":
        print(f"{evaluation.name} was cancelled; the same command goes on from here", file=sys.stderr)
        return int(ExitCode.CANCELLED)
    reason = Reason.__members__.get(evaluation.failure_reason, Reason.INTERNAL)
    kept = "What was recorded is kept" if reason.name.startswith("LEDGER") else "Nothing that was answered is lost"
    again = f"\n{kept}; run the same command again." if reason.entry.retryable else ""
    raise CandorError(reason, f"{evaluation.reason}{again}")


def _show(job: Job, evaluation: orchestrator_pb2.Evaluation, files: list[Path]) -> None:
    if job.as_json:
        print(evaluation.verdict_json)
        return
    from rich.console import Console

    from candor_cli.view.verdict import show_verdict

    show_verdict(Console(), json.loads(evaluation.verdict_json))
    report = next((path for path in files if path.name == "report.html"), None)
    print(f"Report: {report or job.out}")
