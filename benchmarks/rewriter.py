"""The rewriter: `python -m benchmarks.rewriter [--mebibytes 1024]`.

The certificate alone; BatchRewrite over gRPC by the rules and by an endpoint that answers at once, 1,024 exchanges a call; and
ReadConversations of a generated file, with the peak memory of the service's process. Service and endpoint are processes of their
own. The exchanges are the hand-written ones of the tests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from candor.common.v1.model_pb2 import Endpoint, Message
from candor.rewriter.v1 import rewriter_pb2 as pb
from candor.rewriter.v1 import rewriter_pb2_grpc

from benchmarks.common import ROOT, peak_mib, table
from services.rewriter.domain import certificate, styles
from services.rewriter.domain.values import Exchange, Turn

FIXTURES = ROOT / "tests" / "fixtures" / "rewriter"
CALL = 1024
CHUNK = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rewriter", description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of the generated file")
    parser.add_argument("--serve", choices=("rewriter", "endpoint"), help="(the child's part)")
    chosen = parser.parse_args()
    if chosen.serve == "endpoint":
        serve_endpoint()
    elif chosen.serve == "rewriter":
        asyncio.run(serve_rewriter())
    else:
        table("Certificate alone, one thread", ["replies/s", "words a reply"], [certificate_alone()])
        asyncio.run(measure(chosen.mebibytes))


def cases() -> list[dict[str, str]]:
    lines = [
        line for name in ("honest", "honest_second") for line in (FIXTURES / f"{name}.jsonl").open(encoding="utf-8")
    ]
    return [json.loads(line) for line in lines]


def certificate_alone(seconds: float = 5.0) -> list[str]:
    rows = [
        (Exchange((Turn("user", case["asked"]),), case["reply"]), case["rewrite"], styles.builtin(case["style"]))
        for case in cases()
    ]
    words = sum(len(exchange.reply.split()) for exchange, _, _ in rows) / len(rows)
    start, done = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        for row in rows:
            certificate.certify(*row)
        done += len(rows)
    return [f"{done / (time.perf_counter() - start):,.0f}", f"{words:.0f}"]


async def measure(mebibytes: int) -> None:
    with child("rewriter") as (address, closing), child("endpoint") as (url, _):
        async with grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            stub = rewriter_pb2_grpc.RewriterServiceStub(channel)
            where = Endpoint(base_url=url, model="instant")
            sources = {
                "rules": pb.Source(rules=pb.RulesSource()),
                "endpoint": pb.Source(endpoint=pb.EndpointSource(endpoint=where)),
            }
            rows = [[name, *await rewrite(stub, source)] for name, source in sources.items()]
            table(f"BatchRewrite, warm, {CALL:,} exchanges a call", ["source", "items/s", "accepted"], rows)
            reading = await read(stub, mebibytes)
        peak = closing()
    head = ["file", "conversations", "seconds", "MiB/s", "peak of the service"]
    table("ReadConversations", head, [[f"{mebibytes:,} MiB", *reading, f"{peak} MiB"]])


async def rewrite(stub: Any, source: pb.Source, seconds: float = 8.0) -> list[str]:
    """Items/s and the accepted share."""
    exchanges = [
        pb.Exchange(messages=[Message(role="user", content=f"{case['asked']} ({number})")], reply=case["reply"])
        for number in range(CALL // len(cases()) + 1)
        for case in cases()
    ][:CALL]
    start, done, accepted = time.perf_counter(), 0, 0
    while time.perf_counter() < start + seconds:
        request = pb.BatchRewriteRequest(style=pb.Style(builtin="warm"), source=source, exchanges=exchanges)
        async for response in stub.BatchRewrite(request, timeout=300):
            assert response.WhichOneof("outcome") == "rewrite", response
            accepted += response.rewrite.accepted
            done += 1
    return [f"{done / (time.perf_counter() - start):,.0f}", f"{accepted / done:.0%}"]


async def read(stub: Any, mebibytes: int) -> list[str]:
    """Conversations, seconds, MiB/s."""
    start, found = time.perf_counter(), 0
    async for response in stub.ReadConversations(generated(mebibytes), timeout=3600):
        assert response.WhichOneof("outcome") == "conversation", response
        found += 1
    took = time.perf_counter() - start
    return [f"{found:,}", f"{took:.0f}", f"{mebibytes / took:.1f}"]


async def generated(mebibytes: int) -> AsyncIterator[pb.ReadConversationsRequest]:
    """A ShareGPT list of so many MiB, made while it is sent: conversations of eight turns and about 9 kB."""
    yield pb.ReadConversationsRequest(info=pb.FileInfo(filename="generated.json"))
    replies = [case["reply"] for case in cases()]
    pending, sent, number = bytearray(b"["), 0, 0
    while sent + len(pending) < mebibytes * 2**20:
        turns = [
            {
                "from": ("human", "gpt")[turn % 2],
                "value": " ".join(replies[(number + turn + i) % len(replies)] for i in range(6)),
            }
            for turn in range(8)
        ]
        pending += json.dumps({"id": f"c{number}", "conversations": turns}).encode() + b",\n"
        number += 1
        if len(pending) >= CHUNK:
            yield pb.ReadConversationsRequest(chunk=bytes(pending[:CHUNK]))
            sent += CHUNK
            del pending[:CHUNK]
    last = bytes(pending).rstrip(b",\n") + b"]"
    for place in range(0, len(last), CHUNK):
        yield pb.ReadConversationsRequest(chunk=last[place : place + CHUNK])


def obliging(call: Any) -> str:
    """The reply, with a kind sentence before it."""
    found = re.search(r"<<< reply (\w+)\n(.*)\n>>> reply \1", call.text, re.DOTALL)
    return f"I'm so glad you asked, my friend. {found[2]}" if found else "Ready."


def serve_endpoint() -> None:
    from chassis.testing.fake_endpoint import FakeEndpoint

    with FakeEndpoint(obliging) as endpoint:
        print(endpoint.base_url, flush=True)
        sys.stdin.read()


async def serve_rewriter() -> None:
    """Serve until the parent closes standard input; says the address first and its peak memory last."""
    from chassis.egress import Egress
    from chassis.running import running
    from services.rewriter import bootstrap
    from services.rewriter.settings import RewriterSettings

    settings = RewriterSettings(egress=Egress.embedded(), drain_seconds=1)
    async with running(bootstrap.build(settings), settings) as address:
        print(address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(f"{peak_mib():.0f}", flush=True)


@contextlib.contextmanager
def child(which: str) -> Iterator[tuple[str, Any]]:
    """A part as a process of its own: what it says first, and a way to end it that returns what it says last."""
    command = [sys.executable, "-m", "benchmarks.rewriter", "--serve", which]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        out = process.stdout

        def close() -> str:
            assert process.stdin is not None
            process.stdin.close()
            return out.read().strip().splitlines()[-1]

        try:
            yield out.readline().strip(), close
        finally:
            process.stdin.close()
            process.wait(timeout=30)


if __name__ == "__main__":
    main()
