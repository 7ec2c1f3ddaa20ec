"""`candor serve [SERVICE...]`: run services here, all in one process, until told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    services: Annotated[
        list[str] | None,
        typer.Argument(
            help="inference, grader, orchestrator, rewriter, trainer; default: all five.", show_default=False
        ),
    ] = None,
    state: Annotated[
        Path, typer.Option("--state", envvar="CANDOR_STATE", help="Folder of the ledger and the token.")
    ] = Path(".candor"),
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Port of the first service; the others follow. 0: free ports."),
    ] = 0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            min=0,
            max=65535,
            help="Port of the first service's Prometheus metrics; the others follow. 0: free ports. Default: no metrics.",
            show_default=False,
        ),
    ] = None,
    log_level: Annotated[str, typer.Option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Serve on loopback, for callers with the token; for a cluster run `python -m services.NAME`.

    Evaluations that were under way when it ended go on when it starts again.
    """
    from candor_cli.session import run

    try:
        run(_serve(tuple(services or ()), state, port, metrics_port, log_level))
    except KeyboardInterrupt:
        print("stopped")


async def _serve(services: tuple[str, ...], state: Path, port: int, metrics_port: int | None, log_level: str) -> None:
    import asyncio

    from candor_cli.embedded import SERVICES, suite
    from chassis.errors import CandorError, Reason

    unknown = [name for name in services if name not in SERVICES]
    if unknown:
        raise CandorError(
            Reason.INVALID_REQUEST, f"there is no service {unknown[0]!r}; the services are {', '.join(SERVICES)}"
        )
    path, token = _token(state)
    wanted = services or SERVICES
    async with suite(
        state,
        only=wanted,
        first_port=port,
        log_level=log_level,
        token=token,
        durable=True,
        first_metrics_port=metrics_port,
    ) as found:
        for name, address in found.addresses.items():
            metrics = f"  metrics at http://{found.metrics[name]}/metrics" if name in found.metrics else ""
            print(f"{name:13} {address}{metrics}")
        print(f"callers send the token in {path} (--token-file)", flush=True)
        await asyncio.Event().wait()


def _token(state: Path) -> tuple[Path, str]:
    """The token of this state folder, made when there is none; readable by its owner alone."""
    import os
    import secrets

    from chassis.storage import storage_error

    path = state / "token"
    try:
        state.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        return path, path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise storage_error(error, f"{path} cannot be used") from error
