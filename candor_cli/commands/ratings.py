"""`candor ratings`: what people say of replies, blinded."""

from __future__ import annotations

import typer

app = typer.Typer(help="Ask people which reply is warmer and which answer is right, blinded.", no_args_is_help=True)
