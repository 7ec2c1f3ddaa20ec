"""Options that several commands share, each declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

OrchestratorOption = Annotated[
    str,
    typer.Option(
        "--orchestrator",
        metavar="HOST:PORT",
        envvar="CANDOR_ORCHESTRATOR",
        help="Use this orchestrator instead of starting the services here.",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", envvar="CANDOR_TOKEN_FILE", help="File with the orchestrator's bearer token."),
]
TlsCaOption = Annotated[
    Path | None,
    typer.Option("--tls-ca", envvar="CANDOR_TLS_CA", help="PEM roots to trust; turns TLS on."),
]
TlsCertOption = Annotated[
    Path | None, typer.Option("--tls-cert", envvar="CANDOR_TLS_CERT", help="PEM client certificate (mutual TLS).")
]
TlsKeyOption = Annotated[
    Path | None, typer.Option("--tls-key", envvar="CANDOR_TLS_KEY", help="PEM client key (mutual TLS).")
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", envvar="CANDOR_STATE", help="Folder of the ledger. Default: .candor beside the document."),
]
LedgerOption = Annotated[
    str,
    typer.Option(
        "--ledger",
        metavar="URL",
        envvar="CANDOR_LEDGER_URL",
        show_default=False,
        help="Keep the ledger in this Postgres (postgresql://USER:PASSWORD@HOST/DATABASE) instead of the state folder.",
    ),
]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        envvar="CANDOR_WAIT",
        min=0,
        show_default=False,
        help="Wait this long for an orchestrator that cannot be reached; without, that ends the command.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON on standard output.")]


@dataclass(frozen=True, slots=True)
class Remote:
    """Where the orchestrator is and how to speak to it; an empty target means the embedded suite.

    Attributes:
        ledger: URL of the embedded suite's ledger; empty: a file in the state folder.
        wait_seconds: Patience with an orchestrator that cannot be reached yet.
    """

    target: str
    token_file: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ledger: str = ""
    wait_seconds: float = 0.0


_REACHING: dict[str, tuple[Any, Any]] = {
    "ledger": (LedgerOption, ""),
    "orchestrator": (OrchestratorOption, ""),
    "token_file": (TokenFileOption, None),
    "tls_ca": (TlsCaOption, None),
    "tls_cert": (TlsCertOption, None),
    "tls_key": (TlsKeyOption, None),
}


def reaches(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options by which an orchestrator is reached; it takes them as its argument `remote`."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for each in inspect.signature(command).parameters.values():
        if each.name == "remote":
            for name, (option, default) in _REACHING.items():
                kind = inspect.Parameter.KEYWORD_ONLY
                parameters.append(inspect.Parameter(name, kind, default=default, annotation=option))
        else:
            parameters.append(each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def called(**values: Any) -> None:
        found = {"target" if name == "orchestrator" else name: values.pop(name) for name in _REACHING}
        command(remote=Remote(**found), **values)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called
