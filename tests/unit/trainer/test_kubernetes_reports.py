"""The file through which a worker in a Pod tells its trainer, whoever of the two is there."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.trainer.backends.kubernetes.tail import Tail
from services.trainer.backends.process.channel import REPORTS, to_folder
from services.trainer.backends.process.reports import reports_of
from services.trainer.domain.job import Progress
from services.trainer.ports import Done, Started, Stepped


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_each_report_is_read_once_and_whole(tmp_path: Path) -> None:
    tail, channel = Tail(tmp_path), to_folder(tmp_path)
    channel.tell("started", step=0, versions={})
    assert [reports_of(line) for line in tail.read()] == [[Started(0, {})]]
    with (tmp_path / REPORTS).open("ab") as file:
        file.write(b'{"kind": "stepped", "st')
    assert list(tail.read()) == [], "half a line may become a whole one"


def test_a_line_that_a_killed_worker_cut_off_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / REPORTS).write_text('{"kind": "stepped", "st')
    to_folder(tmp_path).tell("ended", finished=True)
    tail = Tail(tmp_path)
    assert tail.finished
    assert [reports_of(line) for line in tail.read()] == [[Done()]]


def test_only_the_end_of_the_training_is_its_end(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert (tail.begun, tail.finished) == (False, False)
    tail.begin()
    channel = to_folder(tmp_path)
    channel.tell("ended", finished=False)
    assert (tail.begun, tail.finished) == (True, False)
    assert [reports_of(line) for line in tail.read()] == [[]]
    tail.forget()
    assert not tail.begun


def test_sigterm_means_stop(tmp_path: Path) -> None:
    channel = to_folder(tmp_path)
    assert not channel.stopping
    os.kill(os.getpid(), signal.SIGTERM)
    assert channel.stopping


def test_of_several_processes_the_first_one_speaks_and_all_tell_of_failures(tmp_path: Path) -> None:
    second = to_folder(tmp_path, speaks=False)
    second.tell("stepped", step=1)
    second.tell("failed", reason="DISK_FULL", message="no space")
    assert [json.loads(line)["kind"] for line in Tail(tmp_path).read()] == ["failed"]


def test_what_was_told_before_anybody_listened_is_past(tmp_path: Path) -> None:
    line = json.dumps({"kind": "stepped", "step": 3}).encode()
    assert reports_of(line) == [Stepped(Progress(step=3))]
    assert reports_of(line, past=True) == [Stepped(Progress(step=3), past=True)]
