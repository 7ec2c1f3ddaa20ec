"""The `candor` command: wires the commands and turns every ending into an exit code.

Exit codes: 0 PASS (or done), 1 FAIL, 2 INCONCLUSIVE, 3 INVALID, 64 usage, 70 internal error, 75 temporary failure or
SIGTERM, 78 bad document, 130 cancelled (Ctrl-C). 1 and 2 mean verdicts and nothing else.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType

import typer

from candor_cli.commands import (
    analyze,
    calibrate,
    demo,
    evaluate,
    evaluations,
    grade,
    plan,
    ratings,
    results,
    score,
    serve,
    tasks,
)
from candor_cli.output import drop_output
from candor_cli.stopping import exit_code, heed_sigterm
from chassis.errors import CandorError, ExitCode

app = typer.Typer(
    name="candor",
    help="Sycophancy regression tests: is a candidate model more sycophantic than its baseline?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("evaluate")(evaluate.evaluate)
app.command("plan")(plan.plan)
app.command("analyze")(analyze.analyze)
app.command("grade")(grade.grade)
app.command("score")(score.score)
app.command("serve")(serve.serve)
app.add_typer(demo.app, name="demo")
app.add_typer(tasks.app, name="tasks")
app.add_typer(evaluations.app, name="evaluations")
app.add_typer(results.app, name="results")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(ratings.app, name="ratings")


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from chassis.version import VERSION

        typer.echo(VERSION)
        raise typer.Exit


def run() -> None:
    """Entry point of the console script."""
    sys.excepthook = _crash
    heed_sigterm()
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        result = app(arguments, standalone_mode=False, prog_name="candor")
        sys.stdout.flush()
    except CandorError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        return _complain(f"{error.format_message()}\nTry `candor --help`.", ExitCode.USAGE)
    except (typer.Abort, KeyboardInterrupt) as stop:
        return _complain("stopped", exit_code(stop))
    except (BrokenPipeError, SystemExit):
        # The reader has gone; click and rich then ask to exit with 1, which is a verdict.
        drop_output()
        return int(ExitCode.CANCELLED)
    return result if isinstance(result, int) else 0


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A defect exits with 70: 1, which Python would take, is a verdict."""
    traceback.print_exception(kind, error, trace)
    print("candor: internal error; the lines above are what a report of it needs", file=sys.stderr, flush=True)
    os._exit(int(ExitCode.INTERNAL))


def _complain(text: str, code: ExitCode) -> int:
    from candor_cli.view.text import printable

    print(f"candor: {printable(text)}", file=sys.stderr)
    return int(code)
