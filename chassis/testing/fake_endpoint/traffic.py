"""What an endpoint was asked and when: the proof of which calls were paid for."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as the answering function sees it."""

    number: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def model(self) -> str:
        """Model name that was asked for."""
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> tuple[tuple[str, str], ...]:
        """(role, content) turns."""
        return tuple((str(turn.get("role")), str(turn.get("content"))) for turn in self.body.get("messages", ()))

    @property
    def system(self) -> str:
        """The system prompt; empty if there is none."""
        return next((content for role, content in self.messages if role == "system"), "")

    @property
    def text(self) -> str:
        """The last message's content."""
        return self.messages[-1][1] if self.messages else ""

    @property
    def seed(self) -> int | None:
        """The seed that was sent."""
        return self.body.get("seed")

    @property
    def digest(self) -> str:
        """SHA-256 of the messages."""
        return hashlib.sha256(json.dumps(self.messages, ensure_ascii=False).encode()).hexdigest()


@dataclass(slots=True, kw_only=True)
class LoggedCall:
    """A line of the call log. Times: wall clock (Unix seconds) and monotonic; `status` 0: not answered (yet)."""

    number: int
    model: str
    digest: str
    seed: int | None
    asked: float = field(default_factory=time.time)
    asked_monotonic: float = field(default_factory=time.monotonic)
    answered: float = 0.0
    answered_monotonic: float = 0.0
    status: int = 0
    messages: tuple[tuple[str, str], ...] = ()


class CallLog:
    """All calls, in memory and, if a path is given, as JSON lines.

    Each call has one line when asked and one when answered (later lines replace earlier ones of a number), flushed at
    once, so that the file is whole whenever a process dies.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.calls: list[LoggedCall] = []
        self._lock = Lock()
        self._file: TextIO | None = path.open("a", encoding="utf-8", buffering=1) if path else None

    def asked(self, call: Call) -> LoggedCall:
        """Note that a call came in."""
        line = LoggedCall(
            number=call.number, model=call.model, digest=call.digest, seed=call.seed, messages=call.messages
        )
        with self._lock:
            self.calls.append(line)
        self._write(line)
        return line

    def answered(self, line: LoggedCall, status: int) -> None:
        """Note that its answer was handed to the network."""
        line.answered, line.answered_monotonic, line.status = time.time(), time.monotonic(), status
        self._write(line)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: LoggedCall) -> None:
        if self._file is not None:
            self._file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")


def read_log(path: Path) -> list[LoggedCall]:
    """The calls of a log file by number; a last line that a kill cut short is left out."""
    calls: dict[int, LoggedCall] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(text)
        except ValueError:
            continue
        value["messages"] = tuple(tuple(turn) for turn in value["messages"])
        calls[value["number"]] = LoggedCall(**value)
    return list(calls.values())
