"""vLLM through our service against vLLM asked directly: `python -m benchmarks.vllm` (needs `make setup-vllm`).

One engine, started by the service's own backend; then the same prompts at 1, 8 and 32 requests under way, to the base
and to an adapter, in turns: over gRPC (BatchGenerate: channel, servicer, identity, metrics, endpoint client), by the
openai SDK in a bare loop, and by a bare HTTP loop that only parses the JSON. Medians of the rounds; greedy, 24 tokens.
Processor time is that of this process, which has the caller, our service and its client, and not the engine: what our
service adds is told by it even where the engine's own pace swings.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from candor.common.v1 import model_pb2
from candor.inference.v1 import inference_pb2 as pb
from candor.inference.v1 import inference_pb2_grpc

from benchmarks.common import machine, scratch, table
from chassis.clients import Target, connect
from chassis.egress import Egress, Guard
from chassis.metrics import Metrics
from chassis.serving import Service
from chassis.testing import running
from chassis.testing.tiny_checkpoint import make_tiny_adapter, make_tiny_checkpoint
from services.inference.backends.vllm import EngineOptions, VllmBackend
from services.inference.backends.vllm.engine import Engine
from services.inference.domain.model import Checkpoint
from services.inference.service.inference import InferenceService
from services.inference.service.prepared import Prepared
from services.inference.servicer import InferenceServicer
from services.inference.settings import InferenceSettings

UNDER_WAY = (1, 8, 32)
TOKENS = 24
Ask = Callable[[Sequence[str], int], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vllm", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement, about")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts")
    chosen = parser.parse_args()
    print(machine())
    with scratch() as folder:
        base = make_tiny_checkpoint(folder / "base", hidden=128, layers=4)
        adapter = make_tiny_adapter(base, folder / "adapter", rank=8)
        asyncio.run(measure(base, adapter, chosen.seconds, chosen.rounds))


async def measure(base: Path, adapter: Path, seconds: float, rounds: int) -> None:
    settings = InferenceSettings(egress=Egress.embedded(), checkpoint_backend="vllm", max_concurrency=32)
    metrics = Metrics("inference")
    options = EngineOptions(**settings.vllm.model_dump(), max_concurrency=32)
    backend = VllmBackend(Guard(settings.egress), options, metrics)
    core = InferenceService({Checkpoint: (backend, Prepared(8))}, metrics)

    def register(server: grpc.aio.Server) -> None:
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(core), server)

    service = Service(names=[], register=register, metrics=metrics, close=backend.close)
    async with running(service, settings) as address:
        channel = connect(Target(address))
        stub = inference_pb2_grpc.InferenceServiceStub(channel)
        start = time.perf_counter()
        await through_grpc(stub, model(base))(["hello"], 1)
        print(f"\nfrom nothing to the first reply: {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        await through_grpc(stub, model(base, adapter))(["hello"], 1)
        print(f"an adapter's first reply: {time.perf_counter() - start:.2f} s")
        (engine,) = backend._engines.running()  # noqa: SLF001 - the benchmark asks the same engine past the service
        for name, folder, served in (("base", None, "base"), ("adapter", adapter, "adapter-1")):
            sides: dict[str, Ask] = {
                "candor": through_grpc(stub, model(base, folder)),
                "openai SDK": by_sdk(engine, served),
                "bare HTTP": by_http(engine, served),
            }
            rows = [await compare(engine, sides, count, seconds, rounds) for count in UNDER_WAY]
            head = ["under way", *sides, "over SDK", "over HTTP", *(f"{side}, ms" for side in sides)]
            table(f"{name}: replies/s of {TOKENS} tokens; processor time a reply", head, rows)
        await channel.close()


async def compare(engine: Engine, sides: dict[str, Ask], under_way: int, seconds: float, rounds: int) -> list[str]:
    """One line: each side's median rate, how much slower ours is than each of the others, processor time a reply."""
    engine.limiter.limit = engine.limiter.maximum = float(under_way)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    used: dict[str, list[float]] = {name: [] for name in sides}
    number = 0
    for turn in range(rounds + 1):  # the first turn warms up and finds out how many replies fill the time
        order = [*sides.items()]
        for name, ask in order[turn % len(order) :] + order[: turn % len(order)]:  # nobody is always first
            count = max(2 * under_way, int(seconds * statistics.median(rates[name] or [2.0 * under_way])))
            texts = [f"Question {number + place}: which one is it?" for place in range(count)]
            number += count
            start, cpu = time.perf_counter(), time.process_time()
            await ask(texts, under_way)
            rates[name] = [*(rates[name] if turn > 1 else []), count / (time.perf_counter() - start)]
            used[name] = [*(used[name] if turn > 1 else []), 1000 * (time.process_time() - cpu) / count]
    ours, *others = (statistics.median(found) for found in rates.values())
    over = [f"{100 * (1 - ours / other):+.1f} %" for other in others]
    spent = (f"{statistics.median(found):.1f}" for found in used.values())
    return [str(under_way), *(f"{rate:.1f}" for rate in (ours, *others)), *over, *spent]


def model(base: Path, adapter: Path | None = None) -> model_pb2.ModelSpec:
    return model_pb2.ModelSpec(checkpoint=model_pb2.Checkpoint(path=str(base), adapter=str(adapter or "")))


def through_grpc(stub: Any, spec: model_pb2.ModelSpec) -> Ask:
    async def ask(texts: Sequence[str], _under_way: int) -> None:
        prompts = [pb.Prompt(messages=[model_pb2.Message(role="user", content=text)]) for text in texts]
        for first in range(0, len(prompts), 1024):
            request = pb.BatchGenerateRequest(
                model=spec,
                sampling=model_pb2.Sampling(temperature=0.0, max_tokens=TOKENS),
                prompts=prompts[first : first + 1024],
            )
            async for line in stub.BatchGenerate(request, timeout=900):
                assert line.WhichOneof("outcome") == "reply", line

    return ask


def body(served: str, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": served, "messages": messages, "temperature": 0.0, "max_tokens": TOKENS}


async def loop(texts: Sequence[str], under_way: int, answer: Callable[[str], Awaitable[None]]) -> None:
    remaining = iter(texts)

    async def work() -> None:
        for text in remaining:
            await answer(text)

    await asyncio.gather(*(work() for _ in range(under_way)))


def by_sdk(engine: Engine, served: str) -> Ask:
    import openai

    async def ask(texts: Sequence[str], under_way: int) -> None:
        async with openai.AsyncOpenAI(base_url=engine.url, api_key=engine.key, max_retries=0) as client:

            async def answer(text: str) -> None:
                found: Any = await client.chat.completions.create(**body(served, text))
                assert found.choices[0].message.content

            await loop(texts, under_way, answer)

    return ask


def by_http(engine: Engine, served: str) -> Ask:
    import httpx2

    async def ask(texts: Sequence[str], under_way: int) -> None:
        headers = {"Authorization": f"Bearer {engine.key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=None) as client:

            async def answer(text: str) -> None:
                found = await client.post(f"{engine.url}/chat/completions", json=body(served, text))
                assert found.json()["choices"][0]["message"]["content"]

            await loop(texts, under_way, answer)

    return ask


if __name__ == "__main__":
    main()
