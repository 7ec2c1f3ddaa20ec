"""The embedded suite: the real services in this process, over real gRPC on loopback. Nothing runs after the block.

Callers need a token: on a shared machine, loopback is open to everybody, and these services may use this person's keys.
"""

from __future__ import annotations

import hashlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor_cli.traces import tracing
from chassis.clients import Target
from chassis.collection import collect_rarely
from chassis.egress import Egress
from chassis.logs import configure
from chassis.running import running

if TYPE_CHECKING:
    from chassis.serving import Service
    from chassis.settings import ServerSettings

# In the order of their ports.
SERVICES = ("inference", "grader", "orchestrator", "rewriter", "trainer")
# Without the two that make arms.
EVALUATING = ("inference", "grader", "orchestrator")
_NEEDED = {"orchestrator": ("inference", "grader")}


@dataclass(frozen=True, slots=True)
class Suite:
    """A running suite: host:port by service, the token that all of them want, and host:port of their metrics, if any."""

    token: str
    addresses: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)

    def target(self, name: str) -> Target:
        """Where a service is and how to speak to it."""
        return Target.with_token(self.addresses[name], self.token)


@asynccontextmanager
async def suite(
    state: Path | None,
    *,
    only: Sequence[str] = EVALUATING,
    first_port: int = 0,
    log_level: str = "ERROR",
    token: str = "",
    durable: bool = False,
    first_metrics_port: int | None = None,
    ledger_url: str = "",
) -> AsyncIterator[Suite]:
    """Run services for the length of the block.

    Args:
        state: Folder of the orchestrator's ledger and of what is made; locked while an orchestrator runs. None when
            neither an orchestrator nor a trainer is wanted.
        only: The services wanted. An orchestrator brings inference and grader; it makes arms with the rewriter and the
            trainer if these are wanted too.
        first_port: Port of the first service, the others follow; 0 takes free ports.
        log_level: Least level that is logged, on standard error.
        token: What callers must send; empty makes a random one.
        durable: Unfinished evaluations go on when the suite starts again on this state; otherwise only those whose
            document is given again, so that no command spends another's money.
        first_metrics_port: Port of the first service's /metrics, the others follow; 0 takes free ones. None: no metrics.
        ledger_url: Of a Postgres that keeps the ledger, beside that of other commands; empty: a file in `state`.

    Raises:
        CandorError: LEDGER_LOCKED when another command uses the state; INVALID_REQUEST when a port is taken.
    """
    configure("console", log_level)
    collect_rarely()
    needed = {*only, *(name for caller in only for name in _NEEDED.get(caller, ()))}
    wanted = tuple(name for name in SERVICES if name in needed)
    found = Suite(token or secrets.token_urlsafe(32))
    async with AsyncExitStack() as stack:
        if "orchestrator" in wanted and state is not None:
            from services.orchestrator.backends.lock import locked

            stack.enter_context(locked(state))
        private = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="candor-")))
        (private / "token").write_text(found.token, encoding="ascii")
        # The orchestrator is the last to start: it is told where the others are.
        for offset, name in sorted(enumerate(wanted), key=lambda pair: pair[1] == "orchestrator"):
            common = {
                "port": first_port + offset if first_port else 0,
                "token_sha256": hashlib.sha256(found.token.encode()).hexdigest(),
                "drain_seconds": 2,
                "metrics_port": first_metrics_port + offset if first_metrics_port else first_metrics_port,
                "tracing": tracing(),
            }
            shared = _Shared(common, state, found, private / "token", durable, ledger_url)
            service, settings = _BUILDERS[name](shared)
            found.addresses[name] = await stack.enter_async_context(running(service, settings))
            if service.metrics.address:
                found.metrics[name] = service.metrics.address
        yield found


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the services are built from: common settings, state folder, the suite so far, the file with its token, ledger."""

    common: dict[str, Any]
    state: Path | None
    suite: Suite
    token_file: Path
    durable: bool
    ledger_url: str

    @property
    def folder(self) -> Path:
        """The state folder, absolute."""
        assert self.state is not None
        return self.state.resolve()

    @property
    def artifacts(self) -> Path:
        """What orchestrator, trainer and inference share."""
        return self.folder / "artifacts"


_Built = tuple["Service", "ServerSettings"]


def _inference(shared: _Shared) -> _Built:
    from services.inference import bootstrap
    from services.inference.settings import InferenceSettings

    settings = InferenceSettings(egress=Egress.embedded(), **shared.common)
    return bootstrap.build(settings), settings


def _grader(shared: _Shared) -> _Built:
    from services.grader import bootstrap
    from services.grader.settings import GraderSettings

    settings = GraderSettings(egress=Egress.embedded(), **shared.common)
    return bootstrap.build(settings), settings


def _rewriter(shared: _Shared) -> _Built:
    from services.rewriter import bootstrap
    from services.rewriter.settings import RewriterSettings

    settings = RewriterSettings(egress=Egress.embedded(), **shared.common)
    return bootstrap.build(settings), settings


def _trainer(shared: _Shared) -> _Built:
    from services.trainer import bootstrap
    from services.trainer.settings import TrainerSettings

    settings = TrainerSettings(egress=Egress.embedded(), artifacts=shared.artifacts, **shared.common)
    return bootstrap.build(settings), settings


def _orchestrator(shared: _Shared) -> _Built:
    from services.orchestrator import bootstrap
    from services.orchestrator.settings import OrchestratorSettings

    addresses = shared.suite.addresses
    settings = OrchestratorSettings(
        embedded=not shared.durable,
        executor_id="serve" if shared.durable else "",
        allow_hub=True,
        ledger_url=shared.ledger_url or f"sqlite:///{shared.folder / 'ledger.db'}",
        runs_url=f"sqlite:///{shared.folder / 'dbos.db'}",
        artifacts_url=str(shared.artifacts),
        inference_targets={"*": addresses["inference"]},
        grader_target=addresses["grader"],
        rewriter_target=addresses.get("rewriter", ""),
        trainer_target=addresses.get("trainer", ""),
        token_file=shared.token_file,
        **shared.common,
    )
    return bootstrap.build(settings), settings


_BUILDERS: dict[str, Callable[[_Shared], _Built]] = {
    "inference": _inference,
    "grader": _grader,
    "rewriter": _rewriter,
    "trainer": _trainer,
    "orchestrator": _orchestrator,
}
