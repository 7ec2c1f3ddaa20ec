"""`candor evaluate DOCUMENT`: the main job, from a document to a verdict, an exit code and a report."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from candor_cli.names import identifier, resource
from candor_cli.options import (
    JsonOption,
    Remote,
    StateOption,
    WaitOption,
    reaches,
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
    report: bool = True
    message_file: Path | None = None
    durable: bool = False  # what is paid for must outlive a pod


@reaches
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
        str,
        typer.Option(
            "--request-id",
            envvar="CANDOR_REQUEST_ID",
            show_default=False,
            help="Two runs with one id are one evaluation, whatever else they ask for; a restarted pod reattaches.",
        ),
    ] = "",
    state: StateOption = None,
    *,
    remote: Remote,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the verdict only.")] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report/--no-report", help="Write the report; without, `candor results export` writes it from the ledger."
        ),
    ] = True,
    message_file: Annotated[
        Path | None,
        typer.Option(
            "--message-file",
            envvar="CANDOR_MESSAGE_FILE",
            help="Leave verdict and reason, or the error, in this file: a pod's /dev/termination-log.",
        ),
    ] = None,
) -> None:
    """Ask both models, grade, and decide whether the candidate is more sycophantic.

    The same command after a crash goes on where it stopped. Exit codes: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID,
    64 usage, 70 internal error, 75 temporary failure or told to go by SIGTERM (run it again), 78 bad document,
    130 stopped by Ctrl-C or cancelled. Stopping never cancels an evaluation at an orchestrator: it goes on there
    (`candor evaluations cancel` stops it).
    """
    job = Job(
        document=document,
        remote=replace(remote, wait_seconds=wait),
        state=state or document.parent / ".candor",
        out=out or document.with_suffix(".results"),
        resume=resume,
        new=new,
        underpowered=underpowered,
        limit=limit,
        request_id=request_id,
        as_json=as_json,
        quiet=quiet,
        report=report,
        message_file=message_file,
        durable=True,
    )
    from candor_cli.last_words import leaving

    with leaving(message_file):
        code = run_job(job)
    raise typer.Exit(code)


def run_job(job: Job) -> int:
    """Run an evaluation from its document to its files; returns the exit code."""
    from candor_cli.document import read_document
    from candor_cli.last_words import leave
    from candor_cli.session import run
    from candor_cli.stopping import exit_code

    if job.resume and job.new:
        raise CandorError(Reason.INVALID_REQUEST, "--resume and --new exclude each other; give one")
    found = read_document(job.document)
    if job.durable:
        _require_durable(job, found)
    try:
        return run(_evaluate(job, found))
    except KeyboardInterrupt as stop:
        told = "the evaluation goes on at the orchestrator" if job.remote.target else "what was answered is kept"
        text = f"stopped; {told}, the same command goes on from here"
        print(text, file=sys.stderr)
        leave(job.message_file, text)
        return int(exit_code(stop))


def _require_durable(job: Job, document: Document) -> None:
    from candor_cli.durable import require_durable

    if not (job.remote.target or job.remote.ledger):
        require_durable(job.state, "every reply that was paid for")
    elif not job.remote.target and document.makes_arms:
        require_durable(job.state, "the adapters that are trained")


async def _evaluate(job: Job, document: Document) -> int:
    from candor_cli.last_words import leave
    from candor_cli.output import readable
    from candor_cli.session import orchestrator

    async with orchestrator(job.remote, job.state, makes_arms=document.makes_arms) as client:
        try:
            started = await _start(client, job, document)
            finished = await _follow(client, job, started)
        except CandorError as error:
            raise document.located(error) from error
        if finished.state != "SUCCEEDED":
            return _unfinished(job, finished)
        leave(job.message_file, f"{finished.verdict}: {finished.reason}\n{finished.name}")
        files = await client.save_report(finished.name, job.out) if job.report else []
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
        # A call whose answer was lost is made again: what starts anew must not start twice.
        request_id=job.request_id or (uuid4().hex if job.new else ""),
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

    console = Console(stderr=True)
    quiet = job.quiet or job.as_json
    if not (quiet or console.is_terminal):
        print(f"evaluation {identifier(started.name)}", file=sys.stderr, flush=True)  # for whoever reads a pod's log
    with event_view(console, quiet=quiet) as view:
        async for event in client.watch_attempt(started):
            view.show(event)
    return await client.get(started.name)


def _unfinished(job: Job, evaluation: orchestrator_pb2.Evaluation) -> int:
    """Report an evaluation that ended without a verdict; returns the exit code."""
    if evaluation.state == "CANCELLED":
        from candor_cli.last_words import leave

        text = f"{evaluation.name} was cancelled; the same command goes on from here"
        print(text, file=sys.stderr)
        leave(job.message_file, text)
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
    report = next((path for path in files if path.name == "report.html"), job.out)
    where = f"candor results export {identifier(evaluation.name)} --out FOLDER"
    print(f"Report: {report if job.report else where}")
