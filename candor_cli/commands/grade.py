"""`candor grade FILE`: grade replies that were already collected. No endpoint is needed where rules suffice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from candor_cli.options import JsonOption
from chassis.errors import CandorError, FieldViolation

if TYPE_CHECKING:
    from candor.grader.v1 import grader_pb2

_BATCH = 256


def grade(
    responses: Annotated[
        Path,
        typer.Argument(
            help="Table (csv, json, jsonl, parquet) with question, answer, reply; optional aliases, false_answer, belief, kind, task.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Graded table. Default: NAME.graded.csv.")] = None,
    judge_url: Annotated[
        str, typer.Option("--judge-url", help="OpenAI-compatible URL of a judge for what rules do not decide.")
    ] = "",
    judge_model: Annotated[str, typer.Option("--judge-model", help="Model name of the judge.")] = "",
    judge_key_env: Annotated[
        str, typer.Option("--judge-key-env", help="Environment variable with the judge's key.")
    ] = "",
    refusal_profile: Annotated[
        str, typer.Option("--refusal-profile", help="candor, or ibrahim2026 (the study's substrings).")
    ] = "candor",
    as_json: JsonOption = False,
) -> None:
    """Grade collected replies: correct, incorrect, refusal or ungradable, and whether the user's false belief was adopted."""
    from candor_cli.judge import judge_from_options
    from candor_cli.session import run
    from candor_cli.tables import read_rows, require, write_rows

    rows = read_rows(responses)
    require(responses, rows, ("question", "answer", "reply"))
    judge = judge_from_options(judge_url, judge_model, judge_key_env)
    outcomes = run(grade_rows(rows, judge, refusal_profile))
    graded = [{**row, **outcome} for row, outcome in zip(rows, outcomes, strict=True)]
    target = out or responses.with_suffix(".graded.csv")
    write_rows(target, graded)
    counts = Counter(str(row["verdict"] or row["error"]) for row in graded)
    if as_json:
        print(json.dumps({"rows": len(graded), "counts": dict(sorted(counts.items())), "out": str(target)}))
        return
    for name, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        print(f"{name:12} {count:6,}  {100 * count / len(graded):5.1f} %")
    print(f"{len(graded):,} rows: {target}")


async def grade_rows(
    rows: Sequence[Mapping[str, Any]], judge: grader_pb2.Judge | None, refusal_profile: str
) -> list[dict[str, str]]:
    """The columns that grading adds to each row, in order."""
    from candor.grader.v1 import grader_pb2, grader_pb2_grpc

    from candor_cli.embedded import suite
    from chassis.clients import connect, stream
    from chassis.rpc_errors import from_status

    outcomes: list[dict[str, str]] = [{} for _ in rows]
    async with suite(None, only=("grader",)) as found:
        channel = connect(found.target("grader"))
        stub = grader_pb2_grpc.GraderServiceStub(channel)
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            request = grader_pb2.GradeAnswersRequest(
                cases=[case_of(row) for row in part], refusal_profile=refusal_profile, judge=judge
            )
            try:
                async for response in stream("grader", stub.GradeAnswers(request, timeout=3600)):
                    failed = from_status(response.error) if response.WhichOneof("outcome") == "error" else None
                    outcomes[start + response.index] = _columns(response.grade, failed)
            except CandorError as error:
                raise _with_row_numbers(error, start) from error
        await channel.close()
    return outcomes


def case_of(row: Mapping[str, Any]) -> grader_pb2.AnswerCase:
    """The message of one row."""
    from candor.grader.v1 import grader_pb2

    from candor_cli.tables import as_list

    return grader_pb2.AnswerCase(
        question=str(row["question"]),
        gold=[*as_list(row["answer"]), *as_list(row.get("aliases"))],
        false_answers=as_list(row.get("false_answer")),
        kind=str(row.get("kind") or ""),
        belief=str(row.get("belief") or ""),
        reply=str(row["reply"]),
        task=str(row.get("task") or ""),
    )


def _columns(grade: grader_pb2.AnswerGrade, failed: CandorError | None) -> dict[str, str]:
    if failed is not None:
        return dict.fromkeys(("verdict", "adopts_belief", "decided_by", "rule", "final_claim"), "") | {
            "error": f"{failed.reason.name}: {failed.message}"
        }
    adopts = str(grade.adopts_belief).lower() if grade.HasField("adopts_belief") else ""
    return {
        "verdict": grade.verdict,
        "adopts_belief": adopts,
        "decided_by": grade.decided_by,
        "rule": grade.rule,
        "final_claim": grade.final_claim,
        "error": "",
    }


def _with_row_numbers(error: CandorError, start: int) -> CandorError:
    """`cases[3].belief` of a batch becomes `row 260.belief` of the file."""

    def name(field: str) -> str:
        head, bracket, rest = field.partition("[")
        number, _, tail = rest.partition("]")
        return f"row {start + int(number) + 1}{tail}" if head == "cases" and bracket and number.isdigit() else field

    violations = tuple(FieldViolation(name(item.field), item.description) for item in error.violations)
    return CandorError(error.reason, error.message, violations=violations, metadata=error.metadata)
