"""The embedded suite: the real services in this process, over real gRPC on loopback. Nothing runs after the block.

Callers need a token: on a shared machine, loopback is open to everybody, and these services may use this person's keys.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.clients import Target
from chassis.collection import collect_rarely
from chassis.egress import Egress
from chassis.logs import configure
from chassis.running import running

if TYPE_CHECKING:
    from chassis.serving import Service
    from chassis.settings import ServerSettings

SERVICES = ("inference", "grader", "orchestrator")


@dataclass(frozen=True, slots=True)
class Suite:
    """A running suite: host:port by service, and the token that all of them want."""

    token: str
    addresses: dict[str, str] = field(default_factory=dict)

    def target(self, name: str) -> Target:
        """Where a service is and how to speak to it."""
        return Target(self.addresses[name], token=self.token)


@asynccontextmanager
async def suite(
    state: Path | None,
    *,
    only: Sequence[str] = SERVICES,
    first_port: int = 0,
    log_level: str = "ERROR",
    token: str = "",
    durable: bool = False,
) -> AsyncIterator[Suite]:
    """Run services for the length of the block.

    Args:
        state: Folder of the orchestrator's ledger; locked while the suite runs. None when there is no orchestrator.
        only: The services wanted. An orchestrator brings the two that it calls.
        first_port: Port of the first service, the others follow; 0 takes free ports.
        log_level: Least level that is logged, on standard error.
        token: What callers must send; empty makes a random one.
        durable: Unfinished evaluations go on when the suite starts again on this state; otherwise only those whose
            document is given again, so that no command spends another's money.

    Raises:
        CandorError: LEDGER_LOCKED when another command uses the state; INVALID_REQUEST when a port is taken.
    """
    configure("console", log_level)
    collect_rarely()
    wanted = SERVICES if "orchestrator" in only else tuple(name for name in SERVICES if name in only)
    found = Suite(token or secrets.token_urlsafe(32))
    async with AsyncExitStack() as stack:
        if "orchestrator" in wanted and state is not None:
            from services.orchestrator.backends.lock import locked

            stack.enter_context(locked(state))
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="candor-")))
        (private / "token").write_text(found.token, encoding="ascii")
        for offset, name in enumerate(wanted):
            common = {
                "port": first_port + offset if first_port else 0,
                "token_sha256": hashlib.sha256(found.token.encode()).hexdigest(),
                "drain_seconds": 2,
            }
            service, settings = _build(name, state, found, private / "token", common, durable=durable)
            found.addresses[name] = await stack.enter_async_context(running(service, settings))
        yield found


def _build(
    name: str, state: Path | None, found: Suite, token_file: Path, common: dict[str, Any], *, durable: bool
) -> tuple[Service, ServerSettings]:
    if name == "inference":
        from services.inference import bootstrap as inference
        from services.inference.settings import InferenceSettings

        inference_settings = InferenceSettings(egress=Egress.embedded(), **common)
        return inference.build(inference_settings), inference_settings
    if name == "grader":
        from services.grader import bootstrap as grader
        from services.grader.settings import GraderSettings

        grader_settings = GraderSettings(egress=Egress.embedded(), **common)
        return grader.build(grader_settings), grader_settings
    from services.orchestrator import bootstrap as orchestrator
    from services.orchestrator.settings import OrchestratorSettings

    assert state is not None
    folder = state.resolve()
    settings = OrchestratorSettings(
        embedded=not durable,
        executor_id="serve" if durable else "",
        allow_hub=True,
        ledger_url=f"sqlite:///{folder / 'ledger.db'}",
        artifacts_url=str(folder / "artifacts"),
        inference_targets={"*": found.addresses["inference"]},
        grader_target=found.addresses["grader"],
        token_file=token_file,
        **common,
    )
    return orchestrator.build(settings), settings
