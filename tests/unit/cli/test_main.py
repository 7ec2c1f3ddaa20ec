import subprocess
import sys

import pytest

from candor_cli import main
from candor_cli.view.text import percent, points, printable
from chassis.errors import CandorError, ExitCode, Reason


def test_usage_errors_exit_64_and_never_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.invoke(["frobnicate"]) == ExitCode.USAGE
    assert main.invoke(["evaluate"]) == ExitCode.USAGE
    assert main.invoke(["evaluate", "x.yaml", "--limit", "-3"]) == ExitCode.USAGE
    assert "candor --help" in capsys.readouterr().err


def test_a_missing_document_exits_78_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.invoke(["evaluate", "no-such.yaml"]) == ExitCode.BAD_DOCUMENT
    assert "no-such.yaml" in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.invoke(["--version"]) == 0
    assert main.invoke(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("evaluate", "plan", "grade", "score", "demo", "serve"):
        assert command in out


def test_a_defect_exits_70_with_its_trace() -> None:
    code = "import candor_cli.main as m; m.invoke = lambda a: 1 / 0; m.run()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.INTERNAL
    assert "ZeroDivisionError" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, candor_cli.main as m; m.invoke(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"torch", "grpc", "rich", "sqlalchemy", "pyarrow", "numpy", "openai", "dbos", "pydantic"}


def test_messages_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise CandorError(Reason.ENDPOINT_REFUSED, "it said \x1b[2J\x1b]0;title\x07hello\u202e\n  field: x")

    monkeypatch.setattr(main, "app", refuse)
    assert main.invoke([]) == ExitCode.BAD_DOCUMENT
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\u202e" not in err
    assert "\n  field: x" in err


def test_numbers_read_well() -> None:
    assert (percent(None), percent(0.1234)) == ("–", "12.3 %")
    assert (points(None), points(-0.05)) == ("–", "-5.0")
    assert printable("a\x07b\n  c") == "a b\n  c"
