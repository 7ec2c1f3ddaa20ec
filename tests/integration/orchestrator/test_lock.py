"""One command at a time on one state folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.errors import CandorError, ExitCode, Reason
from services.orchestrator.backends.lock import locked

_HOLD = """
import sys
from pathlib import Path
from services.orchestrator.backends.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_command_is_told_who_holds_the_folder_until_that_one_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / ".candor"
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'gen'}"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdin=pipe, stdout=pipe, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(CandorError, match=f"process {child.pid}") as caught, locked(folder):
            pass
        assert caught.value.reason is Reason.LEDGER_LOCKED
        assert caught.value.exit_code is ExitCode.TEMPORARY
        child.kill()
        child.wait()
    with locked(folder):
        assert (folder / "lock").read_text().split()[0] == str(os.getpid())
    with locked(folder):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CandorError, match="cannot be used") as caught, locked(tmp_path / "file" / ".candor"):
        pass
    assert caught.value.reason is Reason.STORAGE_UNUSABLE
