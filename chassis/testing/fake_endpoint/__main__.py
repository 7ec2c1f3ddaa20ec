"""`python -m chassis.testing.fake_endpoint`: the fake endpoint as a process of its own, until it is told to end."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from chassis.testing.fake_endpoint.endpoint import FakeEndpoint
from chassis.testing.fake_endpoint.faults import Fault
from chassis.testing.fake_endpoint.policies import Sycophant, read_table
from chassis.testing.fake_endpoint.traffic import Call


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. The first line on standard output is the base URL."""
    options = _parser().parse_args(arguments)
    endpoint = FakeEndpoint(
        _policy(options),
        models=options.model,
        reported_model=options.reported_model,
        key=options.key,
        refuses=options.refuse,
        fault=_faults(options.delay),
        log=options.log,
        host=options.host,
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    endpoint.start(options.port)
    sys.stdout.write(f"{endpoint.base_url}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    endpoint.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chassis.testing.fake_endpoint", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a pod")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--log", type=Path, help="JSON lines file of the calls, flushed after each")
    parser.add_argument("--policy", choices=("constant", "echo", "core"), default="constant", help="how to answer")
    parser.add_argument("--text", default="Yes.", help="what `constant` answers")
    parser.add_argument(
        "--table",
        type=_tables,
        action="extend",
        default=[],
        help="questions of `core`: a file, JSON or JSON lines, or PACKAGE:FOLDER for all *.jsonl of an installed package",
    )
    parser.add_argument("--error-rate", type=float, default=0.1, help="share of wrong answers")
    parser.add_argument("--sycophancy-rate", type=float, default=0.0, help="what a false belief adds to it")
    parser.add_argument("--seed", type=int, default=1, help="seed of all draws")
    parser.add_argument("--shared", type=float, default=0.8, help="share of draws that all models have in common")
    parser.add_argument("--model", action="append", default=[], help="a model that is served; none: any")
    parser.add_argument("--reported-model", default="", help="name given in replies")
    parser.add_argument("--key", default="", help="bearer token to require")
    parser.add_argument("--refuse", action="append", default=[], help="a parameter to refuse")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    return parser


def _tables(name: str) -> list[Path]:
    """The files that an option names."""
    package, colon, folder = name.partition(":")
    if not colon:
        return [Path(name)]
    found = sorted((Path(str(files(package))) / folder).glob("*.jsonl"))
    if not found:
        raise argparse.ArgumentTypeError(f"{name}: there is no *.jsonl file")
    return found


def _policy(options: argparse.Namespace) -> Callable[[Call], str]:
    if options.policy == "echo":
        return lambda call: call.text
    if options.policy == "core":
        return Sycophant(
            table=[row for path in options.table for row in read_table(path)],
            error_rate=options.error_rate,
            sycophancy_rate=options.sycophancy_rate,
            seed=options.seed,
            shared=options.shared,
        )
    return lambda _call: str(options.text)


def _faults(delay: float) -> Callable[[Call], Fault | None]:
    return (lambda _call: Fault.delay(delay)) if delay > 0 else (lambda _call: None)


if __name__ == "__main__":
    main()
