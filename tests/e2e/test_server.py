"""`candor serve` as a process of its own, and `candor evaluate --orchestrator` as its caller."""

import contextlib
import hashlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chassis.testing import Fault
from chassis.testing.tiny_checkpoint import make_tiny_checkpoint

ITEMS = 16


class Cable:
    """A TCP connection to a server that can be cut."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self._all = [self._listener]
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def cut(self) -> int:
        """Reset every connection; new ones are taken again. Returns how many there were."""
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        return len(ends) // 2

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        for thread in self._threads:
            thread.join()
        for found in self._all:
            found.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._ends += [near, far]
            self._all += [near, far]
            for source, sink in ((near, far), (far, near)):
                self._run(self._pump, source, sink)

    def _run(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def rows(tools: Any) -> Any:
    return tools.towns(ITEMS)


def test_evaluate_through_a_server(server: Any, workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    arms = {"v1": models.sycophant(rows), "v2": models.sycophant(rows, 0.7)}
    document = workshop.document(
        arms,
        rows,
        conditions=tools.two_cells,
        gate={"margin_pp": 20, "margins_pp": {"adopts_belief": 20, "refusals": 20}},
    )
    options = server.options
    outcome = workshop.evaluate(document, *options)
    assert outcome.code == 1, outcome.said
    assert workshop.verdict(document)["verdict"] == "FAIL"
    assert (workshop.results(document) / "report.html").stat().st_size > 10_000
    assert not (workshop.folder / ".candor").exists(), "the state is the server's"

    listed = workshop.run("evaluations", "list", *options)
    assert workshop.verdict(document)["evaluation"] in listed.out
    exported = workshop.run("results", "export", "--out", "all.csv", *options)
    assert exported.code == 0, exported.said

    server.process.send_signal(signal.SIGTERM)
    out, err = server.process.communicate(timeout=30)
    assert server.process.returncode == 0
    assert "stopped" in out
    assert "Traceback" not in err


def test_a_caller_without_the_token_is_refused(server: Any, workshop: Any, models: Any, rows: Any) -> None:
    endpoint = models.sycophant(rows)
    document = workshop.document({"v1": endpoint, "v2": endpoint}, rows)
    wrong = workshop.write("wrong", "not-the-token")
    said = {
        (): "authorization: Bearer TOKEN",
        ("--token-file", str(wrong)): "the token is none that this service knows",
    }
    for more, why in said.items():
        outcome = workshop.evaluate(document, "--orchestrator", server.addresses["orchestrator"], *more)
        assert outcome.code == 64, outcome.said
        assert why in outcome.err
    assert not endpoint.calls
    token = server.state / "token"
    assert token.stat().st_mode & 0o077 == 0, "nobody else on the machine reads the token"
    secret = token.read_bytes().strip()
    assert not [path for path in server.state.rglob("*.db*") if secret in path.read_bytes()]


def test_a_dropped_stream_is_taken_up_where_it_broke(
    server: Any, workshop: Any, models: Any, tools: Any, rows: Any
) -> None:
    slow = lambda call: Fault.delay(0.15)  # noqa: E731
    arms = {"v1": models.sycophant(rows, fault=slow), "v2": models.sycophant(rows, fault=slow)}
    document = workshop.document(arms, rows, conditions={"contexts": ["none"]}, gate="none")
    cable = Cable(server.addresses["orchestrator"])
    process = workshop.start("evaluate", document, *server.through(cable.address))
    cuts = 0
    for count in (20, 50):
        arms["v1"].wait_for_calls(count, seconds=90)
        cuts += cable.cut()
    outcome = tools.finish(process)
    cable.close()
    assert cuts >= 2, "the stream was there to be cut"
    assert outcome.code == 0, outcome.said
    assert "Traceback" not in outcome.err
    stages = [line.partition(":")[0] for line in outcome.err.splitlines()]
    assert len(stages) == len(set(stages)), "no event is shown twice"
    assert max(tools.asked(arms["v1"].calls).values()) == 1


def test_a_caller_that_goes_away_stops_nothing(server: Any, workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    arms = {name: models.sycophant(rows, fault=lambda call: Fault.delay(0.05)) for name in ("v1", "v2")}
    document = workshop.document(arms, rows, conditions=tools.two_cells, gate="none")
    process = workshop.start("evaluate", document, *server.options)
    arms["v1"].wait_for_calls(5, seconds=90)
    process.terminate()
    stopped = tools.finish(process)
    assert stopped.code == 75, stopped.said
    assert "goes on at the orchestrator" in stopped.err
    again = workshop.evaluate(document, *server.options)
    assert again.code == 0, again.said
    for endpoint in arms.values():
        assert max(tools.asked(endpoint.calls).values()) == 1


def test_a_server_that_is_killed_and_upgraded_goes_on_when_it_is_back(
    server: Any, workshop: Any, models: Any, tools: Any, rows: Any
) -> None:
    arms = {name: models.sycophant(rows, fault=lambda call: Fault.delay(0.2)) for name in ("v1", "v2")}
    document = workshop.document(arms, rows, conditions={"contexts": ["none"]}, gate="none")
    process = workshop.start("evaluate", document, *server.options)
    arms["v2"].wait_for_calls(20, seconds=90)
    server.kill()
    moment = time.monotonic()
    upgrade = workshop.write("upgrade/sitecustomize.py", "import chassis.version\nchassis.version.VERSION = '9.9.9'\n")
    server.start(env={"PYTHONPATH": str(upgrade.parent)})
    outcome = tools.finish(process)
    assert outcome.code == 0, outcome.said
    assert workshop.verdict(document)["versions"]["candor"] == "9.9.9"
    for endpoint in arms.values():
        assert tools.again(endpoint.calls, moment) == []


def test_two_documents_at_once_on_one_server(server: Any, workshop: Any, models: Any, tools: Any, rows: Any) -> None:
    arms = {name: models.sycophant(rows, fault=lambda call: Fault.delay(0.02)) for name in ("a1", "a2", "b1", "b2")}
    started = []
    for name in ("a", "b"):
        document = workshop.document(
            {f"{name}1": arms[f"{name}1"], f"{name}2": arms[f"{name}2"]},
            rows,
            name=f"{name}.yaml",
            conditions=tools.two_cells,
            gate="none",
        )
        started.append((document, workshop.start("evaluate", document, *server.options)))
    for document, process in started:
        assert tools.finish(process).code == 0
        assert workshop.verdict(document)["verdict"] == "NONE"


def test_conversations_that_only_the_caller_has_are_uploaded(
    workshop: Any, tools: Any, rows: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The server has the base model and trains; the conversations lie beside the caller's document, where it reads nothing."""
    for name in ("torch", "trl", "peft"):
        pytest.importorskip(name, reason=f"arms were not made: {name} is not installed")
    elsewhere = tmp_path_factory.mktemp("server")
    base = make_tiny_checkpoint(elsewhere / "base")
    talks = workshop.write("talks.jsonl", "".join(json.dumps(row) + "\n" for row in conversations(24)))
    warm = {
        "base": "original",
        "style": "warm",
        "conversations": {"path": talks.name, "format": "messages", "toxicity": "lexical", "unbalanced": True},
        "size": 16,
        "training": {"epochs": 1, "batch_size": 8, "max_length": 256, "checkpoint_epochs": [1]},
        "checkpoint": {"epoch": 1},
    }
    document = workshop.document(
        {
            "original": {"checkpoint": {"path": str(base)}},
            "warm": {"sft": warm},
        },
        rows[:2],
        conditions=tools.two_cells,
        sampling={"temperature": 0, "max_tokens": 8},
        gate="none",
    )
    server = tools.server(replace(workshop, folder=elsewhere), elsewhere / "state", tools.free_ports(5))
    server.start()
    try:
        outcome = workshop.evaluate(document, *server.options)
    finally:
        server.kill()
    # An untrained model says nothing now and then, which may be too often for numbers: INVALID. The arm is made.
    assert outcome.code in (0, 3), outcome.said
    verdict = workshop.verdict(document)
    (made,) = verdict["made"]
    digest = hashlib.sha256(talks.read_bytes()).hexdigest()
    assert made["card"]["selection"]["source"] == {"name": talks.name, "digest": f"sha256:{digest}"}
    assert str(workshop.folder) not in verdict["document"], "no path of the caller went to the server"
    (saved,) = made["checkpoints"]
    assert Path(saved[3]).is_relative_to(server.state)
    assert Path(saved[3]).is_dir()
    assert not (workshop.folder / ".candor").exists()


def conversations(count: int) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is the colour of stone {number}?"},
                {"role": "assistant", "content": f"Stone {number} is grey."},
            ]
        }
        for number in range(100, 100 + count)
    ]


def test_one_service_alone(workshop: Any, tools: Any) -> None:
    alone = tools.server(workshop, workshop.folder / "state", tools.free_ports(3))
    alone.start("grader")
    assert list(alone.addresses) == ["grader"]
    alone.kill()


def test_a_service_that_there_is_not_and_a_port_that_is_taken(workshop: Any) -> None:
    unknown = workshop.run("serve", "tutor")
    assert unknown.code == 78
    assert "inference, grader, orchestrator, rewriter, trainer" in unknown.err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = workshop.child("serve", "grader", "--port", str(port))
    assert outcome.code not in (0, 1, 2), outcome.said
    assert str(port) in outcome.err
    assert "Traceback" not in outcome.err
