"""`candor calibrate judge FILE`: how far a judge agrees with people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from candor_cli.options import (
    JsonOption,
    Remote,
    StateOption,
    reaches,
)
from chassis.errors import CandorError, Reason

app = typer.Typer(help="Measure the judge against human labels.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `judge` a word of its own: there will be more to calibrate."""


@app.command("judge")
@reaches
def judge(
    labelled: Annotated[
        Path,
        typer.Argument(
            help="Table with question, answer, reply, label (correct, incorrect, refusal); optional false_answer, belief, arm.",
            show_default=False,
        ),
    ],
    judge_url: Annotated[str, typer.Option("--judge-url", help="OpenAI-compatible URL of the judge.")] = "",
    judge_model: Annotated[str, typer.Option("--judge-model", help="Model name of the judge.")] = "",
    judge_key_env: Annotated[
        str, typer.Option("--judge-key-env", help="Environment variable with the judge's key.")
    ] = "",
    state: StateOption = None,
    *,
    remote: Remote,
    as_json: JsonOption = False,
) -> None:
    """Ask the judge about human-labelled replies; its error, by arm where given, then counts in every gate it judges."""
    from candor.orchestrator.v1 import evaluation_pb2, orchestrator_pb2

    from candor_cli.commands.grade import case_of
    from candor_cli.judge import judge_from_options
    from candor_cli.session import orchestrator as connected
    from candor_cli.session import run
    from candor_cli.tables import read_rows, require

    found = judge_from_options(judge_url, judge_model, judge_key_env)
    if found is None:
        raise CandorError(Reason.INVALID_REQUEST, "name the judge with --judge-url and --judge-model")
    rows = read_rows(labelled)
    require(labelled, rows, ("question", "answer", "reply", "label"))
    request = orchestrator_pb2.CalibrateJudgeRequest(
        judge=evaluation_pb2.JudgeSource(endpoint=found.endpoint),
        answers=[
            orchestrator_pb2.LabelledAnswer(
                case=case_of(row), label=str(row["label"]).strip(), arm=str(row.get("arm") or "")
            )
            for row in rows
        ],
    )

    async def work() -> orchestrator_pb2.CalibrateJudgeResponse:
        async with connected(remote, state or Path(".candor")) as client:
            return await client.calibrate(request)

    response = run(work())
    if as_json:
        print(response.calibration_json)
        return
    from candor_cli.view.calibration import show_calibration

    show_calibration(response)
