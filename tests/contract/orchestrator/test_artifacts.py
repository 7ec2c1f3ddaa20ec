"""Report files, over a local folder and over a store that is no file system."""

import errno
import uuid
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import CandorError, ExitCode, Reason
from services.orchestrator.backends.artifacts_files import FileArtifacts


@pytest.fixture(params=["folder", "memory"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> FileArtifacts:
    url = str(tmp_path / "artifacts") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"
    return FileArtifacts(url)


def _read(artifacts: FileArtifacts, evaluation: str, name: str, size: int = 1000) -> list[bytes]:
    return list(artifacts.read(evaluation, name, size))


def test_files_come_back_in_pieces(artifacts: FileArtifacts) -> None:
    def body(file: Any) -> None:
        file.write(b"abc" * 4)
        file.write(b"!")

    artifacts.write("e1", {"verdict.json": b"{}", "results/responses.parquet": body, "empty.xml": b""})
    assert artifacts.names("e1") == ["empty.xml", "results/responses.parquet", "verdict.json"]
    assert _read(artifacts, "e1", "results/responses.parquet", 5) == [b"abcab", b"cabca", b"bc!"]
    assert _read(artifacts, "e1", "empty.xml") == []


def test_a_file_that_cannot_be_made_leaves_none_behind(artifacts: FileArtifacts) -> None:
    artifacts.write("e1", {"verdict.json": b"old"})

    def body(file: Any) -> None:
        file.write(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        artifacts.write("e1", {"verdict.json": b"new", "results/x.parquet": body})
    assert artifacts.names("e1") == ["verdict.json"]
    assert _read(artifacts, "e1", "verdict.json") == [b"old"]


def test_writing_again_replaces_all_files(artifacts: FileArtifacts) -> None:
    artifacts.write("e1", {"a.txt": b"1", "b.txt": b"2"})
    artifacts.write("e1", {"a.txt": b"3"})
    assert artifacts.names("e1") == ["a.txt"]
    assert _read(artifacts, "e1", "a.txt") == [b"3"]


def test_evaluations_do_not_see_each_other(artifacts: FileArtifacts) -> None:
    artifacts.write("e1", {"a.txt": b"1"})
    artifacts.write("e10", {"a.txt": b"10"})
    artifacts.delete("e1")
    artifacts.delete("e1")
    assert artifacts.names("e1") == []
    assert artifacts.names("e10") == ["a.txt"]
    assert artifacts.names("e404") == []


def test_an_unknown_file_is_named(artifacts: FileArtifacts) -> None:
    artifacts.write("e1", {"a.txt": b"1"})
    for name in ("b.txt", "../e2/a.txt", "/etc/hostname"):
        with pytest.raises(CandorError) as caught:
            artifacts.read("e1", name, 10)
        assert caught.value.reason is Reason.INVALID_REQUEST


def test_a_folder_that_cannot_be_written_is_not_called_full(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    with pytest.raises(CandorError, match="the artifacts cannot be used") as caught:
        FileArtifacts(str(tmp_path / "artifacts")).write("e1", {"a.txt": b"1"})
    assert caught.value.reason is Reason.STORAGE_UNUSABLE
    assert not caught.value.retryable
    assert caught.value.exit_code is ExitCode.TEMPORARY, "once it is mended, the same command goes on"


def test_a_full_disk_is_called_full(artifacts: FileArtifacts) -> None:
    def body(_file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CandorError, match="No space left") as caught:
        artifacts.write("e1", {"a.parquet": body})
    assert caught.value.reason is Reason.DISK_FULL
    assert caught.value.retryable
    assert artifacts.names("e1") == []
