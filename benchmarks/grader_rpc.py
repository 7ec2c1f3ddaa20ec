"""The grader's RPC: `python -m benchmarks.grader_rpc`.

GradeAnswers of the real service (deterministic grader, no judge) in a process of its own, at 1, 64 and 128 cases a call
and 8 calls under way, and beside it a bare servicer that answers the same messages with a fixed grade, in the same run.
The cases are the hand-labelled replies of the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from candor.grader.v1 import grader_pb2 as pb
from candor.grader.v1 import grader_pb2_grpc

from benchmarks.common import ROOT, table

SIZES = (1, 64, 128)
UNDER_WAY = 8
REPLIES = ROOT / "tests" / "fixtures" / "answers" / "labelled.jsonl"
FIELDS = ("question", "gold", "false_answers", "kind", "belief", "reply", "options", "task")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grader_rpc", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--serve", choices=("candor", "bare"), help="(the child's part)")
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve(chosen.serve))
        return
    with server("candor") as ours, server("bare") as bare:
        found = asyncio.run(measure({"candor": ours, "bare": bare}, chosen.seconds))
    rows = []
    for size in SIZES:
        fast, (rate, latencies) = found["bare", size][0], found["candor", size]
        cuts = [statistics.quantiles(calls, n=100) for calls in (latencies, found["bare", size][1])]
        rows.append(
            [
                f"{size}",
                f"{rate:,.0f}",
                *(f"{1000 * cuts[0][cut]:.1f} ms" for cut in (49, 98)),
                f"{fast:,.0f}",
                *(f"{1000 * cuts[1][cut]:.1f} ms" for cut in (49, 98)),
                f"{rate / fast:.0%}",
            ]
        )
    head = ["cases a call", "grader, items/s", "p50", "p99", "bare echo, items/s", "p50", "p99", "share"]
    table(f"GradeAnswers, {UNDER_WAY} calls under way, client and server on one machine", head, rows)


async def measure(targets: dict[str, str], seconds: float) -> dict[tuple[str, int], tuple[float, list[float]]]:
    """Items/s and seconds of each call, by servicer and size; the two take turns, so that the load is the same."""
    cases = read_cases()
    found = {}
    for size in SIZES:
        for name, address in targets.items():
            async with grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
                stub = grader_pb2_grpc.GraderServiceStub(channel)
                await drive(stub, cases, size, 0.3)
                found[name, size] = await drive(stub, cases, size, seconds)
    return found


async def drive(stub: Any, cases: list[pb.AnswerCase], size: int, seconds: float) -> tuple[float, list[float]]:
    """Call for so long: items/s over all, seconds of each call."""
    start = time.perf_counter()
    latencies: list[float] = []

    async def caller(place: int) -> None:
        while time.perf_counter() < start + seconds:
            chosen = [cases[(place + each) % len(cases)] for each in range(size)]
            place += size
            began = time.perf_counter()
            seen = 0
            async for response in stub.GradeAnswers(pb.GradeAnswersRequest(cases=chosen), timeout=60):
                assert response.WhichOneof("outcome") == "grade"
                seen += 1
            assert seen == size
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(caller(37 * number) for number in range(UNDER_WAY)))
    return len(latencies) * size / (time.perf_counter() - start), latencies


def read_cases() -> list[pb.AnswerCase]:
    """The labelled replies as messages."""
    rows = [json.loads(line) for line in REPLIES.read_text(encoding="utf-8").splitlines() if line]
    return [pb.AnswerCase(**{name: row[name] for name in FIELDS if row.get(name)}) for row in rows]


class Bare(grader_pb2_grpc.GraderServiceServicer):
    """The same messages without any work: what gRPC alone can do."""

    async def GradeAnswers(  # noqa: N802 (the proto names it)
        self,
        request: pb.GradeAnswersRequest,
        context: Any,  # noqa: ARG002 (gRPC passes one)
    ) -> AsyncIterator[pb.GradeAnswersResponse]:
        """Answer every case with the same grade."""
        for index in range(len(request.cases)):
            yield pb.GradeAnswersResponse(
                index=index,
                grade=pb.AnswerGrade(
                    verdict="correct", decided_by="deterministic", rule="claims the gold answer", final_claim="Paris"
                ),
            )


async def serve(which: str) -> None:
    """Serve until the parent closes standard input; says the address first."""
    if which == "candor":
        from chassis.running import running
        from services.grader import bootstrap
        from services.grader.settings import GraderSettings

        settings = GraderSettings(port=0, drain_seconds=1)
        async with running(bootstrap.build(settings), settings) as address:
            await _until_told(address)
        return
    server = grpc.aio.server()
    grader_pb2_grpc.add_GraderServiceServicer_to_server(Bare(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await _until_told(f"127.0.0.1:{port}")
    await server.stop(1)


async def _until_told(address: str) -> None:
    print(address, flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def server(which: str) -> Iterator[str]:
    """A servicer as a child process; gives its address."""
    command = [sys.executable, "-m", "benchmarks.grader_rpc", "--serve", which]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=30)


if __name__ == "__main__":
    main()
