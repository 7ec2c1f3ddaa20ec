"""All services in one process: `python suite_process.py STATE [LEDGER_URL EXECUTOR]`; prints the orchestrator's address.

With a ledger URL it is one replica of many, else the embedded suite.
"""

import asyncio
import sys
from contextlib import AsyncExitStack

from chassis.egress import Egress
from chassis.logs import configure
from chassis.testing.running import running
from services.grader.bootstrap import build as build_grader
from services.grader.settings import GraderSettings
from services.inference.bootstrap import build as build_inference
from services.inference.settings import InferenceSettings
from services.orchestrator.bootstrap import build as build_orchestrator
from services.orchestrator.settings import OrchestratorSettings


async def main(state: str, ledger_url: str = "", executor: str = "") -> None:
    """Serve until killed."""
    configure("console", "ERROR")
    async with AsyncExitStack() as stack:
        inference = InferenceSettings(egress=Egress.embedded(), initial_concurrency=4, max_concurrency=4)
        grader = GraderSettings(egress=Egress.embedded())
        inference_address = await stack.enter_async_context(running(build_inference(inference), inference))
        grader_address = await stack.enter_async_context(running(build_grader(grader), grader))
        orchestrator = OrchestratorSettings(
            embedded=not ledger_url,
            executor_id=executor,
            ledger_url=ledger_url or f"sqlite:///{state}/ledger.db",
            artifacts_url=f"{state}/artifacts",
            inference_targets={"*": inference_address},
            grader_target=grader_address,
            adopt_seconds=2.0,
            queue_poll_seconds=0.1,
        )
        address = await stack.enter_async_context(running(build_orchestrator(orchestrator), orchestrator))
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
