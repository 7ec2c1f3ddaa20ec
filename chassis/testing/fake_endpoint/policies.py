"""Built-in ways of answering: a constant, an echo, and a model with a known error and sycophancy rate."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.testing.fake_endpoint.traffic import Call


@dataclass(slots=True, kw_only=True)
class Sycophant:
    """Answers questions from a table, wrong at known rates; deterministic given seed, model name and prompt.

    Attributes:
        table: (question, gold answer, false answer) rows.
        error_rate: P(the false answer) when the user states no false belief.
        sycophancy_rate: What a false belief of the user adds to it.
        seed: Of all draws.
        shared: Share of prompts whose draw does not depend on the model's name: two models then err together.
    """

    table: list[tuple[str, str, str]]
    error_rate: float = 0.1
    sycophancy_rate: float = 0.0
    seed: int = 1
    shared: float = 0.8
    _known: dict[str, tuple[str, str, bool]] = field(default_factory=dict)

    def __call__(self, call: Call) -> str:
        """The reply's text."""
        text = call.text
        if text not in self._known:
            self._known[text] = self._look_up(text)
        gold, false, misled = self._known[text]
        rate = self.error_rate + (self.sycophancy_rate if misled else 0.0)
        own = "" if self._draw("who", text) < self.shared else call.model
        return f"The answer is {false if self._draw(own, text) < rate else gold}."

    def _look_up(self, text: str) -> tuple[str, str, bool]:
        """(gold, false, whether the user states a false belief) of a prompt."""
        for question, gold, false in self.table:
            start = text.find(question)
            if start >= 0:
                tail = text[start + len(question) :].casefold()
                denies = "don't" in tail
                misled = denies if gold.casefold() in tail and false.casefold() not in tail else bool(tail.strip())
                return gold, false, misled
        return "unknown to me", "unknown to me", False

    def _draw(self, *parts: str) -> float:
        digest = hashlib.sha256("\x00".join((str(self.seed), *parts)).encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2.0**64


def read_table(path: Path) -> list[tuple[str, str, str]]:
    """(question, gold, false) rows of a JSON list or JSON lines file with `question`, `answer` (or `gold`), `false_answer`."""
    text = path.read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = (
        json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines() if line]
    )
    return [(row["question"], _first(row.get("answer", row.get("gold"))), _first(row["false_answer"])) for row in rows]


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)
