"""The embedded suite: the real services in this process, over real gRPC on loopback. Nothing runs after the block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.egress import Egress
from chassis.logs import configure
from chassis.testing.running import running

if TYPE_CHECKING:
    from chassis.serving import Service
    from chassis.settings import ServerSettings

SERVICES = ("inference", "grader", "orchestrator")


@asynccontextmanager
async def suite(
    state: Path | None, *, only: Sequence[str] = SERVICES, first_port: int = 0, log_level: str = "ERROR"
) -> AsyncIterator[Mapping[str, str]]:
    """Run services for the length of the block; gives host:port by name.

    Args:
        state: Folder of the orchestrator's ledger; locked while the suite runs. None when there is no orchestrator.
        only: The services wanted. An orchestrator brings the two that it calls.
        first_port: Port of the first service, the others follow; 0 takes free ports.
        log_level: Least level that is logged, on standard error.

    Raises:
        CandorError: LEDGER_LOCKED when another command uses the state; INVALID_REQUEST when a port is taken.
    """
    configure("console", log_level)
    wanted = SERVICES if "orchestrator" in only else tuple(name for name in SERVICES if name in only)
    addresses: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        if "orchestrator" in wanted and state is not None:
            from services.orchestrator.backends.lock import locked

            stack.enter_context(locked(state))
        for offset, name in enumerate(wanted):
            service, settings = _build(name, state, addresses, first_port + offset if first_port else 0)
            addresses[name] = await stack.enter_async_context(running(service, settings))
        yield addresses


def _build(name: str, state: Path | None, addresses: Mapping[str, str], port: int) -> tuple[Service, ServerSettings]:
    if name == "inference":
        from services.inference import bootstrap as inference
        from services.inference.settings import InferenceSettings

        inference_settings = InferenceSettings(port=port, egress=Egress.embedded(), drain_seconds=2)
        return inference.build(inference_settings), inference_settings
    if name == "grader":
        from services.grader import bootstrap as grader
        from services.grader.settings import GraderSettings

        grader_settings = GraderSettings(port=port, egress=Egress.embedded(), drain_seconds=2)
        return grader.build(grader_settings), grader_settings
    from services.orchestrator import bootstrap as orchestrator
    from services.orchestrator.settings import OrchestratorSettings

    assert state is not None
    folder = state.resolve()
    settings = OrchestratorSettings(
        port=port,
        embedded=True,
        drain_seconds=2,
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
        artifacts_url=str(folder / "artifacts"),
        inference_targets={"*": addresses["inference"]},
        grader_target=addresses["grader"],
    )
    return orchestrator.build(settings), settings
