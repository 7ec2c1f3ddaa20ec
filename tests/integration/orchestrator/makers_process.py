"""All services, those that make arms among them, in one process: `python makers_process.py STATE`; prints the orchestrator's address."""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from chassis.egress import Egress
from chassis.logs import configure
from chassis.testing.running import running
from services.grader.bootstrap import build as build_grader
from services.grader.settings import GraderSettings
from services.inference.bootstrap import build as build_inference
from services.inference.settings import InferenceSettings
from services.orchestrator.bootstrap import build as build_orchestrator
from services.orchestrator.settings import OrchestratorSettings
from services.rewriter.bootstrap import build as build_rewriter
from services.rewriter.settings import RewriterSettings
from services.trainer.bootstrap import build as build_trainer
from services.trainer.settings import TrainerSettings


async def main(state: str) -> None:
    """Serve until killed."""
    configure("console", "ERROR")
    artifacts = Path(state) / "artifacts"
    async with AsyncExitStack() as stack:
        inference = InferenceSettings(egress=Egress.embedded())
        grader = GraderSettings(egress=Egress.embedded())
        rewriter = RewriterSettings(egress=Egress.embedded(), max_concurrency=2)
        trainer = TrainerSettings(
            egress=Egress.embedded(), artifacts=artifacts, torch_threads=1, state_seconds=0, estimate_time=False
        )
        orchestrator = OrchestratorSettings(
            embedded=True,
            ledger_url=f"sqlite:///{state}/ledger.db",
            artifacts_url=str(artifacts),
            inference_targets={"*": await stack.enter_async_context(running(build_inference(inference), inference))},
            grader_target=await stack.enter_async_context(running(build_grader(grader), grader)),
            rewriter_target=await stack.enter_async_context(running(build_rewriter(rewriter), rewriter)),
            trainer_target=await stack.enter_async_context(running(build_trainer(trainer), trainer)),
        )
        address = await stack.enter_async_context(running(build_orchestrator(orchestrator), orchestrator))
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
