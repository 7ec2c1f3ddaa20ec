"""`candor score FILE`: SocioT and HumT of texts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from candor_cli.options import JsonOption

_BATCH = 256


def score(
    texts: Annotated[
        Path, typer.Argument(help="Table (csv, json, jsonl, parquet) with a column of texts.", show_default=False)
    ],
    metrics: Annotated[
        str, typer.Option("--metrics", "-m", help="Comma-separated: sociot_warmth, humt, sociot_social_distance, ...")
    ] = "sociot_warmth",
    model: Annotated[
        str, typer.Option("--model", help="Scorer: folder or hub id of a causal language model.")
    ] = "gpt2",
    estimator: Annotated[
        str, typer.Option("--estimator", help="reference (the published code's quantity) or exact (the formula).")
    ] = "reference",
    column: Annotated[str, typer.Option("--column", help="Column of the texts.")] = "text",
    max_chars: Annotated[int, typer.Option("--max-chars", min=0, help="Characters that count; 0 means all.")] = 300,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Scored table. Default: NAME.scored.csv.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Score how warm, human or close texts sound; positive is warmer (D+)."""
    from candor_cli.session import run
    from candor_cli.tables import read_rows, write_rows
    from chassis.errors import CandorError, Reason

    rows = read_rows(texts)
    if column not in rows[0]:
        found = ", ".join(rows[0])
        raise CandorError(Reason.BAD_DATASET, f"{texts}: no column {column!r}; name one of {found} with --column")
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    values = [str(row.get(column) or "") for row in rows]
    scored = run(_score(values, names, model, estimator, max_chars))
    target = out or texts.with_suffix(".scored.csv")
    write_rows(target, [{**row, **found} for row, found in zip(rows, scored, strict=True)])
    summary = {name: _summary([found.get(name, "") for found in scored]) for name in names}
    if as_json:
        print(json.dumps({"rows": len(rows), "metrics": summary, "out": str(target)}))
        return
    for name, line in summary.items():
        print(f"{name:24} mean {line['mean']:+.5f}  sd {line['sd']:.5f}  n {line['n']:,.0f}")
    short = sum("short_text" in str(found.get("flags", "")) for found in scored)
    if short:
        print(f"{short:,} texts are under 50 characters: single scores of these are noisy")
    print(f"{len(rows):,} rows: {target}")


def _summary(values: Sequence[str]) -> dict[str, float]:
    numbers = [float(value) for value in values if value != ""]
    if not numbers:
        return {"mean": math.nan, "sd": math.nan, "n": 0}
    mean = math.fsum(numbers) / len(numbers)
    spread = math.fsum((number - mean) ** 2 for number in numbers) / max(1, len(numbers) - 1)
    return {"mean": mean, "sd": math.sqrt(spread), "n": len(numbers)}


async def _score(
    texts: Sequence[str], metrics: Sequence[str], model: str, estimator: str, max_chars: int
) -> list[dict[str, str]]:
    from candor.grader.v1 import grader_pb2, grader_pb2_grpc

    from candor_cli.embedded import suite
    from candor_cli.view.track import track
    from chassis.clients import connect, stream
    from chassis.rpc_errors import from_status

    outcomes: list[dict[str, str]] = [{} for _ in texts]
    async with suite(None, only=("grader",)) as found:
        channel = connect(found.target("grader"))
        stub = grader_pb2_grpc.GraderServiceStub(channel)
        for start in track(range(0, len(texts), _BATCH), "scoring"):
            request = grader_pb2.ScoreTextsRequest(
                texts=texts[start : start + _BATCH],
                metrics=metrics,
                model=model,
                estimator=estimator,
                max_chars=max_chars,
            )
            async for response in stream("grader", stub.ScoreTexts(request, timeout=3600)):
                row = outcomes[start + response.index]
                row.update(dict.fromkeys(metrics, ""), flags="", error="")
                kind = response.WhichOneof("outcome")
                if kind == "scores":
                    row.update({found.metric: repr(found.value) for found in response.scores.scores})
                    row["flags"] = " ".join(response.scores.flags)
                elif kind == "unscored":
                    row["error"] = response.unscored.reason
                else:
                    failed = from_status(response.error)
                    row["error"] = f"{failed.reason.name}: {failed.message}"
        await channel.close()
    return outcomes
