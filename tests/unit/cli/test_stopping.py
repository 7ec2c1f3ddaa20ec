"""How commands end that are stopped, and what they leave behind to be read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from candor_cli.last_words import leave, leaving
from candor_cli.stopping import Terminated, exit_code
from chassis.errors import CandorError, ExitCode, Reason


def test_a_person_s_stop_is_final_and_sigterm_asks_to_be_run_again() -> None:
    assert exit_code(KeyboardInterrupt()) is ExitCode.CANCELLED
    assert exit_code(Terminated()) is ExitCode.TEMPORARY
    wrapped = typer.Abort()
    wrapped.__cause__ = Terminated()
    assert exit_code(wrapped) is ExitCode.TEMPORARY
    assert exit_code(typer.Abort()) is ExitCode.CANCELLED


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stop_before_a_command_has_begun_counts_too(number: signal.Signals, code: int) -> None:
    """The first process of a container hears no signal that it does not handle."""
    script = (
        "import signal, sys, candor_cli.main as m\n"
        "m.app = lambda *a, **k: (print('up', flush=True), signal.pause())\n"
        "m.run()"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    os.kill(child.pid, number)
    _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (code, "candor: stopped\n")


def test_an_error_is_left_with_its_reason_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "message"
    with pytest.raises(CandorError), leaving(file):
        raise CandorError(Reason.BAD_DOCUMENT, "it said \x1b[2J nothing\n  arms: missing")
    assert file.read_text() == "BAD_DOCUMENT: it said nothing\n  arms: missing"
    with pytest.raises(KeyboardInterrupt), leaving(file):
        raise Terminated
    assert "SIGTERM" in file.read_text()
    with leaving(file):
        pass
    assert "SIGTERM" in file.read_text(), "what went well says itself how it ended"


def test_no_more_is_left_than_the_kubelet_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "message"
    leave(file, "\n".join(["…" * 1000] * 20))
    assert 4093 <= len(file.read_bytes()) <= 4096
    assert file.read_text(encoding="utf-8").endswith("…"), "no character is cut in two"
    leave(None, "nowhere to leave it")
    leave(tmp_path / "no" / "folder", "x")
    assert "how it ended is only here" in capsys.readouterr().err
