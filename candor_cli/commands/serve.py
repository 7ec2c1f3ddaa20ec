"""`candor serve [SERVICE...]`: run services here, all in one process, until told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    services: Annotated[
        list[str] | None,
        typer.Argument(help="inference, grader, orchestrator; default: all three.", show_default=False),
    ] = None,
    state: Annotated[Path, typer.Option("--state", envvar="CANDOR_STATE", help="Folder of the ledger.")] = Path(
        ".candor"
    ),
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Port of the first service; the others follow. 0: free ports."),
    ] = 0,
    log_level: Annotated[str, typer.Option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Serve on loopback; for a cluster run `python -m services.NAME`, which reads its settings from the environment."""
    from candor_cli.session import run

    try:
        run(_serve(tuple(services or ()), state, port, log_level))
    except KeyboardInterrupt:
        print("stopped")


async def _serve(services: tuple[str, ...], state: Path, port: int, log_level: str) -> None:
    import asyncio

    from candor_cli.embedded import SERVICES, suite
    from chassis.errors import CandorError, Reason

    unknown = [name for name in services if name not in SERVICES]
    if unknown:
        raise CandorError(
            Reason.INVALID_REQUEST, f"there is no service {unknown[0]!r}; the services are {', '.join(SERVICES)}"
        )
    async with suite(state, only=services or SERVICES, first_port=port, log_level=log_level) as addresses:
        for name, address in addresses.items():
            print(f"{name:13} {address}", flush=True)
        await asyncio.Event().wait()
