"""The orchestrator that a command talks to: one that runs elsewhere, or the embedded suite started around the command."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc

from candor_cli.client import Orchestrator
from candor_cli.options import Remote
from candor_cli.stopping import Terminated
from candor_cli.traces import traced
from chassis.clients import Target, connect
from chassis.errors import CandorError, Reason
from chassis.settings import ClientSettings

Result = TypeVar("Result")
_EMBEDDED_PATIENCE_SECONDS = 2.0  # a full disk here is not mended by waiting


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine; SIGTERM ends it as Ctrl-C does, so that a pod that is told to go closes its files.

    Raises:
        KeyboardInterrupt: A person stopped it.
        Terminated: SIGTERM.
    """
    told = False

    async def main() -> Result:
        task = asyncio.current_task()
        assert task is not None

        def terminate() -> None:
            nonlocal told
            told = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise (Terminated if told else KeyboardInterrupt) from None


@asynccontextmanager
async def orchestrator(remote: Remote, state: Path, *, makes_arms: bool = False) -> AsyncIterator[Orchestrator]:
    """A connected client. Without a remote target the services run in this process, their state in `state`.

    Args:
        remote: Where the orchestrator is, or nowhere.
        state: Folder of the embedded services' ledger and artifacts.
        makes_arms: Whether the rewriter and the trainer are needed as well.
    """
    async with traced(), _connected(remote, state, makes_arms=makes_arms) as client:
        yield client


@asynccontextmanager
async def _connected(remote: Remote, state: Path, *, makes_arms: bool) -> AsyncIterator[Orchestrator]:
    if remote.target:
        channel = connect(target_of(remote))
        try:
            await _reach(channel, remote)
            yield Orchestrator(channel)
        finally:
            await channel.close()
        return
    from candor_cli.embedded import EVALUATING, SERVICES, suite

    only = SERVICES if makes_arms else EVALUATING
    async with suite(state, only=only, ledger_url=remote.ledger and _postgres(remote.ledger)) as found:
        channel = connect(found.target("orchestrator"))
        try:
            yield Orchestrator(channel, patience_seconds=_EMBEDDED_PATIENCE_SECONDS)
        finally:
            await channel.close()


async def _reach(channel: grpc.aio.Channel, remote: Remote) -> None:
    """Wait until the orchestrator takes connections, as long as the options say."""
    if not remote.wait_seconds:
        return
    try:
        async with asyncio.timeout(remote.wait_seconds):
            await channel.channel_ready()
    except TimeoutError as error:
        message = f"--orchestrator {remote.target}: not reached within {remote.wait_seconds:g} s"
        raise CandorError(Reason.SERVICE_UNAVAILABLE, message) from error


def target_of(remote: Remote) -> Target:
    """The target that the options describe."""
    if ":" not in remote.target:
        raise CandorError(Reason.INVALID_REQUEST, f"--orchestrator {remote.target}: name a port as well, HOST:PORT")
    return Target.from_settings(
        ClientSettings(
            target=remote.target,
            token_file=remote.token_file,
            tls_ca_file=remote.tls_ca,
            tls_cert_file=remote.tls_cert,
            tls_key_file=remote.tls_key,
        )
    )


def _postgres(url: str) -> str:
    """The URL, if it is one of Postgres; its password is in no message.

    Raises:
        CandorError: INVALID_REQUEST; BACKEND_MISSING.
    """
    if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        message = (
            "--ledger (CANDOR_LEDGER_URL) must be postgresql://USER:PASSWORD@HOST/DATABASE; for a folder use --state"
        )
        raise CandorError(Reason.INVALID_REQUEST, message)
    if importlib.util.find_spec("psycopg") is None:
        message = (
            "a ledger in Postgres needs the extra `orchestrator`: pip install '.[orchestrator]' in Candor's folder"
        )
        raise CandorError(Reason.BACKEND_MISSING, message)
    return url
